//! Element-wise functions on single elements.

use crate::ir::{Binary, Compare, DType, Unary};

/// An integer brought into the range of an integer dtype by dropping its high bits.
pub(super) fn wrap(dtype: DType, v: i64) -> f64 {
    match dtype {
        DType::I32 => v as i32 as f64,
        DType::U32 => v as u32 as f64,
        DType::U8 => v as u8 as f64,
        DType::Bool => (v != 0) as u8 as f64,
        DType::F64 | DType::F32 | DType::BF16 | DType::F16 => v as f64,
    }
}

/// Converts an element. Float to integer truncates, saturates and sends NaN to 0; integer to integer wraps.
pub(super) fn cast(from: DType, to: DType, x: f64) -> f64 {
    match to {
        DType::F64 | DType::F32 | DType::BF16 | DType::F16 => x,
        DType::Bool => (x != 0.0) as u8 as f64,
        _ if !from.is_float() => wrap(to, x as i64),
        DType::I32 => x as i32 as f64,
        DType::U32 => x as u32 as f64,
        DType::U8 => x as u8 as f64,
    }
}

/// A function of one element; `dtype` is that of the result.
pub(super) fn unary(op: Unary, dtype: DType, x: f64) -> f64 {
    let y = match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign if x == 0.0 || x.is_nan() => x,
        Unary::Sign => x.signum(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Expm1 => libm::expm1(x),
        Unary::Log1p => libm::log1p(x),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Recip => 1.0 / x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Erf => libm::erf(x),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::IsFinite => x.is_finite() as u8 as f64,
        Unary::Not => (x == 0.0) as u8 as f64,
    };
    if dtype.is_int() { wrap(dtype, y as i64) } else { y }
}

/// A function of two elements of one dtype.
pub(super) fn binary(op: Binary, dtype: DType, a: f64, b: f64) -> f64 {
    if dtype.is_float() { float(op, a, b) } else { wrap(dtype, integer(op, a as i64, b as i64)) }
}

fn float(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Rem => a % b,
        Binary::Pow => a.powf(b),
        Binary::Max | Binary::Min if a.is_nan() || b.is_nan() => f64::NAN,
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::And | Binary::Or | Binary::Xor => panic!("onestep bug: {} on floats", op.name()),
    }
}

/// The exact result where it fits 64 bits, else its low 64 bits: the low 32 are right either way.
fn integer(op: Binary, a: i64, b: i64) -> i64 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.checked_div(b).unwrap_or(0),
        Binary::Rem => a.checked_rem(b).unwrap_or(0),
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::Pow => panic!("onestep bug: pow on integers"),
    }
}

/// A comparison: 1 or 0.
pub(super) fn compare(op: Compare, a: f64, b: f64) -> f64 {
    let holds = match op {
        Compare::Eq => a == b,
        Compare::Ne => a != b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
    };
    holds as u8 as f64
}

#[cfg(test)]
mod tests {
    use super::super::tests::{floats, run, value};
    use super::*;
    use crate::ir::Op;

    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;

    #[test]
    fn unary_on_floats() {
        let cases = [
            (Unary::Neg, 2.0, -2.0),
            (Unary::Abs, -2.0, 2.0),
            (Unary::Sign, -3.0, -1.0),
            (Unary::Sign, 0.0, 0.0),
            (Unary::Exp, 1.0, std::f64::consts::E),
            (Unary::Log, std::f64::consts::E, 1.0),
            (Unary::Expm1, 1e-10, 1.00000000005e-10),
            (Unary::Log1p, 1e-10, 0.99999999995e-10),
            (Unary::Sqrt, 9.0, 3.0),
            (Unary::Rsqrt, 4.0, 0.5),
            (Unary::Recip, 4.0, 0.25),
            (Unary::Sin, std::f64::consts::FRAC_PI_6, 0.5),
            (Unary::Cos, std::f64::consts::FRAC_PI_3, 0.5),
            (Unary::Tanh, 0.5, 0.46211715726000975),
            (Unary::Sigmoid, 0.0, 0.5),
            (Unary::Sigmoid, -1e9, 0.0),
            (Unary::Erf, 0.5, 0.5204998778130465),
            (Unary::Floor, -1.5, -2.0),
            (Unary::Ceil, -1.5, -1.0),
            (Unary::Round, 2.5, 2.0),
            (Unary::Round, -3.5, -4.0),
        ];
        for (op, x, want) in cases {
            let got = run(Op::Unary(op), &[floats([1], &[x])]).data[0];
            assert!((got - want).abs() <= 1e-15 * want.abs(), "{}({x}) = {got}, not {want}", op.name());
        }
        assert!(unary(Unary::Sign, DType::F32, NAN).is_nan());
        assert_eq!(run(Op::Unary(Unary::IsFinite), &[floats([3], &[NAN, INF, 1.0])]).data, [0.0, 0.0, 1.0]);
        assert_eq!(run(Op::Unary(Unary::Not), &[value(DType::Bool, [2], &[0.0, 1.0])]).data, [1.0, 0.0]);
    }

    #[test]
    fn integers_wrap() {
        let min = i32::MIN as f64;
        assert_eq!(unary(Unary::Neg, DType::I32, min), min);
        assert_eq!(unary(Unary::Abs, DType::I32, min), min);
        assert_eq!(binary(Binary::Add, DType::I32, i32::MAX as f64, 1.0), min);
        assert_eq!(binary(Binary::Sub, DType::U32, 0.0, 1.0), u32::MAX as f64);
        assert_eq!(binary(Binary::Mul, DType::U32, u32::MAX as f64, u32::MAX as f64), 1.0);
        assert_eq!(binary(Binary::Mul, DType::U8, 16.0, 17.0), 16.0);
        assert_eq!(binary(Binary::Div, DType::I32, min, -1.0), min);
        assert_eq!(binary(Binary::Rem, DType::I32, min, -1.0), 0.0);
    }

    #[test]
    fn integer_division_truncates_and_by_zero_gives_zero() {
        assert_eq!(binary(Binary::Div, DType::I32, -7.0, 2.0), -3.0);
        assert_eq!(binary(Binary::Rem, DType::I32, -7.0, 2.0), -1.0);
        assert_eq!(binary(Binary::Div, DType::I32, 7.0, 0.0), 0.0);
        assert_eq!(binary(Binary::Rem, DType::U8, 7.0, 0.0), 0.0);
    }

    #[test]
    fn bits() {
        for (op, want) in [(Binary::And, 0b1000), (Binary::Or, 0b1110), (Binary::Xor, 0b0110)] {
            assert_eq!(binary(op, DType::U8, 0b1010 as f64, 0b1100 as f64), want as f64);
        }
        assert_eq!(binary(Binary::And, DType::I32, -1.0, 5.0), 5.0);
        assert_eq!(binary(Binary::Xor, DType::Bool, 1.0, 1.0), 0.0);
    }

    #[test]
    fn binary_on_floats() {
        let of = |op, a, b| run(Op::Binary(op), &[floats([1], &[a]), floats([1], &[b])]).data[0];
        assert_eq!(of(Binary::Sub, 1.0, 3.0), -2.0);
        assert_eq!(of(Binary::Div, 1.0, 0.0), INF);
        assert_eq!(of(Binary::Rem, -7.5, 2.0), -1.5);
        assert_eq!(of(Binary::Pow, 2.0, -2.0), 0.25);
        assert_eq!(of(Binary::Max, 1.0, 3.0), 3.0);
        assert!(of(Binary::Max, 1.0, NAN).is_nan() && of(Binary::Min, NAN, 1.0).is_nan());
    }

    #[test]
    fn comparisons_are_false_on_nan_but_for_ne() {
        let of = |op, a, b| run(Op::Compare(op), &[floats([1], &[a]), floats([1], &[b])]).data[0] == 1.0;
        assert!(of(Compare::Lt, 1.0, 2.0) && !of(Compare::Lt, 2.0, 2.0) && of(Compare::Le, 2.0, 2.0));
        assert!(of(Compare::Eq, 2.0, 2.0) && of(Compare::Ne, 1.0, 2.0) && of(Compare::Ne, NAN, NAN));
        assert!(!of(Compare::Eq, NAN, NAN) && !of(Compare::Lt, NAN, 1.0) && !of(Compare::Le, 1.0, NAN));
    }

    #[test]
    fn select_picks() {
        let condition = value(DType::Bool, [2], &[1.0, 0.0]);
        let got = run(Op::Select, &[condition, floats([2], &[1.0, 2.0]), floats([2], &[3.0, 4.0])]);
        assert_eq!(got.data, [1.0, 4.0]);
    }

    #[test]
    fn casts_truncate_saturate_and_wrap() {
        let of = |from, to, x| run(Op::Cast(to), &[value(from, [1], &[x])]).data[0];
        assert_eq!(of(DType::F32, DType::I32, -2.9), -2.0);
        assert_eq!(of(DType::F32, DType::I32, 1e20), i32::MAX as f64);
        assert_eq!(of(DType::F32, DType::U8, 300.0), 255.0);
        assert_eq!(of(DType::F32, DType::U32, -5.0), 0.0);
        assert_eq!(of(DType::F32, DType::I32, NAN), 0.0);
        assert_eq!(of(DType::I32, DType::U8, -1.0), 255.0);
        assert_eq!(of(DType::U32, DType::I32, u32::MAX as f64), -1.0);
        assert_eq!(of(DType::F32, DType::Bool, 0.5), 1.0);
        assert_eq!(of(DType::Bool, DType::F16, 1.0), 1.0);
    }
}
