//! The derivative of every op. Complete by `match`: an op without a rule does not build.

use crate::ir::{Binary, Compare, DType, Graph, Node, NodeId, Op, ReduceOp, Shape, Unary};

/// What node `y`'s cotangent `dy` contributes to the cotangent of its input `k`; `None` for nothing.
/// All rules are made of ops that have rules, so that they can be differentiated again.
pub(super) fn cotangent(g: &mut Graph, y: NodeId, k: usize, dy: NodeId) -> Option<NodeId> {
    let Node { op, inputs, .. } = g.node(y).clone();
    let x = inputs[k];
    let shape = g.shape(x).clone();
    Some(match op {
        Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::Iota { .. } | Op::Random { .. } => return None,
        Op::Compare(Compare::Eq | Compare::Ne | Compare::Lt | Compare::Le) => return None,
        Op::ArgReduce { .. } | Op::MaxPoolIndex(_) => return None,

        Op::Unary(op) => return unary(g, op, x, y, dy),
        Op::Binary(op) => return binary(g, op, &inputs, k, y, dy),
        Op::Select => {
            let zero = g.full_like(0.0, dy);
            let (a, b) = if k == 1 { (dy, zero) } else { (zero, dy) };
            g.select(inputs[0], a, b)
        }
        Op::Cast(_) => g.cast(dy, g.dtype(x)),

        Op::After if k == 0 => dy,
        Op::After => return None,
        Op::Reshape(_) => g.reshape(dy, shape),
        Op::Permute(perm) => g.add_op(Op::Permute(inverse(&perm)), &[dy]),
        Op::Broadcast(wide) => {
            let stretched: Vec<usize> = (0..wide.rank()).filter(|&i| wide[i] != shape[i]).collect();
            let sum = g.sum(dy, &stretched);
            g.reshape(sum, shape)
        }
        Op::Slice { start, step, .. } => unslice(g, dy, &shape, &start, &step),
        Op::Pad { low, .. } => slice(g, dy, &low, &shape),
        Op::Concat { axis } => {
            let mut start = vec![0; shape.rank()];
            start[axis] = inputs[..k].iter().map(|&i| g.shape(i)[axis]).sum();
            slice(g, dy, &start, &shape)
        }
        Op::Flip(axes) => g.add_op(Op::Flip(axes), &[dy]),
        Op::DynamicSlice { axis, len } => {
            let index = dynamic_index(g, inputs[1], len, shape[axis]);
            let zeros = g.full_like(0.0, x);
            g.add_op(Op::ScatterAdd { axis }, &[zeros, index, dy])
        }
        Op::Gather { axis } => {
            let zeros = g.full_like(0.0, x);
            g.add_op(Op::ScatterAdd { axis }, &[zeros, inputs[1], dy])
        }
        Op::ScatterAdd { axis } if k == 2 => g.add_op(Op::Gather { axis }, &[dy, inputs[1]]),
        Op::ScatterAdd { .. } => dy,

        Op::Reduce { op: ReduceOp::Sum, axes } => g.expand(dy, &axes, &shape),
        Op::Reduce { op: ReduceOp::Prod, axes } => prod(g, x, &axes, dy),
        Op::Reduce { op: ReduceOp::Max | ReduceOp::Min, axes } => {
            let extreme = g.expand(y, &axes, &shape);
            let hit = g.compare(Compare::Eq, x, extreme);
            let hit = g.cast(hit, g.dtype(x));
            let ties = g.sum(hit, &axes);
            let share = g.div(dy, ties);
            let share = g.expand(share, &axes, &shape);
            g.mul(hit, share)
        }
        Op::CumSum { axis, exclusive, reverse } => g.add_op(Op::CumSum { axis, exclusive, reverse: !reverse }, &[dy]),

        Op::MaxPool(window) => {
            let place = g.add_op(Op::MaxPoolIndex(window.clone()), &[x]);
            g.add_op(Op::MaxPoolGrad { window, input: shape }, &[place, dy])
        }
        Op::MaxPoolGather(window) => g.add_op(Op::MaxPoolGrad { window, input: shape }, &[inputs[0], dy]),
        Op::MaxPoolGrad { window, .. } => g.add_op(Op::MaxPoolGather(window), &[inputs[0], dy]),
        Op::AvgPool(window) => g.add_op(Op::AvgPoolGrad { window, input: shape }, &[dy]),
        Op::AvgPoolGrad { window, .. } => g.add_op(Op::AvgPool(window), &[dy]),

        // With A and B for a and b after their transposes: dA = dy Bᵀ and dB = Aᵀ dy, and a transposed
        // input wants the transpose of that.
        Op::Dot { ta: false, tb } if k == 0 => g.add_op(Op::Dot { ta: false, tb: !tb }, &[dy, inputs[1]]),
        Op::Dot { ta: true, tb } if k == 0 => g.add_op(Op::Dot { ta: tb, tb: true }, &[inputs[1], dy]),
        Op::Dot { ta, tb: false } => g.add_op(Op::Dot { ta: !ta, tb: false }, &[inputs[0], dy]),
        Op::Dot { ta, tb: true } => g.add_op(Op::Dot { ta: true, tb: ta }, &[dy, inputs[0]]),

        // A convolution is linear in each input, so the three close under differentiation.
        Op::Conv(spec) if k == 0 => g.add_op(Op::ConvInputGrad { spec, input: shape }, &[dy, inputs[1]]),
        Op::Conv(spec) => g.add_op(Op::ConvFilterGrad { spec, filter: shape }, &[inputs[0], dy]),
        Op::ConvInputGrad { spec, .. } if k == 0 => g.add_op(Op::Conv(spec), &[dy, inputs[1]]),
        Op::ConvInputGrad { spec, .. } => g.add_op(Op::ConvFilterGrad { spec, filter: shape }, &[dy, inputs[0]]),
        Op::ConvFilterGrad { spec, .. } if k == 0 => {
            g.add_op(Op::ConvInputGrad { spec, input: shape }, &[inputs[1], dy])
        }
        Op::ConvFilterGrad { spec, .. } => g.add_op(Op::Conv(spec), &[inputs[0], dy]),
    })
}

/// y = f(x), with f's own result reused where that is cheaper than computing from x.
fn unary(g: &mut Graph, op: Unary, x: NodeId, y: NodeId, dy: NodeId) -> Option<NodeId> {
    let slope = match op {
        Unary::Floor | Unary::Ceil | Unary::Round | Unary::Sign | Unary::IsFinite | Unary::Not => return None,
        Unary::Neg => return Some(g.neg(dy)),
        Unary::Log => return Some(g.div(dy, x)),
        Unary::Log1p => {
            let x = offset(g, x, 1.0);
            return Some(g.div(dy, x));
        }
        Unary::Sqrt => {
            let half = scale(g, dy, 0.5);
            return Some(g.div(half, y));
        }
        Unary::Abs => g.unary(Unary::Sign, x),
        Unary::Exp => y,
        Unary::Expm1 => offset(g, y, 1.0),
        Unary::Rsqrt => {
            let cube = square(g, y);
            let cube = g.mul(cube, y);
            scale(g, cube, -0.5)
        }
        Unary::Recip => {
            let square = square(g, y);
            g.neg(square)
        }
        Unary::Sin => g.unary(Unary::Cos, x),
        Unary::Cos => {
            let sin = g.unary(Unary::Sin, x);
            g.neg(sin)
        }
        Unary::Tanh => {
            let square = square(g, y);
            one_minus(g, square)
        }
        Unary::Sigmoid => {
            let rest = one_minus(g, y);
            g.mul(y, rest)
        }
        Unary::Erf => {
            let square = square(g, x);
            let square = g.neg(square);
            let bell = g.unary(Unary::Exp, square);
            scale(g, bell, std::f64::consts::FRAC_2_SQRT_PI)
        }
    };
    Some(g.mul(dy, slope))
}

fn binary(g: &mut Graph, op: Binary, inputs: &[NodeId], k: usize, y: NodeId, dy: NodeId) -> Option<NodeId> {
    let (a, b) = (inputs[0], inputs[1]);
    Some(match op {
        Binary::And | Binary::Or | Binary::Xor => return None,
        Binary::Add => dy,
        Binary::Sub if k == 0 => dy,
        Binary::Sub => g.neg(dy),
        Binary::Mul => g.mul(dy, inputs[1 - k]),
        Binary::Div => {
            let by_a = g.div(dy, b);
            if k == 0 {
                return Some(by_a);
            }
            let by_b = g.mul(by_a, y);
            g.neg(by_b)
        }
        Binary::Rem if k == 0 => dy,
        Binary::Rem => {
            // a rem b = a - b * trunc(a / b), and the whole quotient is got back exactly by rounding.
            let whole = g.sub(a, y);
            let whole = g.div(whole, b);
            let whole = g.unary(Unary::Round, whole);
            let whole = g.neg(whole);
            g.mul(dy, whole)
        }
        Binary::Max => to_the_winner(g, inputs[1 - k], inputs[k], dy),
        Binary::Min => to_the_winner(g, inputs[k], inputs[1 - k], dy),
        Binary::Pow if k == 0 => {
            // b a^(b-1), and 0 where b is 0 (also at a = 0, where the formula is 0 * inf).
            let (zero, is_zero, exponent) = guard_zero(g, b);
            let less = offset(g, exponent, -1.0);
            let power = g.binary(Binary::Pow, a, less);
            let slope = g.mul(exponent, power);
            let slope = g.select(is_zero, zero, slope);
            g.mul(dy, slope)
        }
        Binary::Pow => {
            // a^b log a, and 0 where a is 0.
            let (zero, is_zero, base) = guard_zero(g, a);
            let log = g.unary(Unary::Log, base);
            let slope = g.mul(y, log);
            let slope = g.select(is_zero, zero, slope);
            g.mul(dy, slope)
        }
    })
}

/// dy where `small < large`, half of it where they tie, else nothing.
fn to_the_winner(g: &mut Graph, small: NodeId, large: NodeId, dy: NodeId) -> NodeId {
    let (wins, holds) = (g.compare(Compare::Lt, small, large), g.compare(Compare::Le, small, large));
    let (half, zero) = (scale(g, dy, 0.5), g.full_like(0.0, dy));
    let tie = g.select(holds, half, zero);
    g.select(wins, dy, tie)
}

/// Zeros like x, where x is 0, and x with 1 there: a branch that is not taken then stays finite, and so do
/// its derivatives.
fn guard_zero(g: &mut Graph, x: NodeId) -> (NodeId, NodeId, NodeId) {
    let (zero, one) = (g.full_like(0.0, x), g.full_like(1.0, x));
    let is_zero = g.compare(Compare::Eq, x, zero);
    (zero, is_zero, g.select(is_zero, one, x))
}

/// The product of the others: with p the product of all that are not 0, it is p / x without other zeros
/// (p itself at the only zero), and 0 with some. Exact to first order everywhere, to any order off zero.
fn prod(g: &mut Graph, x: NodeId, axes: &[usize], dy: NodeId) -> NodeId {
    let shape = g.shape(x).clone();
    let (zero, is_zero, safe) = guard_zero(g, x);
    let zeros_here = g.cast(is_zero, DType::I32);
    let zeros = g.sum(zeros_here, axes);
    let zeros = g.expand(zeros, axes, &shape);
    let others_without = g.compare(Compare::Eq, zeros, zeros_here);
    let p = g.reduce(ReduceOp::Prod, safe, axes);
    let p = g.expand(p, axes, &shape);
    let rest = g.div(p, safe);
    let rest = g.select(others_without, rest, zero);
    let dy = g.expand(dy, axes, &shape);
    g.mul(dy, rest)
}

/// The adjoint of `slice`: elements back to `start, start + step, …` of zeros. Steps are made by giving each
/// element an axis of its own, padding that to the step, and folding it in again.
fn unslice(g: &mut Graph, dy: NodeId, shape: &Shape, start: &[usize], step: &[usize]) -> NodeId {
    let rank = shape.rank();
    let counts = g.shape(dy).clone();
    let step: Vec<usize> = (0..rank).map(|i| if counts[i] > 1 { step[i] } else { 1 }).collect();
    let mut spread = dy;
    if step.iter().any(|&s| s > 1) {
        let apart: Shape = counts.iter().flat_map(|&n| [n, 1]).collect();
        let high = step.iter().flat_map(|&s| [0, s - 1]).collect();
        spread = g.reshape(spread, apart);
        spread = pad(g, spread, vec![0; 2 * rank], high);
        spread = g.reshape(spread, counts.iter().zip(&step).map(|(n, s)| n * s).collect::<Shape>());
        let inside: Shape = (0..rank).map(|i| (counts[i] * step[i]).min(shape[i] - start[i])).collect();
        spread = slice(g, spread, &vec![0; rank], &inside);
    }
    let high = (0..rank).map(|i| shape[i] - start[i] - g.shape(spread)[i]).collect();
    pad(g, spread, start.to_vec(), high)
}

/// The indices a dynamic slice of `len` out of `extent` elements reads, i32[len].
fn dynamic_index(g: &mut Graph, start: NodeId, len: usize, extent: usize) -> NodeId {
    let (first, last) = (g.full_like(0.0, start), g.full_like((extent - len) as f64, start));
    let start = g.binary(Binary::Max, start, first);
    let start = g.binary(Binary::Min, start, last);
    let shape = Shape::from([len]);
    let start = g.expand(start, &[0], &shape);
    let count = g.add_op(Op::Iota { shape, axis: 0, dtype: DType::I32 }, &[]);
    g.add(start, count)
}

/// `shape` elements from `start`; x itself where that is all of it.
fn slice(g: &mut Graph, x: NodeId, start: &[usize], shape: &Shape) -> NodeId {
    if g.shape(x) == shape {
        return x;
    }
    let stop = start.iter().zip(shape.iter()).map(|(a, n)| a + n).collect();
    g.add_op(Op::Slice { start: start.to_vec(), stop, step: vec![1; shape.rank()] }, &[x])
}

/// x among zeros; x itself where there are none.
fn pad(g: &mut Graph, x: NodeId, low: Vec<usize>, high: Vec<usize>) -> NodeId {
    if low.iter().chain(&high).all(|&n| n == 0) {
        return x;
    }
    g.add_op(Op::Pad { low, high, value: 0f64.to_bits() }, &[x])
}

fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; perm.len()];
    perm.iter().enumerate().for_each(|(i, &p)| inverse[p] = i);
    inverse
}

fn scale(g: &mut Graph, x: NodeId, factor: f64) -> NodeId {
    let factor = g.full_like(factor, x);
    g.mul(x, factor)
}

fn offset(g: &mut Graph, x: NodeId, by: f64) -> NodeId {
    let by = g.full_like(by, x);
    g.add(x, by)
}

fn one_minus(g: &mut Graph, x: NodeId) -> NodeId {
    let one = g.full_like(1.0, x);
    g.sub(one, x)
}

fn square(g: &mut Graph, x: NodeId) -> NodeId {
    g.mul(x, x)
}
