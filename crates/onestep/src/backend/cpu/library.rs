//! Library kernels on the CPU: matrix products through the `gemm` crate, running sums and scattered adds
//! as plain loops. Narrow floats are widened to f32, computed, and rounded once.

use half::{bf16, f16};

use super::pool::Pool;
use crate::ir::DType;

/// A matrix in memory: first element, distance of rows and of columns in elements.
#[derive(Clone, Copy)]
pub(super) struct Matrix {
    pub data: *mut f32,
    pub row: isize,
    pub column: isize,
}

// SAFETY: a matrix is a place in a buffer; who multiplies sees to it that threads write distinct rows.
unsafe impl Sync for Matrix {}
// SAFETY: as above.
unsafe impl Send for Matrix {}

impl Matrix {
    /// The matrix from another row and column on.
    ///
    /// # Safety
    /// The place must lie in the same buffer.
    pub(super) unsafe fn from(self, row: usize, column: usize) -> Self {
        // SAFETY: promised by the caller.
        let data = unsafe { self.data.offset(row as isize * self.row + column as isize * self.column) };
        Matrix { data, ..self }
    }
}

/// `out = lhs · rhs`, or `out += lhs · rhs`, on one thread.
///
/// # Safety
/// `out` is m x n, `lhs` m x k, `rhs` k x n, all inside their buffers, and `out` overlaps neither.
pub(super) unsafe fn product(out: Matrix, lhs: Matrix, rhs: Matrix, [m, n, k]: [usize; 3], add: bool) {
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: promised by the caller.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.data,
            out.column,
            out.row,
            add,
            lhs.data,
            lhs.column,
            lhs.row,
            rhs.data,
            rhs.column,
            rhs.row,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Rows (or columns) of a product that one task computes: fixed by shape, so that results do not depend on
/// threads.
const PART: usize = 128;
/// Multiply-adds below which a product stays on one thread.
const WORTH_SHARING: usize = 1 << 21;

/// A batched product, shared out over the threads.
///
/// # Safety
/// As [`product`], for each of `b` matrices the given distances apart.
pub(super) unsafe fn batched(
    pool: &Pool,
    [out, lhs, rhs]: [Matrix; 3],
    distances: [isize; 3],
    [b, m, n, k]: [usize; 4],
) {
    let by_rows = m >= n;
    let long = if by_rows { m } else { n };
    let parts = if b * m * n * k < WORTH_SHARING || k == 0 { 1 } else { long.div_ceil(PART).max(1) };
    let size = long.div_ceil(parts);
    pool.each(b * parts, b * m * n * k >= WORTH_SHARING, |task, _| {
        let (batch, part) = (task / parts, task % parts);
        let (start, end) = (part * size, ((part + 1) * size).min(long));
        if start >= end {
            return;
        }
        // SAFETY: promised by the caller; tasks write distinct parts of `out`.
        unsafe {
            let at = |x: Matrix, d: isize| Matrix { data: x.data.offset(batch as isize * d), ..x };
            let (out, lhs, rhs) = (at(out, distances[0]), at(lhs, distances[1]), at(rhs, distances[2]));
            if by_rows {
                product(out.from(start, 0), lhs.from(start, 0), rhs, [end - start, n, k], false);
            } else {
                product(out.from(0, start), lhs, rhs.from(0, start), [m, end - start, k], false);
            }
        }
    });
}

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
    for (to, &bits) in to.iter_mut().zip(from) {
        *to = if dtype == DType::BF16 { bf16::from_bits(bits).to_f32() } else { f16::from_bits(bits).to_f32() };
    }
}

/// Rounds f32 to bf16 or f16.
pub(super) fn narrow(dtype: DType, from: &[f32], to: &mut [u16]) {
    for (to, &v) in to.iter_mut().zip(from) {
        *to = if dtype == DType::BF16 { bf16::from_f32(v).to_bits() } else { f16::from_f32(v).to_bits() };
    }
}
