//! Softmax and its relatives, stable for any logits.
//!
//! All three are unchanged by adding a number to a row, so a row is first shifted down by about its
//! maximum. The shift is the maximum rounded up: its gradient is zero by rule, so nothing of it is left in
//! the backward pass, and the largest exponential still lies in (1/e, 1]. A row whose maximum is not finite
//! is not shifted: rows of -inf then give 0 (softmax) or -inf, with zero gradients and no NaN.

use super::Tensor;
use super::axes::axis;
use super::reduce::float;

/// Below the smallest sum of exponentials of a shifted row (1/e); only rows of -inf have less.
const FLOOR: f64 = 0.25;

struct Shifted {
    /// Row maximum, rounded up; its gradient is zero.
    top: Tensor,
    /// The row less its shift.
    x: Tensor,
    /// The shift: `top` where that is finite.
    shift: Tensor,
}

impl Tensor {
    /// e^x / Σ e^x along an axis.
    pub fn softmax(&self, axis: i64) -> Tensor {
        self.row("softmax", axis, |row| {
            let e = row.x.exp();
            let sum = e.sum_keep(axis).maximum(FLOOR);
            e / sum
        })
    }

    /// log(softmax(x)) along an axis.
    pub fn log_softmax(&self, axis: i64) -> Tensor {
        self.row("log_softmax", axis, |row| {
            let sum = row.x.exp().sum_keep(axis).maximum(FLOOR);
            row.x - sum.log()
        })
    }

    /// log Σ e^x along an axis, which vanishes.
    pub fn logsumexp(&self, axis: i64) -> Tensor {
        self.logsumexp_keep(axis).squeeze(axis)
    }

    /// [`Tensor::logsumexp`] that keeps the axis with extent 1.
    pub fn logsumexp_keep(&self, axis: i64) -> Tensor {
        self.row("logsumexp", axis, |row| {
            let sum = row.x.exp().sum_keep(axis).maximum(FLOOR);
            row.top.is_finite().select(sum.log() + row.shift, row.top)
        })
    }

    fn row(&self, doing: &str, at: i64, f: impl FnOnce(Shifted) -> Tensor) -> Tensor {
        self.build(|ty| {
            float(doing, &ty)?;
            axis(at, &ty.shape).map_err(|e| e.at(doing))?;
            let top = self.max_keep(at).ceil();
            let shift = top.is_finite().select(&top, 0.0);
            Ok(f(Shifted { x: self - &shift, top, shift }))
        })
    }
}
