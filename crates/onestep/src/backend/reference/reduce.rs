//! Reductions over sets of axes, and running sums.

use super::Value;
use super::elementwise::binary;
use super::movement::permute;
use crate::ir::{ArgOp, Binary, ReduceOp};

/// Applies `f` to the elements that fold into each result, row-major over the folded axes.
fn fold_rows(x: &Value, axes: &[usize], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let kept = (0..x.shape.rank()).filter(|axis| !axes.contains(axis));
    let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
    let rows = permute(x, &order);
    let len: usize = axes.iter().map(|&axis| x.shape[axis]).product();
    (0..x.shape.without(axes).elements()).map(|i| f(&rows[i * len..(i + 1) * len])).collect()
}

/// Folds axes in order, from the identity.
pub(super) fn reduce(op: ReduceOp, x: &Value, axes: &[usize]) -> Vec<f64> {
    let step = match op {
        ReduceOp::Sum => Binary::Add,
        ReduceOp::Prod => Binary::Mul,
        ReduceOp::Max => Binary::Max,
        ReduceOp::Min => Binary::Min,
    };
    fold_rows(x, axes, |row| row.iter().fold(op.identity(x.dtype), |a, &b| binary(step, x.dtype, a, b)))
}

/// Whether `v` takes the place of the extreme so far: it is beyond it, or the first NaN.
pub(super) fn beats(op: ArgOp, v: f64, best: f64) -> bool {
    let beyond = match op {
        ArgOp::Max => v > best,
        ArgOp::Min => v < best,
    };
    beyond || (v.is_nan() && !best.is_nan())
}

/// The place of the first extreme; 0 over no elements.
pub(super) fn arg_reduce(op: ArgOp, x: &Value, axes: &[usize]) -> Vec<f64> {
    fold_rows(x, axes, |row| {
        let first = |best: usize, i: usize| if beats(op, row[i], row[best]) { i } else { best };
        (1..row.len()).fold(0, first) as f64
    })
}

/// Running sums along an axis.
pub(super) fn cumsum(x: &Value, axis: usize, exclusive: bool, reverse: bool) -> Vec<f64> {
    let (extent, stride) = (x.shape[axis], x.shape.strides()[axis]);
    let mut out = vec![0.0; x.data.len()];
    let is_first = |p: &usize| (p / stride).is_multiple_of(extent);
    for start in (0..x.data.len()).filter(is_first) {
        let mut sum = 0.0;
        for i in 0..extent {
            let p = start + stride * if reverse { extent - 1 - i } else { i };
            let next = binary(Binary::Add, x.dtype, sum, x.data[p]);
            out[p] = if exclusive { sum } else { next };
            sum = next;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{floats, ints, run, value};
    use super::*;
    use crate::ir::DType;
    use crate::ir::Op;

    fn cube() -> Value {
        floats([2, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0])
    }

    fn fold(op: ReduceOp, axes: &[usize], x: Value) -> Value {
        run(Op::Reduce { op, axes: axes.to_vec() }, &[x])
    }

    fn place(op: ArgOp, axes: &[usize], x: Value) -> Value {
        run(Op::ArgReduce { op, axes: axes.to_vec() }, &[x])
    }

    #[test]
    fn folds_each_set_of_axes() {
        assert_eq!(fold(ReduceOp::Sum, &[0], cube()), floats([2, 3], &[8.0, 10.0, 12.0, 14.0, 16.0, 18.0]));
        assert_eq!(fold(ReduceOp::Sum, &[1], cube()), floats([2, 3], &[5.0, 7.0, 9.0, 17.0, 19.0, 21.0]));
        assert_eq!(fold(ReduceOp::Max, &[0, 2], cube()), floats([2], &[9.0, 12.0]));
        assert_eq!(fold(ReduceOp::Min, &[1, 2], cube()), floats([2], &[1.0, 7.0]));
        assert_eq!(fold(ReduceOp::Prod, &[2], cube()), floats([2, 2], &[6.0, 120.0, 504.0, 1320.0]));
        assert_eq!(fold(ReduceOp::Sum, &[0, 1, 2], cube()), floats([], &[78.0]));
        assert_eq!(fold(ReduceOp::Sum, &[], cube()), cube());
        assert_eq!(fold(ReduceOp::Sum, &[], floats([], &[3.0])), floats([], &[3.0]));
    }

    #[test]
    fn nothing_folds_to_the_identity() {
        let of = |op, dtype| fold(op, &[1], value(dtype, [2, 0], &[])).data;
        assert_eq!(of(ReduceOp::Sum, DType::F32), [0.0, 0.0]);
        assert_eq!(of(ReduceOp::Prod, DType::U8), [1.0, 1.0]);
        assert_eq!(of(ReduceOp::Max, DType::BF16), [f64::NEG_INFINITY; 2]);
        assert_eq!(of(ReduceOp::Max, DType::I32), [i32::MIN as f64; 2]);
        assert_eq!(of(ReduceOp::Min, DType::U8), [255.0; 2]);
        assert_eq!(place(ArgOp::Max, &[1], floats([2, 0], &[])), ints([2], &[0.0, 0.0]));
        assert_eq!(fold(ReduceOp::Sum, &[0], floats([2, 0], &[])), floats([0], &[]));
    }

    #[test]
    fn integers_wrap_and_nan_spreads() {
        assert_eq!(fold(ReduceOp::Sum, &[0], value(DType::U8, [3], &[200.0, 50.0, 10.0])).data, [4.0]);
        assert_eq!(fold(ReduceOp::Prod, &[0], ints([2], &[65536.0, 65537.0])).data, [65536.0]);
        assert!(fold(ReduceOp::Max, &[0], floats([3], &[1.0, f64::NAN, 2.0])).data[0].is_nan());
    }

    #[test]
    fn the_first_extreme_wins() {
        assert_eq!(place(ArgOp::Max, &[0], floats([4], &[1.0, 3.0, 3.0, 2.0])), ints([], &[1.0]));
        assert_eq!(place(ArgOp::Min, &[0], floats([4], &[1.0, f64::NAN, 0.0, f64::NAN])), ints([], &[1.0]));
        assert_eq!(place(ArgOp::Max, &[0, 2], cube()), ints([2], &[5.0, 5.0]));
        assert_eq!(place(ArgOp::Min, &[1], cube()), ints([2, 3], &[0.0; 6]));
    }

    #[test]
    fn running_sums() {
        let of = |axis, exclusive, reverse, x| run(Op::CumSum { axis, exclusive, reverse }, &[x]).data;
        let row = || floats([3], &[1.0, 2.0, 4.0]);
        assert_eq!(of(0, false, false, row()), [1.0, 3.0, 7.0]);
        assert_eq!(of(0, true, false, row()), [0.0, 1.0, 3.0]);
        assert_eq!(of(0, false, true, row()), [7.0, 6.0, 4.0]);
        assert_eq!(of(0, true, true, row()), [6.0, 4.0, 0.0]);
        assert_eq!(of(0, false, false, floats([2, 2], &[1.0, 2.0, 3.0, 4.0])), [1.0, 2.0, 4.0, 6.0]);
        assert_eq!(of(1, false, false, floats([2, 2], &[1.0, 2.0, 3.0, 4.0])), [1.0, 3.0, 3.0, 7.0]);
        assert_eq!(of(0, false, false, value(DType::U8, [2], &[200.0, 100.0])), [200.0, 44.0]);
        assert_eq!(of(1, false, false, floats([2, 0], &[])), [0.0; 0]);
    }
}
