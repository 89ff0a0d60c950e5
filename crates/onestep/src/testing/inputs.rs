//! What goes into the conformance suite: dtypes, shapes and reproducible contents.

use super::{fill, hash, sound};
use crate::ir::{DType, Literal, Shape};

/// The float dtypes of devices.
pub(super) const FLOATS: [DType; 3] = [DType::F32, DType::BF16, DType::F16];
/// The integer dtypes.
pub(super) const INTS: [DType; 3] = [DType::I32, DType::U32, DType::U8];
/// All but bool.
pub(super) const NUMBERS: [DType; 6] = [DType::F32, DType::BF16, DType::F16, DType::I32, DType::U32, DType::U8];
/// Every dtype of devices.
pub(super) const ALL: [DType; 7] =
    [DType::F32, DType::BF16, DType::F16, DType::I32, DType::U32, DType::U8, DType::Bool];

/// Scalar, one element, none, odd, flat, and large enough for several blocks.
pub(super) fn shapes() -> Vec<Shape> {
    let dims: [&[usize]; 9] = [&[], &[1], &[0], &[3, 0, 2], &[7], &[5, 3], &[2, 1, 4], &[3, 5, 7, 33], &[10_007]];
    dims.into_iter().map(Shape::from).collect()
}

/// A literal of the dtype nearest to the numbers.
pub(super) fn literal(dtype: DType, shape: impl Into<Shape>, data: &[f64]) -> Literal {
    sound(Literal::from_f64(dtype, shape, data))
}

/// Floats in [lo, hi), rounded to the dtype.
pub(super) fn uniform(dtype: DType, shape: impl Into<Shape>, seed: u32, lo: f32, hi: f32) -> Literal {
    let shape = shape.into();
    let data: Vec<f64> = fill(seed, shape.elements(), lo, hi).into_iter().map(f64::from).collect();
    literal(dtype, shape, &data)
}

/// Whole multiples, lo to hi, of a unit; what lies outside an integer dtype saturates.
pub(super) fn grid(dtype: DType, shape: impl Into<Shape>, seed: u32, (lo, hi): (i64, i64), unit: f64) -> Literal {
    let shape = shape.into();
    let number = |i: usize| (lo + hash(seed, i as u32) as i64 % (hi - lo + 1)) as f64 * unit;
    literal(dtype, &shape, &(0..shape.elements()).map(number).collect::<Vec<_>>())
}

/// What suits most ops: floats in [-3, 3), small integers, bools of both kinds.
pub(super) fn sample(dtype: DType, shape: impl Into<Shape>, seed: u32) -> Literal {
    match dtype {
        DType::I32 => grid(dtype, shape, seed, (-100, 100), 1.0),
        DType::U32 | DType::U8 => grid(dtype, shape, seed, (0, 200), 1.0),
        DType::Bool => grid(dtype, shape, seed, (0, 1), 1.0),
        DType::F64 | DType::F32 | DType::BF16 | DType::F16 => uniform(dtype, shape, seed, -3.0, 3.0),
    }
}

/// The whole range of an integer dtype.
pub(super) fn whole_range(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::I32 => (i32::MIN as i64, i32::MAX as i64),
        DType::U8 => (0, u8::MAX as i64),
        _ => (0, u32::MAX as i64),
    }
}

/// Every subset of the axes, the empty one first.
pub(super) fn axis_subsets(rank: usize) -> Vec<Vec<usize>> {
    (0..1 << rank).map(|mask: usize| (0..rank).filter(|axis| mask >> axis & 1 == 1).collect()).collect()
}
