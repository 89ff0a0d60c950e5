//! Adam with decoupled weight decay.

use serde::{Deserialize, Serialize};

use super::adam::change;
use super::{Optimizer, at_least_zero};
use crate::error::Result;
use crate::trace::{Scope, Tensor};

/// AdamW (Loshchilov and Hutter 2017), as PyTorch's `AdamW`: the parameters shrink by
/// `learning_rate * weight_decay` of themselves, and [`Adam`](super::Adam)'s direction does not see it.
///
/// Defaults: learning rate 1e-3, betas 0.9 and 0.999, eps 1e-8, weight decay 0.01, no amsgrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    learning_rate: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW::new(1e-3)
    }
}

impl AdamW {
    /// AdamW with PyTorch's defaults.
    pub fn new(learning_rate: f64) -> Self {
        AdamW { learning_rate, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, amsgrad: false }
    }

    /// Decay of the running means of the gradient and of its square.
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        AdamW { betas: (beta1, beta2), ..self }
    }

    /// Added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        AdamW { eps, ..self }
    }

    /// The part of a parameter that a step with learning rate 1 would take away.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        AdamW { weight_decay, ..self }
    }

    /// Divides by the largest second moment so far (Reddi et al. 2018).
    pub fn amsgrad(self, amsgrad: bool) -> Self {
        AdamW { amsgrad, ..self }
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn step(&self, s: &Scope, params: &Tensor, grads: &Tensor, learning_rate: &Tensor) -> Result<Tensor> {
        at_least_zero("adamw", "weight_decay", self.weight_decay)?;
        let kept = params - params * (learning_rate * self.weight_decay);
        Ok(kept - change("adamw", s, grads, self.betas, self.eps, self.amsgrad, learning_rate)?)
    }
}
