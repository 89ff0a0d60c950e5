//! Indexing: counting along an axis, gather and scatter-add.

use super::Value;
use super::elementwise::{binary, wrap};
use crate::ir::{Binary, DType, Shape};

/// The coordinate along an axis.
pub(super) fn iota(shape: &Shape, axis: usize, dtype: DType) -> Vec<f64> {
    let (extent, stride) = (shape[axis], shape.strides()[axis]);
    (0..shape.elements()).map(|p| wrap(dtype, (p / stride % extent) as i64)).collect()
}

/// For each element of a gather's result, row-major, the element of the indexed tensor that it names.
fn targets(shape: &Shape, index: &Value, axis: usize) -> Vec<Option<usize>> {
    let (extent, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let outer: usize = shape[..axis].iter().product();
    let mut all = Vec::with_capacity(outer * index.data.len() * inner);
    for o in 0..outer {
        for &i in &index.data {
            let inside = (0.0..extent as f64).contains(&i);
            all.extend((0..inner).map(|k| inside.then_some((o * extent + i as usize) * inner + k)));
        }
    }
    all
}

/// Reads by index along an axis; outside reads 0.
pub(super) fn gather(x: &Value, index: &Value, axis: usize) -> Vec<f64> {
    targets(&x.shape, index, axis).into_iter().map(|at| at.map_or(0.0, |p| x.data[p])).collect()
}

/// Adds updates by index along an axis, in order; outside is left out.
pub(super) fn scatter_add(base: &Value, index: &Value, updates: &Value, axis: usize) -> Vec<f64> {
    let mut out = base.data.clone();
    for (at, &v) in targets(&base.shape, index, axis).into_iter().zip(&updates.data) {
        if let Some(p) = at {
            out[p] = binary(Binary::Add, base.dtype, out[p], v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{floats, ints, run, value};
    use super::*;
    use crate::ir::Op;

    #[test]
    fn iota_counts() {
        let of = |axis, dtype| run(Op::Iota { shape: [2, 3].into(), axis, dtype }, &[]).data;
        assert_eq!(of(0, DType::I32), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(of(1, DType::F32), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
        assert_eq!(run(Op::Iota { shape: [2, 0].into(), axis: 1, dtype: DType::I32 }, &[]).data, [0.0; 0]);
        assert_eq!(run(Op::Iota { shape: [257].into(), axis: 0, dtype: DType::U8 }, &[]).data[256], 0.0);
    }

    #[test]
    fn gather_replaces_the_axis() {
        let x = floats([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let of = |axis, index| run(Op::Gather { axis }, &[x.clone(), index]);
        assert_eq!(of(0, ints([], &[1.0])), floats([3], &[4.0, 5.0, 6.0]));
        assert_eq!(of(1, ints([2, 1], &[2.0, 0.0])), floats([2, 2, 1], &[3.0, 1.0, 6.0, 4.0]));
        assert_eq!(of(1, ints([2], &[-1.0, 3.0])), floats([2, 2], &[0.0; 4]));
        assert_eq!(of(0, ints([0], &[])), floats([0, 3], &[]));
        assert_eq!(run(Op::Gather { axis: 0 }, &[floats([0, 2], &[]), ints([1], &[0.0])]).data, [0.0, 0.0]);
    }

    #[test]
    fn scatter_adds_repeats_and_drops_what_is_outside() {
        let base = floats([2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let updates = floats([3, 2], &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        let got = run(Op::ScatterAdd { axis: 0 }, &[base.clone(), ints([3], &[1.0, 1.0, 2.0]), updates]);
        assert_eq!(got.data, [1.0, 2.0, 43.0, 64.0]);
        let got = run(Op::ScatterAdd { axis: 1 }, &[base, ints([], &[0.0]), floats([2], &[10.0, 20.0])]);
        assert_eq!(got.data, [11.0, 2.0, 23.0, 4.0]);
        let bytes = |data: &[f64]| value(DType::U8, [1], data);
        assert_eq!(run(Op::ScatterAdd { axis: 0 }, &[bytes(&[250.0]), ints([1], &[0.0]), bytes(&[10.0])]).data, [4.0]);
    }
}
