//! Tensors in host memory: constants of a graph, what goes to a device and what comes back.

use half::{bf16, f16};

use super::{DType, HostBytes, Shape};
use crate::error::{Error, Result};

/// A dense row-major tensor in host memory, little-endian bytes that clones share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Literal {
    dtype: DType,
    shape: Shape,
    bytes: HostBytes,
}

impl Literal {
    /// Wraps bytes; their number must be what shape and dtype ask for.
    pub fn from_bytes(dtype: DType, shape: impl Into<Shape>, bytes: impl Into<HostBytes>) -> Result<Self> {
        let (shape, bytes) = (shape.into(), bytes.into());
        let len = bytes.bytes().len();
        let want = shape.checked_elements().map(|n| n * dtype.size());
        if want != Some(len) {
            return Err(Error::shape(format!(
                "a tensor {dtype}{shape} does not take {len} bytes; pass as many elements as the shape has"
            )));
        }
        Ok(Literal { dtype, shape, bytes })
    }

    /// Converts numbers to `dtype`, rounding to nearest.
    pub fn from_f64(dtype: DType, shape: impl Into<Shape>, values: &[f64]) -> Result<Self> {
        let mut bytes = Vec::with_capacity(values.len() * dtype.size());
        values.iter().for_each(|&v| push_f64(dtype, v, &mut bytes));
        Literal::from_bytes(dtype, shape, bytes)
    }

    /// An f32 tensor.
    pub fn from_f32(shape: impl Into<Shape>, values: &[f32]) -> Result<Self> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Literal::from_bytes(DType::F32, shape, bytes)
    }

    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let bytes = vec![0u8; shape.elements() * dtype.size()];
        Literal { dtype, shape, bytes: bytes.into() }
    }

    /// A scalar of a dtype.
    pub fn scalar(dtype: DType, value: f64) -> Self {
        let mut bytes = Vec::with_capacity(dtype.size());
        push_f64(dtype, value, &mut bytes);
        Literal { dtype, shape: Shape::scalar(), bytes: bytes.into() }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The little-endian bytes, row-major.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// The same with what holds them.
    pub(crate) fn host(&self) -> &HostBytes {
        &self.bytes
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }

    /// Element `i` (row-major) as f64; integers up to 2^32 are exact.
    pub fn get(&self, i: usize) -> f64 {
        let size = self.dtype.size();
        read_f64(self.dtype, &self.bytes()[i * size..(i + 1) * size])
    }

    /// Every element as f64, row-major.
    pub fn to_f64(&self) -> Vec<f64> {
        self.bytes().chunks_exact(self.dtype.size()).map(|b| read_f64(self.dtype, b)).collect()
    }

    /// Every element as f32, row-major.
    pub fn to_f32(&self) -> Vec<f32> {
        if self.dtype == DType::F32 {
            return self.bytes().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        }
        self.to_f64().into_iter().map(|v| v as f32).collect()
    }

    /// The same bytes with another shape of as many elements.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        Literal::from_bytes(self.dtype, shape, self.bytes.clone())
    }
}

/// Appends a number in a dtype's little-endian form. Integers saturate, NaN becomes 0 there.
pub fn push_f64(dtype: DType, v: f64, out: &mut Vec<u8>) {
    match dtype {
        DType::F64 => out.extend(v.to_le_bytes()),
        DType::F32 => out.extend((v as f32).to_le_bytes()),
        DType::BF16 => out.extend(bf16::from_f64(v).to_le_bytes()),
        DType::F16 => out.extend(f16::from_f64(v).to_le_bytes()),
        DType::I32 => out.extend((v as i32).to_le_bytes()),
        DType::U32 => out.extend((v as u32).to_le_bytes()),
        DType::U8 => out.push(v as u8),
        DType::Bool => out.push((v != 0.0) as u8),
    }
}

fn read_f64(dtype: DType, b: &[u8]) -> f64 {
    match dtype {
        DType::F64 => f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
        DType::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f64,
        DType::BF16 => bf16::from_le_bytes([b[0], b[1]]).to_f64(),
        DType::F16 => f16::from_le_bytes([b[0], b[1]]).to_f64(),
        DType::I32 => i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f64,
        DType::U32 => u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f64,
        DType::U8 => b[0] as f64,
        DType::Bool => (b[0] != 0) as u8 as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_every_dtype() {
        for dtype in DType::ALL {
            let lit = Literal::from_f64(dtype, [3], &[0.0, 1.0, 1.0]).unwrap();
            assert_eq!(lit.to_f64(), [0.0, 1.0, 1.0], "{dtype}");
            assert_eq!(lit.get(1), 1.0);
        }
    }

    #[test]
    fn refuses_a_wrong_length_and_an_absurd_shape() {
        assert!(Literal::from_f32([2, 2], &[1.0]).is_err());
        assert!(Literal::from_bytes(DType::F32, [1 << 40, 1 << 40], Vec::new()).is_err());
    }
}
