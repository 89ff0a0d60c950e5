//! Conformance cases of leaves and element-wise ops.

use super::inputs::{ALL, FLOATS, INTS, grid, literal, sample, shapes, uniform, whole_range};
use super::{Suite, hash};
use crate::ir::{ArgOp, Binary, Compare, DType, Op, ReduceOp, Unary};

/// Inputs, states, constants, counting and random numbers.
pub(super) fn leaves(s: &mut Suite) {
    for dtype in FLOATS.into_iter().chain([DType::I32, DType::U32]) {
        s.op(0, Op::Iota { shape: [9].into(), axis: 0, dtype }, vec![]);
        for axis in 0..3 {
            s.op(0, Op::Iota { shape: [4, 5, 6].into(), axis, dtype }, vec![]);
        }
        s.op(0, Op::Iota { shape: [2, 0].into(), axis: 0, dtype }, vec![]);
    }
    for dtype in ALL {
        s.op(0, Op::Constant(sample(dtype, [3, 5], 1)), vec![]);
        s.op(0, Op::Constant(sample(dtype, [], 1)), vec![]);
        s.add("echo", 0, vec![sample(dtype, [3, 5], 2), sample(dtype, [2], 2)], |_, x| vec![x[0], x[0]]);
        let states = vec![sample(dtype, [3, 5], 3), sample(dtype, [2], 4)];
        s.add_step("state", 1, vec![sample(dtype, [3, 5], 5)], states, |g, x, s| {
            let op = if dtype == DType::Bool { Binary::Xor } else { Binary::Add };
            let next = g.binary(op, s[0], x[0]);
            (vec![s[0], next, s[1]], vec![next])
        });
    }
    let states = vec![sample(DType::F32, [6], 6), sample(DType::F32, [6], 7)];
    s.add_step("states that change places", 0, vec![], states, |_, _, s| (vec![], vec![s[1], s[0]]));
    for dtype in [DType::U32, DType::F32] {
        for (i, shape) in shapes().into_iter().enumerate() {
            let seed = literal(DType::U32, [2], &[hash(1, i as u32) as f64, hash(2, i as u32) as f64]);
            let step = literal(DType::U32, [], &[[0.0, 1.0, u32::MAX as f64][i % 3]]);
            s.op(0, Op::Random { shape, dtype, stream: [0, 1, 0xDEAD_BEEF][i % 3] }, vec![seed, step]);
        }
    }
}

/// Where a function of floats is well-behaved.
fn domain(op: Unary) -> (f32, f32) {
    match op {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round => (-5.0, 5.0),
        Unary::Exp | Unary::Sin | Unary::Cos | Unary::Erf | Unary::Tanh | Unary::IsFinite | Unary::Not => (-3.0, 3.0),
        Unary::Expm1 => (-1.0, 1.0),
        Unary::Log1p => (-0.5, 3.0),
        Unary::Log | Unary::Sqrt | Unary::Rsqrt | Unary::Recip => (0.1, 4.0),
        Unary::Sigmoid => (-6.0, 6.0),
    }
}

/// Unary, binary, comparisons and select.
pub(super) fn elementwise(s: &mut Suite) {
    let float_unary = || Unary::ALL.iter().copied().filter(|&op| op != Unary::Not);
    let logical = [Binary::And, Binary::Or, Binary::Xor];
    let arithmetic = || Binary::ALL.iter().copied().filter(move |op| !logical.contains(op));
    for dtype in FLOATS {
        for op in float_unary() {
            let (lo, hi) = domain(op);
            s.op(0, Op::Unary(op), vec![uniform(dtype, [5, 33], 1, lo, hi)]);
        }
        for op in [Unary::Sign, Unary::Floor, Unary::Ceil, Unary::Round] {
            s.op(0, Op::Unary(op), vec![grid(dtype, [65], 2, (-16, 16), 0.25)]);
        }
        for shape in shapes() {
            s.add("unary", 0, vec![uniform(dtype, &shape, 3, 0.1, 3.0)], |g, x| {
                float_unary().map(|op| g.unary(op, x[0])).collect()
            });
            let inputs = vec![uniform(dtype, &shape, 4, -3.0, 3.0), uniform(dtype, &shape, 5, 0.3, 3.0)];
            s.add("binary", 0, inputs, |g, x| {
                [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min]
                    .map(|op| g.binary(op, x[0], x[1]))
                    .to_vec()
            });
        }
        for op in arithmetic() {
            let inputs = match op {
                // Odd eighths by whole quarters: no quotient comes near an integer.
                Binary::Rem => {
                    let (odd, whole) = (grid(dtype, [165], 6, (-16, 15), 0.25), grid(dtype, [165], 7, (2, 12), 0.25));
                    let odd: Vec<f64> = odd.to_f64().into_iter().map(|v| v + 0.125).collect();
                    vec![literal(dtype, [165], &odd), whole]
                }
                Binary::Pow => vec![uniform(dtype, [165], 6, 0.3, 2.0), uniform(dtype, [165], 7, -2.0, 2.0)],
                _ => vec![uniform(dtype, [165], 6, -3.0, 3.0), uniform(dtype, [165], 7, 0.3, 3.0)],
            };
            s.op(0, Op::Binary(op), inputs);
        }
    }
    for dtype in INTS {
        let range = whole_range(dtype);
        for op in arithmetic().chain(logical).filter(|&op| op != Binary::Pow) {
            let whole = |seed| grid(dtype, [5, 33], seed, range, 1.0);
            s.op(0, Op::Binary(op), vec![whole(1), whole(2)]);
            s.op(0, Op::Binary(op), vec![whole(3), grid(dtype, [5, 33], 4, (-3, 3), 1.0)]);
        }
        for shape in shapes() {
            s.op(0, Op::Binary(Binary::Mul), vec![sample(dtype, &shape, 1), sample(dtype, &shape, 2)]);
        }
    }
    let edge = |data: &[f64]| literal(DType::I32, [4], data);
    let min = i32::MIN as f64;
    for op in [Binary::Div, Binary::Rem] {
        s.op(0, Op::Binary(op), vec![edge(&[min, min, 5.0, -7.0]), edge(&[-1.0, 0.0, 0.0, 2.0])]);
    }
    for op in [Unary::Neg, Unary::Abs, Unary::Sign] {
        s.op(0, Op::Unary(op), vec![edge(&[min, -1.0, 0.0, i32::MAX as f64])]);
        s.op(0, Op::Unary(op), vec![grid(DType::I32, [5, 33], 1, whole_range(DType::I32), 1.0)]);
    }
    for shape in shapes() {
        let bools = |seed| sample(DType::Bool, &shape, seed);
        s.op(0, Op::Unary(Unary::Not), vec![bools(1)]);
        for op in logical {
            s.op(0, Op::Binary(op), vec![bools(2), bools(3)]);
        }
    }
    for dtype in ALL {
        // Few distinct values, so that equal pairs come up.
        let few = |seed| grid(dtype, [5, 33], seed, (if dtype.is_float() { -3 } else { 0 }, 3), 1.0);
        for &op in Compare::ALL {
            s.op(0, Op::Compare(op), vec![few(1), few(2)]);
        }
        for shape in shapes() {
            let inputs = vec![sample(DType::Bool, &shape, 1), sample(dtype, &shape, 2), sample(dtype, &shape, 3)];
            s.op(0, Op::Select, inputs);
        }
    }
}

/// Every pair of dtypes, saturating and wrapping included.
pub(super) fn casts(s: &mut Suite) {
    for from in ALL {
        for to in ALL {
            s.op(0, Op::Cast(to), vec![sample(from, [5, 33], 1)]);
        }
    }
    for from in FLOATS {
        for to in INTS {
            s.op(0, Op::Cast(to), vec![grid(from, [65], 2, (-20, 20), 37.25)]);
        }
    }
    for from in INTS {
        for to in INTS.into_iter().chain([DType::F32, DType::Bool]) {
            s.op(0, Op::Cast(to), vec![grid(from, [65], 3, whole_range(from), 1.0)]);
        }
    }
    s.op(0, Op::Cast(DType::F32), vec![sample(DType::U8, [0], 1)]);
    s.op(0, Op::Cast(DType::F32), vec![sample(DType::U8, [3, 5, 7, 33], 1)]);
}

/// NaN, infinities and zeros. A language without promises about them may leave these cases out by name.
pub(super) fn special_values(s: &mut Suite) {
    let x = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 2.0];
    for dtype in FLOATS {
        let special = |shape: &[usize], data: &[f64]| literal(dtype, shape, data);
        s.add("special unary", 0, vec![special(&[8], &x)], |g, v| {
            [Unary::IsFinite, Unary::Neg, Unary::Abs, Unary::Sign, Unary::Exp, Unary::Tanh, Unary::Sigmoid, Unary::Erf]
                .map(|op| g.unary(op, v[0]))
                .to_vec()
        });
        let left: Vec<f64> = x.iter().flat_map(|&v| [v; 8]).collect();
        let pairs = || vec![special(&[64], &left), special(&[64], &x.repeat(8))];
        s.add("special compare", 0, pairs(), |g, v| Compare::ALL.iter().map(|&op| g.compare(op, v[0], v[1])).collect());
        s.add("special binary", 0, pairs(), |g, v| {
            [Binary::Add, Binary::Mul, Binary::Max, Binary::Min].map(|op| g.binary(op, v[0], v[1])).to_vec()
        });
        s.add("special zeros", 0, vec![special(&[8], &x)], |g, v| {
            // In one kernel, which must not take one constant for the other.
            let [by_plus, by_minus] = [0.0, -0.0].map(|zero| {
                let zero = g.full_like(zero, v[0]);
                g.binary(Binary::Div, v[0], zero)
            });
            vec![g.binary(Binary::Max, by_plus, by_minus), g.binary(Binary::Min, by_plus, by_minus)]
        });
        s.add("special cast", 0, vec![special(&[8], &x)], |g, v| {
            [DType::I32, DType::U32, DType::U8, DType::Bool].map(|to| g.cast(v[0], to)).to_vec()
        });
        s.add("special reduce", 64, vec![special(&[8, 8], &left)], |g, v| {
            let places = [ArgOp::Max, ArgOp::Min].map(|op| Op::ArgReduce { op, axes: vec![0] });
            let mut out = places.map(|op| g.add_op(op, v)).to_vec();
            out.extend([ReduceOp::Max, ReduceOp::Min, ReduceOp::Sum].map(|op| g.reduce(op, v[0], &[1])));
            out.extend([ReduceOp::Max, ReduceOp::Min, ReduceOp::Sum].map(|op| g.reduce(op, v[0], &[0, 1])));
            out
        });
    }
}
