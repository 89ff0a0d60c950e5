//! Sliding windows: which input element each window tap meets, and pooling.

use super::Value;
use super::reduce::beats;
use crate::ir::{ArgOp, ReduceOp, Shape, Window};

/// A tap of a window that lies inside the input, as row-major places over the spatial axes.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    /// The window.
    pub(super) output: usize,
    /// The tap within the window.
    pub(super) tap: usize,
    /// The input element under it.
    pub(super) input: usize,
}

/// One spatial axis of a sliding window.
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) low: usize,
}

impl Axis {
    fn hits(&self) -> Vec<Hit> {
        let taps = (0..self.output).flat_map(|output| (0..self.size).map(move |tap| (output, tap)));
        let hit = |(output, tap): (usize, usize)| {
            let input = (output * self.stride + tap * self.dilation).checked_sub(self.low)?;
            (input < self.input).then_some(Hit { output, tap, input })
        };
        taps.filter_map(hit).collect()
    }
}

/// Every hit over the product of the axes. The hits of one window come in row-major order of its taps.
pub(super) fn hits(axes: &[Axis]) -> Vec<Hit> {
    let start = vec![Hit { output: 0, tap: 0, input: 0 }];
    axes.iter().fold(start, |outer, axis| {
        let inner = axis.hits();
        let join = |a: Hit, b: &Hit| Hit {
            output: a.output * axis.output + b.output,
            tap: a.tap * axis.size + b.tap,
            input: a.input * axis.input + b.input,
        };
        outer.iter().flat_map(|&a| inner.iter().map(move |b| join(a, b))).collect()
    })
}

/// Calls `f` with (input element, tap, output element) for each hit of each image and channel.
fn pooling(input: &Shape, output: &Shape, w: &Window, mut f: impl FnMut(usize, usize, usize)) {
    let spatial = w.size.len();
    let axes: Vec<Axis> = (0..spatial)
        .map(|i| Axis {
            input: input[i + 1],
            output: output[i + 1],
            size: w.size[i],
            stride: w.stride[i],
            dilation: 1,
            low: w.padding[i].0,
        })
        .collect();
    let hits = hits(&axes);
    let area = |s: &Shape| s[1..=spatial].iter().product::<usize>();
    let (batch, channels, inputs, outputs) = (input[0], input[spatial + 1], area(input), area(output));
    for b in 0..batch {
        for hit in &hits {
            for c in 0..channels {
                let at = |image: usize, place: usize| (b * image + place) * channels + c;
                f(at(inputs, hit.input), hit.tap, at(outputs, hit.output));
            }
        }
    }
}

/// The largest element of each window and its place in the window. Padding never wins: a window with no
/// input element under it gives the dtype's lowest value and place 0.
pub(super) fn max_pool(x: &Value, output: &Shape, w: &Window) -> (Vec<f64>, Vec<f64>) {
    let n = output.elements();
    let mut best = vec![ReduceOp::Max.identity(x.dtype); n];
    let (mut place, mut seen) = (vec![0.0; n], vec![false; n]);
    pooling(&x.shape, output, w, |i, tap, o| {
        if !seen[o] || beats(ArgOp::Max, x.data[i], best[o]) {
            (best[o], place[o], seen[o]) = (x.data[i], tap as f64, true);
        }
    });
    (best, place)
}

/// The element of each window at a place; 0 where the place is padding.
pub(super) fn max_pool_gather(place: &Value, x: &Value, w: &Window) -> Vec<f64> {
    let mut out = vec![0.0; place.data.len()];
    pooling(&x.shape, &place.shape, w, |i, tap, o| {
        if place.data[o] == tap as f64 {
            out[o] = x.data[i];
        }
    });
    out
}

/// Adds each pooled value to the input element at its place.
pub(super) fn max_pool_grad(place: &Value, g: &Value, input: &Shape, w: &Window) -> Vec<f64> {
    let mut out = vec![0.0; input.elements()];
    pooling(input, &g.shape, w, |i, tap, o| {
        if place.data[o] == tap as f64 {
            out[i] += g.data[o];
        }
    });
    out
}

/// The sum over each window divided by the window's size, padding included.
pub(super) fn avg_pool(x: &Value, output: &Shape, w: &Window) -> Vec<f64> {
    let mut out = vec![0.0; output.elements()];
    pooling(&x.shape, output, w, |i, _, o| out[o] += x.data[i]);
    divide(out, w)
}

/// Spreads each pooled value evenly over its window.
pub(super) fn avg_pool_grad(g: &Value, input: &Shape, w: &Window) -> Vec<f64> {
    let mut out = vec![0.0; input.elements()];
    pooling(input, &g.shape, w, |i, _, o| out[i] += g.data[o]);
    divide(out, w)
}

fn divide(sums: Vec<f64>, w: &Window) -> Vec<f64> {
    let taps = w.size.iter().product::<usize>() as f64;
    sums.into_iter().map(|sum| sum / taps).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{floats, ints, run};
    use super::*;
    use crate::ir::{DType, Op, infer};
    use crate::testing::fill;

    fn window(size: &[usize], stride: &[usize], padding: &[(usize, usize)]) -> Window {
        Window { size: size.to_vec(), stride: stride.to_vec(), padding: padding.to_vec() }
    }

    #[test]
    fn max_pool_by_hand() {
        let x = floats([1, 3, 3, 1], &[1.0, 5.0, 2.0, 4.0, 3.0, 9.0, 7.0, 8.0, 6.0]);
        let w = window(&[2, 2], &[1, 1], &[(0, 0), (0, 0)]);
        let place = run(Op::MaxPoolIndex(w.clone()), std::slice::from_ref(&x));
        assert_eq!(run(Op::MaxPool(w.clone()), std::slice::from_ref(&x)).data, [5.0, 9.0, 8.0, 9.0]);
        assert_eq!(place, ints([1, 2, 2, 1], &[1.0, 3.0, 3.0, 1.0]));
        assert_eq!(run(Op::MaxPoolGather(w.clone()), &[place.clone(), x.clone()]).data, [5.0, 9.0, 8.0, 9.0]);
        let g = floats([1, 2, 2, 1], &[1.0, 2.0, 3.0, 4.0]);
        let grad = run(Op::MaxPoolGrad { window: w, input: x.shape }, &[place, g]);
        assert_eq!(grad.data, [0.0, 1.0, 0.0, 0.0, 0.0, 6.0, 0.0, 3.0, 0.0]);
    }

    #[test]
    fn padding_never_wins_and_nan_always_does() {
        let w = window(&[2], &[2], &[(1, 1)]);
        let x = floats([1, 4, 1], &[f64::NEG_INFINITY, -3.0, f64::NAN, -1.0]);
        assert_eq!(run(Op::MaxPoolIndex(w.clone()), std::slice::from_ref(&x)).data, [1.0, 1.0, 0.0]);
        assert!(run(Op::MaxPool(w.clone()), &[x]).data[1].is_nan());
        let ties = floats([1, 4, 1], &[2.0, 5.0, 5.0, 5.0]);
        assert_eq!(run(Op::MaxPoolIndex(w), &[ties]).data, [1.0, 0.0, 0.0]);
    }

    #[test]
    fn average_counts_padding() {
        let w = window(&[2], &[2], &[(1, 1)]);
        let x = floats([1, 2, 2], &[2.0, 20.0, 4.0, 40.0]);
        assert_eq!(run(Op::AvgPool(w), &[x]), floats([1, 2, 2], &[1.0, 10.0, 2.0, 20.0]));
    }

    #[test]
    fn pools_of_nothing() {
        let w = window(&[2], &[1], &[(1, 1)]);
        assert_eq!(run(Op::MaxPool(w.clone()), &[floats([1, 0, 1], &[])]).data, [f64::NEG_INFINITY]);
        assert_eq!(run(Op::MaxPoolIndex(w.clone()), &[floats([1, 0, 1], &[])]).data, [0.0]);
        assert_eq!(run(Op::AvgPool(w), &[floats([0, 3, 1], &[])]).shape, Shape::from([0, 4, 1]));
    }

    #[test]
    fn gradients_are_adjoint() {
        let cases = [
            (vec![2, 7, 3], window(&[3], &[2], &[(1, 2)])),
            (vec![2, 5, 6, 3], window(&[2, 3], &[2, 1], &[(0, 1), (2, 0)])),
            (vec![1, 4, 3, 5, 2], window(&[2, 2, 3], &[1, 2, 3], &[(1, 0), (0, 1), (1, 2)])),
        ];
        for (dims, w) in cases {
            let input = Shape::from(dims);
            let output = infer::pooled(&input, &w).unwrap();
            let of = |seed, shape: &Shape| Value {
                dtype: DType::F32,
                shape: shape.clone(),
                data: fill(seed, shape.elements(), -1.0, 1.0).into_iter().map(f64::from).collect(),
            };
            let inner = |a: &Value, b: &Value| a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum::<f64>();
            let (x, g) = (of(1, &input), of(2, &output));
            let y = run(Op::AvgPool(w.clone()), std::slice::from_ref(&x));
            let gx = run(Op::AvgPoolGrad { window: w.clone(), input: input.clone() }, std::slice::from_ref(&g));
            assert!((inner(&y, &g) - inner(&x, &gx)).abs() < 1e-12);
            let place = run(Op::MaxPoolIndex(w.clone()), std::slice::from_ref(&x));
            let y = run(Op::MaxPoolGather(w.clone()), &[place.clone(), x.clone()]);
            assert_eq!(y, run(Op::MaxPool(w.clone()), std::slice::from_ref(&x)));
            let gx = run(Op::MaxPoolGrad { window: w, input }, &[place, g.clone()]);
            assert!((inner(&y, &g) - inner(&x, &gx)).abs() < 1e-12);
        }
    }
}
