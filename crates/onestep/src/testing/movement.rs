//! Conformance cases of ops that move elements, alone and in chains.

use super::Suite;
use super::inputs::{ALL, FLOATS, axis_subsets, literal, sample};
use crate::ir::{DType, NodeId, Op, ReduceOp, Shape};

fn slice(start: &[usize], stop: &[usize], step: &[usize]) -> Op {
    Op::Slice { start: start.to_vec(), stop: stop.to_vec(), step: step.to_vec() }
}

fn pad(low: &[usize], high: &[usize], value: f64) -> Op {
    Op::Pad { low: low.to_vec(), high: high.to_vec(), value: value.to_bits() }
}

/// Views and pads with the shape of their input.
fn moves() -> Vec<(Vec<usize>, Op)> {
    let mut all = vec![
        (vec![2, 3, 4], Op::Reshape([24].into())),
        (vec![2, 3, 4], Op::Reshape([4, 1, 6].into())),
        (vec![], Op::Reshape([1, 1].into())),
        (vec![1], Op::Reshape([].into())),
        (vec![0, 3], Op::Reshape([5, 0].into())),
        (vec![], Op::Permute(vec![])),
        (vec![33, 65], Op::Permute(vec![1, 0])),
        (vec![3, 5, 7, 33], Op::Permute(vec![0, 3, 1, 2])),
        (vec![3, 5, 7, 33], Op::Permute(vec![3, 1, 0, 2])),
        (vec![3, 0, 2], Op::Permute(vec![2, 1, 0])),
        (vec![1], Op::Broadcast([7].into())),
        (vec![1], Op::Broadcast([0].into())),
        (vec![3, 1], Op::Broadcast([3, 5].into())),
        (vec![1, 3], Op::Broadcast([5, 3].into())),
        (vec![1, 5, 1, 33], Op::Broadcast([3, 5, 7, 33].into())),
        (vec![2, 1, 3], Op::Broadcast([2, 4, 3].into())),
        (vec![9], slice(&[2], &[9], &[1])),
        (vec![9], slice(&[1], &[9], &[3])),
        (vec![9], slice(&[4], &[4], &[1])),
        (vec![5, 7], slice(&[1, 0], &[4, 7], &[1, 2])),
        (vec![4, 5, 6], slice(&[0, 2, 1], &[4, 3, 6], &[2, 1, 4])),
        (vec![3, 5, 7, 33], slice(&[0, 1, 0, 5], &[3, 5, 7, 29], &[2, 3, 1, 2])),
        (vec![3], pad(&[2], &[1], 0.0)),
        (vec![0], pad(&[2], &[1], 1.5)),
        (vec![2, 3], pad(&[0, 1], &[2, 0], -4.0)),
        (vec![3, 5, 7, 33], pad(&[0, 1, 2, 0], &[1, 0, 0, 3], 7.0)),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        all.push((vec![2, 3, 4], Op::Permute(order.to_vec())));
    }
    all.extend(axis_subsets(3).into_iter().map(|axes| (vec![2, 3, 4], Op::Flip(axes))));
    all.push((vec![0, 3], Op::Flip(vec![0])));
    all
}

/// Each op on its own.
pub(super) fn movement(s: &mut Suite) {
    for (shape, op) in moves() {
        s.op(0, op, vec![sample(DType::F32, shape, 1)]);
    }
    for dtype in ALL {
        s.add("moves", 0, vec![sample(dtype, [2, 3, 4], 2)], |g, x| {
            let fits = |shape: &[usize]| shape == [2, 3, 4];
            let mut out: Vec<NodeId> =
                moves().into_iter().filter(|(shape, _)| fits(shape)).map(|(_, op)| g.add_op(op, x)).collect();
            out.push(g.add_op(slice(&[1, 0, 1], &[2, 3, 4], &[1, 2, 2]), x));
            out.push(g.add_op(pad(&[1, 0, 2], &[0, 1, 1], 1.0), x));
            out.push(g.add_op(Op::Concat { axis: 1 }, &[x[0], x[0]]));
            out
        });
        let column = sample(dtype, [4, 1, 3], 3);
        s.op(0, Op::Broadcast([4, 5, 3].into()), vec![column]);
        for axis in 0..2 {
            s.op(0, Op::Concat { axis }, vec![sample(dtype, [3, 3], 4), sample(dtype, [3, 3], 5)]);
        }
        for start in [-3, 0, 2, 100] {
            let inputs = vec![sample(dtype, [3, 5], 6), literal(DType::I32, [], &[start as f64])];
            s.op(0, Op::DynamicSlice { axis: 1, len: 2 }, inputs);
        }
    }
    for axis in 0..3 {
        for parts in [&[2][..], &[1, 3], &[4, 1, 2], &[2, 0, 1]] {
            let part =
                |(i, &n): (usize, &usize)| sample(DType::F32, Shape::from([3, 4, 5]).with_dim(axis, n), i as u32);
            s.op(0, Op::Concat { axis }, parts.iter().enumerate().map(part).collect());
        }
        for (start, len) in [(0, 3), (1, 1), (1, 0), (i32::MAX, 2), (i32::MIN, 2)] {
            let inputs = vec![sample(DType::F32, [3, 4, 5], 7), literal(DType::I32, [], &[start as f64])];
            s.op(0, Op::DynamicSlice { axis, len }, inputs);
        }
    }
    s.op(0, Op::Concat { axis: 0 }, vec![sample(DType::F32, [1000], 8), sample(DType::F32, [1], 9)]);
    for dtype in ALL {
        s.op(0, Op::After, vec![sample(dtype, [3, 5], 8), sample(DType::F32, [4], 9)]);
    }
}

/// Moves on moves, and moves between arithmetic: what a fuser folds into index maps. The arithmetic is exact
/// in every dtype, so that a backend which rounds between ops agrees with one that does not.
pub(super) fn chains(s: &mut Suite) {
    for dtype in FLOATS.into_iter().chain([DType::I32]) {
        let inputs = |seed| vec![sample(dtype, [4, 6, 5], seed), sample(dtype, [5, 3], seed + 1)];
        s.add("flip permute slice flip", 0, inputs(1), |g, x| {
            let flipped = g.add_op(Op::Flip(vec![0, 2]), &x[..1]);
            let turned = g.add_op(Op::Permute(vec![2, 0, 1]), &[flipped]);
            let stepped = g.add_op(slice(&[1, 0, 1], &[5, 4, 6], &[2, 3, 2]), &[turned]);
            let again = g.add_op(Op::Flip(vec![1]), &[stepped]);
            vec![g.add(again, again), again]
        });
        s.add("pad slice pad", 0, inputs(2), |g, x| {
            let doubled = g.add(x[0], x[0]);
            let padded = g.add_op(pad(&[1, 0, 2], &[0, 2, 1], 3.0), &[doubled]);
            let stepped = g.add_op(slice(&[0, 1, 1], &[5, 8, 8], &[1, 2, 1]), &[padded]);
            vec![g.add_op(pad(&[0, 1, 0], &[1, 0, 1], 0.0), &[stepped])]
        });
        s.add("reshape of permute", 0, inputs(3), |g, x| {
            let turned = g.add_op(Op::Permute(vec![1, 2, 0]), &x[..1]);
            let flat = g.reshape(turned, [20, 6]);
            let back = g.add_op(Op::Permute(vec![1, 0]), &[flat]);
            vec![g.neg(back)]
        });
        s.add("concat of moves", 0, inputs(4), |g, x| {
            let turned = g.add_op(Op::Permute(vec![1, 0]), &x[1..]);
            let row = g.reshape(turned, [1, 3, 5]);
            let wide = g.broadcast(row, &[4, 3, 5].into());
            let flipped = g.add_op(Op::Flip(vec![1]), &x[..1]);
            let joined = g.add_op(Op::Concat { axis: 1 }, &[wide, flipped, wide]);
            let part = g.add_op(slice(&[1, 2, 0], &[4, 11, 5], &[2, 1, 3]), &[joined]);
            vec![g.neg(part), joined]
        });
        s.add("reduce of moves", 120, inputs(5), |g, x| {
            let flipped = g.add_op(Op::Flip(vec![1]), &x[..1]);
            let turned = g.add_op(Op::Permute(vec![1, 2, 0]), &[flipped]);
            let stepped = g.add_op(slice(&[1, 0, 0], &[6, 5, 4], &[2, 1, 3]), &[turned]);
            let padded = g.add_op(pad(&[0, 1, 0], &[2, 0, 0], 2.0), &[stepped]);
            let mut out = vec![g.sum(padded, &[0]), g.sum(padded, &[1, 2]), g.reduce(ReduceOp::Max, padded, &[2])];
            let column = g.reshape(x[1], [5, 3, 1]);
            let wide = g.broadcast(column, &[5, 3, 8].into());
            out.extend([g.sum(wide, &[1]), g.sum(wide, &[2]), g.sum(wide, &[0, 1, 2])]);
            out
        });
    }
}
