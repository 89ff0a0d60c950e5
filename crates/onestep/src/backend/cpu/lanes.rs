//! Element-wise functions over lanes: one loop a function, over plain slices, so that the compiler turns
//! each into vector code. Lanes are 32 bits wide: floats as f32, integers as they are, bool as 0 or 1.

use half::{bf16, f16};

use super::math;
use crate::ir::{Binary, Compare, DType, Unary};

#[inline(always)]
fn map(a: &[u32], to: &mut [u32], f: impl Fn(u32) -> u32) {
    for (to, &a) in to.iter_mut().zip(a) {
        *to = f(a);
    }
}

/// A function of a float.
#[inline(always)]
fn float(a: &[u32], to: &mut [u32], f: impl Fn(f32) -> f32) {
    map(a, to, |a| f(f32::from_bits(a)).to_bits());
}

/// As [`float`], for a periodic `f` that holds up to [`math::TURNS_LIMIT`]; `far` knows the rest.
#[inline(always)]
fn turning(a: &[u32], to: &mut [u32], f: impl Fn(f32) -> f32, far: fn(f32) -> f32) {
    let is_far = |a: u32| (f32::from_bits(a).abs() > math::TURNS_LIMIT) & f32::from_bits(a).is_finite();
    float(a, to, f);
    if a.iter().fold(false, |any, &a| any | is_far(a)) {
        for (to, &a) in to.iter_mut().zip(a) {
            if is_far(a) {
                *to = far(f32::from_bits(a)).to_bits();
            }
        }
    }
}

#[inline(always)]
fn zip(a: &[u32], b: &[u32], to: &mut [u32], f: impl Fn(u32, u32) -> u32) {
    for ((to, &a), &b) in to.iter_mut().zip(a).zip(b) {
        *to = f(a, b);
    }
}

/// A function of two floats.
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
        Unary::Exp => float(a, to, math::exp),
        Unary::Log => float(a, to, math::log),
        Unary::Expm1 => float(a, to, math::expm1),
        Unary::Log1p => float(a, to, math::log1p),
        Unary::Sqrt => float(a, to, f32::sqrt),
        Unary::Rsqrt => float(a, to, |x| 1.0 / x.sqrt()),
        Unary::Recip => float(a, to, |x| 1.0 / x),
        Unary::Sin => turning(a, to, math::sin, libm::sinf),
        Unary::Cos => turning(a, to, math::cos, libm::cosf),
        Unary::Tanh => float(a, to, math::tanh),
        Unary::Sigmoid => float(a, to, math::sigmoid),
        Unary::Erf => float(a, to, math::erf),
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
            Binary::Pow => floats(a, b, to, math::pow),
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

/// `a op b ? x : y` for floats a and b.
#[inline(always)]
pub(super) fn select_by(op: Compare, [a, b]: [&[u32]; 2], [x, y]: [&[u32]; 2], to: &mut [u32]) {
    #[inline(always)]
    fn by([a, b]: [&[u32]; 2], [x, y]: [&[u32]; 2], to: &mut [u32], holds: impl Fn(f32, f32) -> bool) {
        for ((((to, &a), &b), &x), &y) in to.iter_mut().zip(a).zip(b).zip(x).zip(y) {
            let mask = (holds(f32::from_bits(a), f32::from_bits(b)) as u32).wrapping_neg();
            *to = (x & mask) | (y & !mask);
        }
    }
    match op {
        Compare::Eq => by([a, b], [x, y], to, |a, b| a == b),
        Compare::Ne => by([a, b], [x, y], to, |a, b| a != b),
        Compare::Lt => by([a, b], [x, y], to, |a, b| a < b),
        Compare::Le => by([a, b], [x, y], to, |a, b| a <= b),
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
        // As i32 what fits: vectors have no conversion from u32.
        (false, DType::F64 | DType::F32) => match from {
            DType::U32 => map(a, to, |a| (a as f32).to_bits()),
            _ => map(a, to, |a| (a as i32 as f32).to_bits()),
        },
        (false, DType::BF16 | DType::F16) => match from {
            DType::U32 => map(a, to, |a| rounded(into, a as f32).to_bits()),
            _ => map(a, to, |a| rounded(into, a as i32 as f32).to_bits()),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_gives_the_same_bits_wherever_it_stands() {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn wide(op: Unary, a: &[u32], to: &mut [u32]) {
            unary(op, DType::F32, a, to);
        }
        let here = |op: Unary, a: &[u32], to: &mut [u32]| {
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                // SAFETY: the CPU has the features.
                return unsafe { wide(op, a, to) };
            }
            unary(op, DType::F32, a, to);
        };
        let a: Vec<u32> = (0..1021u32).map(|i| i.wrapping_mul(0x9e37_79b9) ^ (i << 7)).collect();
        for &op in Unary::ALL.iter().filter(|op| !matches!(op, Unary::Not | Unary::IsFinite)) {
            let (mut whole, mut one) = (vec![0; a.len()], [0]);
            here(op, &a, &mut whole);
            for (i, &x) in a.iter().enumerate() {
                unary(op, DType::F32, &[x], &mut one);
                let both_nan = f32::from_bits(whole[i]).is_nan() && f32::from_bits(one[0]).is_nan();
                assert!(both_nan || whole[i] == one[0], "{} of {:e} at {i}", op.name(), f32::from_bits(x));
            }
        }
    }

    #[test]
    fn sines_of_far_values_are_right_too() {
        let a: Vec<u32> = [1e9f32, 3.0, -2e7, 3.4e38, f32::INFINITY, 1e6, 1_000_000.1].map(f32::to_bits).to_vec();
        let mut to = vec![0; a.len()];
        for (op, exact) in [(Unary::Sin, f64::sin as fn(f64) -> f64), (Unary::Cos, f64::cos)] {
            unary(op, DType::F32, &a, &mut to);
            for (&x, &y) in a.iter().zip(&to) {
                let (want, got) = (exact(f32::from_bits(x) as f64), f32::from_bits(y) as f64);
                assert!((want - got).abs() <= 2e-7 || want.is_nan() && got.is_nan(), "{got}, not {want}");
            }
        }
    }
}
