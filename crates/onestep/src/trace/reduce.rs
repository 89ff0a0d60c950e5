//! Reductions over axes. The plain form drops the axes, `_keep` leaves them with extent 1.

use super::Tensor;
use super::axes::{Axes, axis};
use crate::error::{Error, Result};
use crate::ir::{ArgOp, Op, ReduceOp, Type};

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident, $keep:ident => $op:expr;)*) => {
        impl Tensor {
            $(
                $(#[$doc])*
                pub fn $name(&self, axes: impl Into<Axes>) -> Tensor {
                    self.fold(axes.into(), false, $op)
                }

                #[doc = concat!("[`Tensor::", stringify!($name), "`] that keeps the axes with extent 1.")]
                pub fn $keep(&self, axes: impl Into<Axes>) -> Tensor {
                    self.fold(axes.into(), true, $op)
                }
            )*
        }
    };
}

fn reduce(op: ReduceOp) -> impl FnOnce(Vec<usize>) -> Op {
    move |axes| Op::Reduce { op, axes }
}

fn arg_reduce(op: ArgOp) -> impl FnOnce(Vec<usize>) -> Op {
    move |axes| Op::ArgReduce { op, axes }
}

reductions! {
    /// Sum; 0 over no elements.
    sum, sum_keep => reduce(ReduceOp::Sum);
    /// Product; 1 over no elements.
    prod, prod_keep => reduce(ReduceOp::Prod);
    /// Maximum, NaN if any is NaN; the lowest value over no elements.
    max, max_keep => reduce(ReduceOp::Max);
    /// Minimum, NaN if any is NaN; the highest value over no elements.
    min, min_keep => reduce(ReduceOp::Min);
    /// Place of the first maximum in row-major order of the axes, as i32.
    argmax, argmax_keep => arg_reduce(ArgOp::Max);
    /// Place of the first minimum in row-major order of the axes, as i32.
    argmin, argmin_keep => arg_reduce(ArgOp::Min);
}

impl Tensor {
    fn fold(&self, axes: Axes, keep: bool, op: impl FnOnce(Vec<usize>) -> Op) -> Tensor {
        self.build(|ty| {
            let axes = axes.sorted(&ty.shape)?;
            let kept = ty.shape.keeping(&axes);
            let op = op(axes.clone());
            let plain = if axes.is_empty() && matches!(op, Op::Reduce { .. }) { self.clone() } else { self.apply(op) };
            Ok(if keep { plain.reshape(kept) } else { plain })
        })
    }

    /// Arithmetic mean (floats); NaN over no elements.
    pub fn mean(&self, axes: impl Into<Axes>) -> Tensor {
        self.average(axes.into(), false, 0)
    }

    /// [`Tensor::mean`] that keeps the axes with extent 1.
    pub fn mean_keep(&self, axes: impl Into<Axes>) -> Tensor {
        self.average(axes.into(), true, 0)
    }

    /// Mean square deviation from the mean, with `n - correction` as the divisor: 0 for the population's
    /// variance, 1 for the unbiased one.
    pub fn variance(&self, axes: impl Into<Axes>, correction: usize) -> Tensor {
        let axes = axes.into();
        (self - self.mean_keep(axes.clone())).square().average(axes, false, correction)
    }

    /// [`Tensor::variance`] that keeps the axes with extent 1.
    pub fn variance_keep(&self, axes: impl Into<Axes>, correction: usize) -> Tensor {
        let axes = axes.into();
        (self - self.mean_keep(axes.clone())).square().average(axes, true, correction)
    }

    /// Square root of [`Tensor::variance`].
    pub fn std(&self, axes: impl Into<Axes>, correction: usize) -> Tensor {
        self.variance(axes, correction).sqrt()
    }

    /// [`Tensor::std`] that keeps the axes with extent 1.
    pub fn std_keep(&self, axes: impl Into<Axes>, correction: usize) -> Tensor {
        self.variance_keep(axes, correction).sqrt()
    }

    /// The sum divided by the number of elements less `correction`.
    fn average(&self, axes: Axes, keep: bool, correction: usize) -> Tensor {
        self.build(|ty| {
            float("mean", &ty)?;
            let count: usize = axes.sorted(&ty.shape)?.iter().map(|&a| ty.shape[a]).product();
            let sum = if keep { self.sum_keep(axes) } else { self.sum(axes) };
            Ok(sum / count.saturating_sub(correction) as f64)
        })
    }

    /// Running sum along an axis.
    pub fn cumsum(&self, axis: i64) -> Tensor {
        self.running_sum(axis, false, false)
    }

    /// Running sum along an axis, if `exclusive` without the element itself, if `reverse` from the end.
    pub fn running_sum(&self, at: i64, exclusive: bool, reverse: bool) -> Tensor {
        self.build(|ty| {
            let axis = axis(at, &ty.shape).map_err(|e| e.at("cumsum"))?;
            Ok(self.apply(Op::CumSum { axis, exclusive, reverse }))
        })
    }
}

/// An error unless the type is a float.
pub(super) fn float(doing: &str, ty: &Type) -> Result<()> {
    if ty.dtype.is_float() {
        return Ok(());
    }
    Err(Error::dtype(format!("{doing}: works on floats, not {ty}; cast it")))
}
