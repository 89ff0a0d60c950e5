//! Element-wise functions over lanes: one loop a function, over plain slices, so that the compiler turns
//! each into vector code. Lanes are 32 bits wide: floats as f32, integers as they are, bool as 0 or 1.

use half::{bf16, f16};

use crate::ir::{Binary, Compare, DType, Unary};

#[inline(always)]
fn map(a: &[u32], to: &mut [u32], f: impl Fn(u32) -> u32) {
    for (to, &a) in to.iter_mut().zip(a) {
        *to = f(a);
    }
}

#[inline(always)]
fn float(a: &[u32], to: &mut [u32], f: impl Fn(f32) -> f32) {
    map(a, to, |a| f(f32::from_bits(a)).to_bits());
}

#[inline(always)]
fn zip(a: &[u32], b: &[u32], to: &mut [u32], f: impl Fn(u32, u32) -> u32) {
    for ((to, &a), &b) in to.iter_mut().zip(a).zip(b) {
        *to = f(a, b);
    }
}

#[inline(always)]
fn floats(a: &[u32], b: &[u32], to: &mut [u32], f: impl Fn(f32, f32) -> f32) {
    zip(a, b, to, |a, b| f(f32::from_bits(a), f32::from_bits(b)).to_bits());
}

#[inline(always)]
fn ints(a: &[u32], b: &[u32], to: &mut [u32], f: impl Fn(i32, i32) -> i32) {
    zip(a, b, to, |a, b| f(a as i32, b as i32) as u32);
}

/// A function of one value.
#[inline(always)]
pub(super) fn unary(op: Unary, dtype: DType, a: &[u32], to: &mut [u32]) {
    if !dtype.is_float() {
        return match op {
            Unary::Neg => map(a, to, |a| (a as i32).wrapping_neg() as u32),
            Unary::Abs => map(a, to, |a| (a as i32).wrapping_abs() as u32),
            Unary::Sign => map(a, to, |a| (a as i32).signum() as u32),
            _ => map(a, to, |a| (a == 0) as u32),
        };
    }
    match op {
        Unary::Neg => float(a, to, |x| -x),
        Unary::Abs => float(a, to, f32::abs),
        Unary::Sign => float(a, to, |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x + 0.0
            }
        }),
        Unary::Exp => float(a, to, f32::exp),
        Unary::Log => float(a, to, f32::ln),
        Unary::Expm1 => float(a, to, f32::exp_m1),
        Unary::Log1p => float(a, to, f32::ln_1p),
        Unary::Sqrt => float(a, to, f32::sqrt),
        Unary::Rsqrt => float(a, to, |x| 1.0 / x.sqrt()),
        Unary::Recip => float(a, to, |x| 1.0 / x),
        Unary::Sin => float(a, to, f32::sin),
        Unary::Cos => float(a, to, f32::cos),
        Unary::Tanh => float(a, to, f32::tanh),
        Unary::Sigmoid => float(a, to, |x| 1.0 / (1.0 + (-x).exp())),
        Unary::Erf => float(a, to, libm::erff),
        Unary::Floor => float(a, to, f32::floor),
        Unary::Ceil => float(a, to, f32::ceil),
        Unary::Round => float(a, to, f32::round_ties_even),
        Unary::IsFinite => map(a, to, |a| f32::from_bits(a).is_finite() as u32),
        Unary::Not => map(a, to, |a| (a == 0) as u32),
    }
}

/// A function of two values of one dtype.
#[inline(always)]
pub(super) fn binary(op: Binary, dtype: DType, a: &[u32], b: &[u32], to: &mut [u32]) {
    match op {
        Binary::And => return zip(a, b, to, |a, b| a & b),
        Binary::Or => return zip(a, b, to, |a, b| a | b),
        Binary::Xor => return zip(a, b, to, |a, b| a ^ b),
        _ => {}
    }
    match dtype {
        DType::I32 => match op {
            Binary::Add => ints(a, b, to, i32::wrapping_add),
            Binary::Sub => ints(a, b, to, i32::wrapping_sub),
            Binary::Mul => ints(a, b, to, i32::wrapping_mul),
            Binary::Div => ints(a, b, to, |a, b| if b == 0 { 0 } else { a.wrapping_div(b) }),
            Binary::Rem => ints(a, b, to, |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) }),
            Binary::Max => ints(a, b, to, i32::max),
            _ => ints(a, b, to, i32::min),
        },
        DType::U32 | DType::U8 | DType::Bool => {
            match op {
                Binary::Add => zip(a, b, to, u32::wrapping_add),
                Binary::Sub => zip(a, b, to, u32::wrapping_sub),
                Binary::Mul => zip(a, b, to, u32::wrapping_mul),
                Binary::Div => zip(a, b, to, |a, b| a.checked_div(b).unwrap_or(0)),
                Binary::Rem => zip(a, b, to, |a, b| a.checked_rem(b).unwrap_or(0)),
                Binary::Max => zip(a, b, to, u32::max),
                _ => zip(a, b, to, u32::min),
            }
            if dtype == DType::U8 {
                to.iter_mut().for_each(|v| *v &= 0xff);
            }
        }
        DType::F64 | DType::F32 | DType::BF16 | DType::F16 => match op {
            Binary::Add => floats(a, b, to, |a, b| a + b),
            Binary::Sub => floats(a, b, to, |a, b| a - b),
            Binary::Mul => floats(a, b, to, |a, b| a * b),
            Binary::Div => floats(a, b, to, |a, b| a / b),
            Binary::Rem => floats(a, b, to, |a, b| a % b),
            Binary::Pow => floats(a, b, to, f32::powf),
            Binary::Max => floats(a, b, to, larger),
            _ => floats(a, b, to, smaller),
        },
    }
}

/// The larger; NaN if either is NaN.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// The smaller; NaN if either is NaN.
#[inline(always)]
pub(super) fn smaller(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

/// A comparison of two values of one dtype.
#[inline(always)]
pub(super) fn compare(op: Compare, dtype: DType, a: &[u32], b: &[u32], to: &mut [u32]) {
    #[inline(always)]
    fn of<T: PartialOrd>(op: Compare, a: &[u32], b: &[u32], to: &mut [u32], held: impl Fn(u32) -> T) {
        match op {
            Compare::Eq => zip(a, b, to, |a, b| (held(a) == held(b)) as u32),
            Compare::Ne => zip(a, b, to, |a, b| (held(a) != held(b)) as u32),
            Compare::Lt => zip(a, b, to, |a, b| (held(a) < held(b)) as u32),
            Compare::Le => zip(a, b, to, |a, b| (held(a) <= held(b)) as u32),
        }
    }
    match dtype {
        DType::I32 => of(op, a, b, to, |v| v as i32),
        DType::U32 | DType::U8 | DType::Bool => of(op, a, b, to, |v| v),
        DType::F64 | DType::F32 | DType::BF16 | DType::F16 => of(op, a, b, to, f32::from_bits),
    }
}

/// `c ? a : b`, by masks, so that no lane branches.
#[inline(always)]
pub(super) fn select(c: &[u32], a: &[u32], b: &[u32], to: &mut [u32]) {
    for (((to, &c), &a), &b) in to.iter_mut().zip(c).zip(a).zip(b) {
        let mask = ((c != 0) as u32).wrapping_neg();
        *to = (a & mask) | (b & !mask);
    }
}

/// A conversion.
#[inline(always)]
pub(super) fn cast(from: DType, into: DType, a: &[u32], to: &mut [u32]) {
    match (from.is_float(), into) {
        (true, DType::F64 | DType::F32) => to.copy_from_slice(a),
        (true, DType::BF16 | DType::F16) => float(a, to, |x| rounded(into, x)),
        (true, DType::I32) => map(a, to, |a| f32::from_bits(a) as i32 as u32),
        (true, DType::U32) => map(a, to, |a| f32::from_bits(a) as u32),
        (true, DType::U8) => map(a, to, |a| f32::from_bits(a) as u8 as u32),
        (true, DType::Bool) => map(a, to, |a| (f32::from_bits(a) != 0.0) as u32),
        (false, DType::F64 | DType::F32 | DType::BF16 | DType::F16) => {
            if from == DType::I32 {
                map(a, to, |a| rounded(into, a as i32 as f32).to_bits());
            } else {
                map(a, to, |a| rounded(into, a as f32).to_bits());
            }
        }
        (false, DType::U8) => map(a, to, |a| a & 0xff),
        (false, DType::Bool) => map(a, to, |a| (a != 0) as u32),
        (false, DType::I32 | DType::U32) => to.copy_from_slice(a),
    }
}

/// A float as its dtype holds it.
#[inline(always)]
fn rounded(dtype: DType, x: f32) -> f32 {
    match dtype {
        DType::BF16 => bf16::from_f32(x).to_f32(),
        DType::F16 => f16::from_f32(x).to_f32(),
        _ => x,
    }
}
