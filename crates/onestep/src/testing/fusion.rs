//! Conformance cases of small programs whose kernels are easily merged, split or blocked wrongly.

use super::Suite;
use super::inputs::{FLOATS, NUMBERS, literal, sample, uniform};
use crate::ir::{ArgOp, Binary, ConvSpec, DType, Graph, NodeId, Op, ReduceOp, Unary};

/// `x + transposed(y)`: no two axes of it can be walked as one.
fn crossed(g: &mut Graph, x: &[NodeId]) -> NodeId {
    let mut perm: Vec<usize> = (0..g.shape(x[0]).rank()).collect();
    let last = perm.len() - 1;
    perm.swap(last - 1, last);
    let y = g.add_op(Op::Permute(perm), &[x[1]]);
    g.add(x[0], y)
}

/// A function dear enough to be stored where it is used twice.
fn dear(g: &mut Graph, x: NodeId) -> NodeId {
    let x = g.unary(Unary::Sin, x);
    let x = g.unary(Unary::Cos, x);
    g.unary(Unary::Tanh, x)
}

/// Reductions over axes that stay two loops, in one stage, in two, and in blocks of uneven length.
pub(super) fn crossed_reductions(s: &mut Suite) {
    for [m, n] in [[20, 30], [7, 300], [3, 300], [300, 3], [10, 512], [2, 511]] {
        let terms = 4 * m * n;
        let inputs = || vec![uniform(DType::F32, [m, n], 1, -1.0, 1.0), uniform(DType::F32, [n, m], 2, -1.0, 1.0)];
        s.add("crossed sum", terms, inputs(), |g, x| {
            let xy = crossed(g, x);
            let sum = g.sum(xy, &[0, 1]);
            vec![sum, g.unary(Unary::Tanh, sum)]
        });
        for op in [ArgOp::Max, ArgOp::Min] {
            let inputs = vec![sample(DType::I32, [m, n], 3), sample(DType::I32, [n, m], 4)];
            s.add("crossed place", 0, inputs, |g, x| {
                let xy = crossed(g, x);
                vec![g.add_op(Op::ArgReduce { op, axes: vec![0, 1] }, &[xy])]
            });
        }
        let inputs = vec![sample(DType::I32, [2, m, n], 5), sample(DType::I32, [2, n, m], 6)];
        s.add("crossed places", 0, inputs, |g, x| {
            let xy = crossed(g, x);
            vec![g.add_op(Op::ArgReduce { op: ArgOp::Max, axes: vec![1, 2] }, &[xy])]
        });
    }
}

/// Reductions over nothing, with something before and after them.
pub(super) fn reductions_of_nothing(s: &mut Suite) {
    let folds =
        [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min].map(|op| Op::Reduce { op, axes: vec![1, 2] });
    for op in folds.into_iter().chain([Op::ArgReduce { op: ArgOp::Max, axes: vec![1, 2] }]) {
        for shape in [[4, 0, 5], [4, 5, 0]] {
            for dtype in NUMBERS {
                s.add("of nothing", 0, vec![sample(dtype, shape, 1), sample(dtype, [4], 2)], |g, x| {
                    let folded = g.add_op(op.clone(), &x[..1]);
                    let rest = g.cast(x[1], g.dtype(folded));
                    vec![folded, g.binary(Binary::Max, folded, rest)]
                });
            }
        }
    }
    s.add("of nothing, reshaped", 0, vec![sample(DType::F32, [4, 0], 1)], |g, x| {
        let x = g.reshape(x[0], [2, 0, 2]);
        vec![g.sum(x, &[1])]
    });
}

/// Two values kept for each element of a row, of different phases of one kernel, met by a third.
pub(super) fn rows_kept_twice(s: &mut Suite) {
    let inputs = || vec![uniform(DType::F32, [8, 32], 1, -1.0, 1.0), uniform(DType::F32, [8, 32], 2, -1.0, 1.0)];
    for swapped in [false, true] {
        s.add("rows kept twice", 64, inputs(), |g, x| {
            let u = dear(g, x[0]);
            let sum = g.sum(u, &[1]);
            let sum = g.expand(sum, &[1], &[8, 32].into());
            let d = g.sub(x[1], sum);
            let v = dear(g, d);
            let (a, b) = if swapped { (v, u) } else { (u, v) };
            vec![g.mul(a, b), g.add(b, x[0])]
        });
    }
}

/// Library kernels over views of views, one of which another of them needs laid out.
pub(super) fn views_of_views(s: &mut Suite) {
    let spec = ConvSpec { stride: vec![1], padding: vec![(0, 0)], dilation: vec![1], groups: 1 };
    let inputs = vec![uniform(DType::F32, [2, 9, 3], 1, -1.0, 1.0), uniform(DType::F32, [4, 2, 3], 2, -1.0, 1.0)];
    s.add("flipped twice", 6, inputs, |g, x| {
        let once = g.add_op(Op::Flip(vec![1]), &x[..1]);
        let twice = g.add_op(Op::Flip(vec![1]), &[once]);
        [twice, once].map(|v| g.add_op(Op::Conv(spec.clone()), &[v, x[1]])).to_vec()
    });
}

/// Library kernels that write next to each other, and one that reads a tensor twice.
pub(super) fn neighbours(s: &mut Suite) {
    for dtype in FLOATS {
        let inputs = vec![uniform(dtype, [3, 4], 1, -1.0, 1.0), uniform(dtype, [4, 5], 2, -1.0, 1.0)];
        s.add("products side by side", 4, inputs, |g, x| {
            let first = g.add_op(Op::Dot { ta: false, tb: false }, x);
            let minus = g.neg(x[0]);
            let second = g.add_op(Op::Dot { ta: false, tb: false }, &[minus, x[1]]);
            let sum = g.add_op(Op::CumSum { axis: 0, exclusive: false, reverse: false }, &x[1..]);
            vec![g.add_op(Op::Concat { axis: 0 }, &[first, second, sum])]
        });
    }
    for dtype in NUMBERS {
        let inputs = vec![sample(dtype, [3, 4], 1), literal(DType::I32, [3], &[2.0, 0.0, 2.0])];
        s.add("scattered onto itself", 3, inputs, |g, x| {
            vec![g.add_op(Op::ScatterAdd { axis: 0 }, &[x[0], x[1], x[0]])]
        });
    }
}
