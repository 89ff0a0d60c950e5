//! Library kernels that are plain loops: running sums and scattered adds, and the conversion of narrow
//! floats, which are widened to f32, computed, and rounded once.

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use crate::ir::DType;

/// A number type that sums.
pub(super) trait Number: Copy {
    /// 0.
    const ZERO: Self;
    /// a + b, wrapping for integers.
    fn plus(self, other: Self) -> Self;
}

impl Number for f32 {
    const ZERO: Self = 0.0;
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Number for u32 {
    const ZERO: Self = 0;
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Number for u8 {
    const ZERO: Self = 0;
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

/// Running sums along the middle axis of `[outer, n, inner]`.
pub(super) fn cumsum<T: Number>([outer, n, inner]: [usize; 3], exclusive: bool, reverse: bool, x: &[T], out: &mut [T]) {
    for o in 0..outer {
        for i in 0..inner {
            let mut sum = T::ZERO;
            for j in 0..n {
                let j = if reverse { n - 1 - j } else { j };
                let at = (o * n + j) * inner + i;
                let next = sum.plus(x[at]);
                out[at] = if exclusive { sum } else { next };
                sum = next;
            }
        }
    }
}

/// `out = base`, then `out[o, index[j], i] += updates[o, j, i]`; an index outside is left out.
pub(super) fn scatter_add<T: Number>(
    [outer, n, indices, inner]: [usize; 4],
    base: &[T],
    index: &[i32],
    updates: &[T],
    out: &mut [T],
) {
    out.copy_from_slice(base);
    for o in 0..outer {
        for (j, &to) in index.iter().enumerate() {
            let Some(to) = usize::try_from(to).ok().filter(|&to| to < n) else { continue };
            let from = &updates[(o * indices + j) * inner..][..inner];
            for (out, &v) in out[(o * n + to) * inner..][..inner].iter_mut().zip(from) {
                *out = out.plus(v);
            }
        }
    }
}

/// Widens bf16 or f16 to f32.
pub(super) fn widen(dtype: DType, from: &[u16], to: &mut [f32]) {
    match dtype {
        DType::BF16 => to.iter_mut().zip(from).for_each(|(to, &bits)| *to = f32::from_bits((bits as u32) << 16)),
        _ => from.reinterpret_cast::<f16>().convert_to_f32_slice(to),
    }
}

/// Rounds f32 to bf16 or f16.
pub(super) fn narrow(dtype: DType, from: &[f32], to: &mut [u16]) {
    match dtype {
        DType::BF16 => to.iter_mut().zip(from).for_each(|(to, &v)| *to = bf16_bits(v)),
        _ => to.reinterpret_cast_mut::<f16>().convert_from_f32_slice(from),
    }
}

/// The bits of the nearest bf16, ties to even.
#[inline(always)]
fn bf16_bits(v: f32) -> u16 {
    let bits = v.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // Rounding could make an infinity of a NaN.
    let nan = bits >> 16 | 0x40;
    (if v.is_nan() { nan } else { rounded }) as u16
}
