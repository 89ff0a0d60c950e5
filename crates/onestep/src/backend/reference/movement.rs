//! Ops that only move elements: each is a strided walk over its input or its result.

use super::Value;
use super::elementwise::cast;
use crate::ir::{DType, Shape};

/// The places that a walk over `extents` visits, row-major, when axis i moves by `strides[i]`.
fn places(extents: &[usize], offset: isize, strides: &[isize]) -> Vec<usize> {
    let mut walk = vec![offset];
    for (&extent, &stride) in extents.iter().zip(strides) {
        walk = walk.into_iter().flat_map(|p| (0..extent as isize).map(move |i| p + i * stride)).collect();
    }
    walk.into_iter().map(|p| p as usize).collect()
}

fn read(x: &Value, extents: &[usize], offset: isize, strides: &[isize]) -> Vec<f64> {
    places(extents, offset, strides).into_iter().map(|p| x.data[p]).collect()
}

fn strides(shape: &Shape) -> Vec<isize> {
    shape.strides().into_iter().map(|s| s as isize).collect()
}

/// Where a coordinate lies: the sum of coordinate times stride.
fn offset(at: &[usize], strides: &[isize]) -> isize {
    at.iter().zip(strides).map(|(&i, &s)| i as isize * s).sum()
}

/// Result axis i is input axis `perm[i]`.
pub(super) fn permute(x: &Value, perm: &[usize]) -> Vec<f64> {
    let strides = strides(&x.shape);
    let extents: Vec<usize> = perm.iter().map(|&p| x.shape[p]).collect();
    let walk: Vec<isize> = perm.iter().map(|&p| strides[p]).collect();
    read(x, &extents, 0, &walk)
}

/// Axes of extent 1 do not move.
pub(super) fn broadcast(x: &Value, shape: &Shape) -> Vec<f64> {
    let walk: Vec<isize> = strides(&x.shape).iter().zip(x.shape.iter()).map(|(&s, &d)| s * (d != 1) as isize).collect();
    read(x, shape, 0, &walk)
}

/// Starts inside and takes wider steps.
pub(super) fn slice(x: &Value, shape: &Shape, start: &[usize], step: &[usize]) -> Vec<f64> {
    let strides = strides(&x.shape);
    let walk: Vec<isize> = strides.iter().zip(step).map(|(&s, &n)| s * n as isize).collect();
    read(x, shape, offset(start, &strides), &walk)
}

/// Starts at the far end of the axes and walks back.
pub(super) fn flip(x: &Value, axes: &[usize]) -> Vec<f64> {
    let mut walk = strides(&x.shape);
    let mut start = 0;
    for &axis in axes {
        start += walk[axis] * (x.shape[axis] as isize - 1);
        walk[axis] = -walk[axis];
    }
    read(x, &x.shape, start, &walk)
}

/// `len` elements of an axis from a start that is clamped so that they lie inside.
pub(super) fn dynamic_slice(x: &Value, start: &Value, shape: &Shape, axis: usize, len: usize) -> Vec<f64> {
    let last = x.shape[axis] - len;
    let walk = strides(&x.shape);
    let start = (start.data[0].max(0.0) as usize).min(last);
    read(x, shape, start as isize * walk[axis], &walk)
}

/// Writes `x` into a tensor of `value`s at `low`.
pub(super) fn pad(x: &Value, shape: &Shape, low: &[usize], value: f64) -> Vec<f64> {
    let mut out = vec![cast(DType::F64, x.dtype, value); shape.elements()];
    write(x, &mut out, shape, low);
    out
}

/// Writes each part behind the one before.
pub(super) fn concat(parts: &[&Value], shape: &Shape, axis: usize) -> Vec<f64> {
    let mut out = vec![0.0; shape.elements()];
    let mut at = vec![0; shape.rank()];
    for part in parts {
        write(part, &mut out, shape, &at);
        at[axis] += part.shape[axis];
    }
    out
}

fn write(x: &Value, out: &mut [f64], shape: &Shape, at: &[usize]) {
    let walk = strides(shape);
    for (p, &v) in places(&x.shape, offset(at, &walk), &walk).into_iter().zip(&x.data) {
        out[p] = v;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{floats, ints, run, value};
    use super::*;
    use crate::ir::Op;

    fn matrix() -> Value {
        floats([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    }

    #[test]
    fn reshape_and_permute() {
        assert_eq!(run(Op::Reshape([3, 2].into()), &[matrix()]).data, matrix().data);
        assert_eq!(run(Op::Permute(vec![1, 0]), &[matrix()]), floats([3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
        let cube = floats([2, 1, 3], &matrix().data);
        assert_eq!(run(Op::Permute(vec![2, 0, 1]), &[cube]).data, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn broadcast_stretches() {
        let got = run(Op::Broadcast([2, 2, 2].into()), &[floats([2, 1, 2], &[1.0, 2.0, 3.0, 4.0])]);
        assert_eq!(got.data, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
        assert_eq!(run(Op::Broadcast([0].into()), &[floats([1], &[1.0])]).data, [0.0; 0]);
    }

    #[test]
    fn slice_steps() {
        let op = |start, stop, step| Op::Slice { start, stop, step };
        assert_eq!(run(op(vec![0, 1], vec![2, 3], vec![1, 1]), &[matrix()]).data, [2.0, 3.0, 5.0, 6.0]);
        assert_eq!(run(op(vec![1, 0], vec![2, 3], vec![1, 2]), &[matrix()]).data, [4.0, 6.0]);
        assert_eq!(run(op(vec![1, 3], vec![2, 3], vec![1, 1]), &[matrix()]), floats([1, 0], &[]));
    }

    #[test]
    fn pad_surrounds() {
        let op = |value: f64| Op::Pad { low: vec![1], high: vec![2], value: value.to_bits() };
        assert_eq!(run(op(9.0), &[floats([1], &[1.0])]).data, [9.0, 1.0, 9.0, 9.0]);
        assert_eq!(run(op(-1.0), &[value(DType::U8, [0], &[])]).data, [0.0, 0.0, 0.0]);
    }

    #[test]
    fn concat_joins() {
        let column = floats([2, 1], &[7.0, 8.0]);
        let got = run(Op::Concat { axis: 1 }, &[matrix(), floats([2, 0], &[]), column]);
        assert_eq!(got, floats([2, 4], &[1.0, 2.0, 3.0, 7.0, 4.0, 5.0, 6.0, 8.0]));
    }

    #[test]
    fn flip_reverses() {
        assert_eq!(run(Op::Flip(vec![1]), &[matrix()]).data, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(run(Op::Flip(vec![0, 1]), &[matrix()]).data, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!(run(Op::Flip(vec![0]), &[floats([0, 2], &[])]).data, [0.0; 0]);
    }

    #[test]
    fn dynamic_slice_clamps() {
        for (start, want) in [(-3.0, [1.0, 2.0, 4.0, 5.0]), (0.0, [1.0, 2.0, 4.0, 5.0]), (9.0, [2.0, 3.0, 5.0, 6.0])] {
            let got = run(Op::DynamicSlice { axis: 1, len: 2 }, &[matrix(), ints([], &[start])]);
            assert_eq!(got, floats([2, 2], &want));
        }
    }

    #[test]
    fn scalars_move() {
        let x = floats([], &[5.0]);
        assert_eq!(run(Op::Permute(vec![]), std::slice::from_ref(&x)), x);
        assert_eq!(run(Op::Reshape([1, 1].into()), &[x]).data, [5.0]);
    }
}
