//! Operations by index: gather, scatter, one-hot codes.

use super::Tensor;
use super::axes::axis;
use crate::error::Error;
use crate::ir::{DType, Op};

impl Tensor {
    /// Elements of an axis by index (i32): the axis is replaced by the axes of `index`. An index outside
    /// reads 0.
    pub fn gather(&self, index: &Tensor, at: i64) -> Tensor {
        self.build(|ty| {
            let axis = axis(at, &ty.shape).map_err(|e| e.at("gather"))?;
            Ok(self.trace().push(Op::Gather { axis }, &[self, index]))
        })
    }

    /// Adds `updates` (shaped as [`Tensor::gather`] of this) at the indices (i32) of an axis; repeated
    /// indices add up, an index outside is left out.
    pub fn scatter_add(&self, index: &Tensor, updates: &Tensor, at: i64) -> Tensor {
        self.build(|ty| {
            let axis = axis(at, &ty.shape).map_err(|e| e.at("scatter_add"))?;
            Ok(self.trace().push(Op::ScatterAdd { axis }, &[self, index, updates]))
        })
    }

    /// Rows of this table [count, width] for each index (i32): [.., width].
    pub fn embedding(&self, index: &Tensor) -> Tensor {
        self.gather(index, 0)
    }

    /// 1 at the index (integers) and 0 elsewhere along a new last axis of `classes`. An index outside gives
    /// zeros.
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Tensor {
        self.build(|ty| {
            if !ty.dtype.is_int() {
                return Err(Error::dtype(format!("one_hot: indices must be integers, not {ty}; cast them")));
            }
            let mut dims = vec![1; ty.shape.rank()];
            dims.push(classes);
            let places = self.trace().iota(dims, -1, DType::I32);
            Ok(self.cast(DType::I32).unsqueeze(-1).eq(places).cast(dtype))
        })
    }
}
