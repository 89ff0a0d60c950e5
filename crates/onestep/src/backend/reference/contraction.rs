//! Contractions: batched matrix products and convolutions in their three directions.

use super::Value;
use super::window::{Axis, hits};
use crate::ir::{ConvSpec, Shape};

/// Batched matrix product.
pub(super) fn dot(a: &Value, b: &Value, ta: bool, tb: bool) -> Vec<f64> {
    let rank = a.shape.rank();
    let matrix = |v: &Value, t: bool| {
        let (rows, columns) = (v.shape[rank - 2], v.shape[rank - 1]);
        if t { (columns, rows, 1, columns) } else { (rows, columns, columns, 1) }
    };
    let ((m, k, a_row, a_column), (_, n, b_row, b_column)) = (matrix(a, ta), matrix(b, tb));
    let batch: usize = a.shape[..rank - 2].iter().product();
    let mut out = Vec::with_capacity(batch * m * n);
    for s in 0..batch {
        let (a, b) = (&a.data[s * m * k..], &b.data[s * k * n..]);
        for i in 0..m {
            for j in 0..n {
                out.push((0..k).map(|l| a[i * a_row + l * a_column] * b[l * b_row + j * b_column]).sum());
            }
        }
    }
    out
}

/// Calls `f` with the elements (of x, of w, of the output) of every product in a convolution.
fn products(x: &Shape, w: &Shape, out: &Shape, spec: &ConvSpec, mut f: impl FnMut(usize, usize, usize)) {
    let spatial = spec.stride.len();
    let axes: Vec<Axis> = (0..spatial)
        .map(|i| Axis {
            input: x[i + 1],
            output: out[i + 1],
            size: w[i + 1],
            stride: spec.stride[i],
            dilation: spec.dilation[i],
            low: spec.padding[i].0,
        })
        .collect();
    let hits = hits(&axes);
    let area = |s: &Shape| s[1..=spatial].iter().product::<usize>();
    let (inputs, taps, outputs) = (area(x), area(w), area(out));
    let (batch, channels, filters, per_group) = (x[0], x[spatial + 1], w[0], w[spatial + 1]);
    for b in 0..batch {
        for hit in &hits {
            for filter in 0..filters {
                let first = filter / (filters / spec.groups) * per_group;
                for c in 0..per_group {
                    f(
                        (b * inputs + hit.input) * channels + first + c,
                        (filter * taps + hit.tap) * per_group + c,
                        (b * outputs + hit.output) * filters + filter,
                    );
                }
            }
        }
    }
}

/// Each output sums its products.
pub(super) fn conv(x: &Value, w: &Value, shape: &Shape, spec: &ConvSpec) -> Vec<f64> {
    let mut out = vec![0.0; shape.elements()];
    products(&x.shape, &w.shape, shape, spec, |i, k, o| out[o] += x.data[i] * w.data[k]);
    out
}

/// Each input gathers what its products were worth.
pub(super) fn conv_input_grad(g: &Value, w: &Value, shape: &Shape, spec: &ConvSpec) -> Vec<f64> {
    let mut out = vec![0.0; shape.elements()];
    products(shape, &w.shape, &g.shape, spec, |i, k, o| out[i] += g.data[o] * w.data[k]);
    out
}

/// Each weight gathers what its products were worth.
pub(super) fn conv_filter_grad(x: &Value, g: &Value, shape: &Shape, spec: &ConvSpec) -> Vec<f64> {
    let mut out = vec![0.0; shape.elements()];
    products(&x.shape, shape, &g.shape, spec, |i, k, o| out[k] += x.data[i] * g.data[o]);
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{floats, run};
    use super::*;
    use crate::ir::{DType, Op, infer};
    use crate::testing::fill;

    #[test]
    fn dot_in_every_orientation() {
        let a = floats([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = floats([3, 2], &[1.0, 0.0, 2.0, 1.0, 0.0, 3.0]);
        let at = floats([3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let bt = floats([2, 3], &[1.0, 2.0, 0.0, 0.0, 1.0, 3.0]);
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let inputs = [if ta { &at } else { &a }.clone(), if tb { &bt } else { &b }.clone()];
            assert_eq!(run(Op::Dot { ta, tb }, &inputs), floats([2, 2], &[5.0, 11.0, 14.0, 23.0]));
        }
    }

    #[test]
    fn dot_of_batches_and_of_nothing() {
        let a = floats([2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let b = floats([2, 2, 1], &[5.0, 6.0, 7.0, 8.0]);
        assert_eq!(run(Op::Dot { ta: false, tb: false }, &[a, b]).data, [17.0, 53.0]);
        let none = run(Op::Dot { ta: false, tb: false }, &[floats([2, 0], &[]), floats([0, 1], &[])]);
        assert_eq!(none, floats([2, 1], &[0.0, 0.0]));
    }

    fn spec(stride: &[usize], padding: &[(usize, usize)], dilation: &[usize], groups: usize) -> ConvSpec {
        ConvSpec { stride: stride.to_vec(), padding: padding.to_vec(), dilation: dilation.to_vec(), groups }
    }

    #[test]
    fn conv_by_hand() {
        let x = floats([1, 4, 1], &[1.0, 2.0, 3.0, 4.0]);
        let w = floats([1, 2, 1], &[10.0, 1.0]);
        let of = |spec| run(Op::Conv(spec), &[x.clone(), w.clone()]).data;
        assert_eq!(of(spec(&[1], &[(0, 0)], &[1], 1)), [12.0, 23.0, 34.0]);
        assert_eq!(of(spec(&[2], &[(1, 0)], &[1], 1)), [1.0, 23.0]);
        assert_eq!(of(spec(&[1], &[(0, 1)], &[2], 1)), [13.0, 24.0, 30.0]);
        let image = floats([1, 2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let taps = floats([1, 2, 2, 2], &[1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 2.0]);
        let plain = spec(&[1, 1], &[(0, 0), (0, 0)], &[1, 1], 1);
        assert_eq!(run(Op::Conv(plain.clone()), &[image.clone(), taps]).data, [31.0]);
        let depthwise = floats([2, 1, 1, 1], &[10.0, 100.0]);
        let got = run(Op::Conv(ConvSpec { groups: 2, ..plain }), &[image, depthwise]);
        assert_eq!(got.data, [10.0, 200.0, 30.0, 400.0, 50.0, 600.0, 70.0, 800.0]);
    }

    #[test]
    fn both_gradients_are_adjoint() {
        let cases = [
            (vec![2, 7, 4], vec![6, 3, 4], spec(&[1], &[(0, 0)], &[1], 1)),
            (vec![2, 9, 4], vec![6, 3, 2], spec(&[2], &[(1, 3)], &[2], 2)),
            (vec![1, 6, 5, 3], vec![2, 3, 2, 3], spec(&[1, 2], &[(1, 1), (0, 2)], &[1, 3], 1)),
            (vec![2, 5, 5, 4], vec![8, 3, 3, 1], spec(&[2, 2], &[(1, 1), (1, 1)], &[1, 1], 4)),
            (vec![2, 4, 5, 3, 2], vec![4, 2, 3, 1, 1], spec(&[1, 2, 1], &[(1, 0), (2, 2), (0, 1)], &[2, 1, 1], 2)),
            (vec![0, 5, 2], vec![3, 2, 2], spec(&[1], &[(0, 0)], &[1], 1)),
            (vec![2, 5, 0], vec![3, 2, 0], spec(&[1], &[(0, 0)], &[1], 1)),
            (vec![2, 5, 2], vec![0, 2, 1], spec(&[1], &[(0, 0)], &[1], 2)),
        ];
        for (x, w, spec) in cases {
            let (x, w) = (Shape::from(x), Shape::from(w));
            let out = infer::conv_output(&x, &w, &spec).unwrap();
            let of = |seed, shape: &Shape| Value {
                dtype: DType::F32,
                shape: shape.clone(),
                data: fill(seed, shape.elements(), -1.0, 1.0).into_iter().map(f64::from).collect(),
            };
            let inner = |a: &Value, b: &Value| a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum::<f64>();
            let (xv, wv, gv) = (of(1, &x), of(2, &w), of(3, &out));
            let y = run(Op::Conv(spec.clone()), &[xv.clone(), wv.clone()]);
            let gx = run(Op::ConvInputGrad { spec: spec.clone(), input: x }, &[gv.clone(), wv.clone()]);
            let gw = run(Op::ConvFilterGrad { spec: spec.clone(), filter: w }, &[xv.clone(), gv.clone()]);
            let want = inner(&y, &gv);
            assert!((want - inner(&xv, &gx)).abs() < 1e-11, "{spec:?}");
            assert!((want - inner(&wv, &gw)).abs() < 1e-11, "{spec:?}");
        }
    }
}
