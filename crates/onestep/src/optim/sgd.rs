//! Stochastic gradient descent with momentum.

use serde::{Deserialize, Serialize};

use super::{Optimizer, at_least_zero};
use crate::error::{Error, Result};
use crate::trace::{Scope, Tensor};

/// Stochastic gradient descent, as PyTorch's `SGD`:
///
/// ```text
/// g = grad + weight_decay * p
/// b = momentum * b + (1 - dampening) * g        (b = g at the first step)
/// p = p - learning_rate * (g + momentum * b if nesterov else b)
/// ```
/// Defaults: learning rate 1e-3, all else 0 or off. Without momentum there is no slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    learning_rate: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd::new(1e-3)
    }
}

impl Sgd {
    /// Plain descent.
    pub fn new(learning_rate: f64) -> Self {
        Sgd { learning_rate, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }

    /// The part of the last direction that is kept; 0 keeps none.
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// The part of the gradient that momentum leaves out, from the second step on.
    pub fn dampening(self, dampening: f64) -> Self {
        Sgd { dampening, ..self }
    }

    /// L2 penalty: this times the parameters is added to the gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }

    /// Looks ahead along the momentum (Sutskever et al. 2013); wants momentum and no dampening.
    pub fn nesterov(self, nesterov: bool) -> Self {
        Sgd { nesterov, ..self }
    }

    fn check(&self) -> Result<()> {
        at_least_zero("sgd", "momentum", self.momentum)?;
        at_least_zero("sgd", "weight_decay", self.weight_decay)?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::config("sgd: nesterov looks ahead along momentum; set momentum, and dampening to 0"));
        }
        Ok(())
    }
}

impl Optimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn step(&self, s: &Scope, params: &Tensor, grads: &Tensor, learning_rate: &Tensor) -> Result<Tensor> {
        self.check()?;
        let mut g = grads.clone();
        if self.weight_decay != 0.0 {
            g = g + params * self.weight_decay;
        }
        if self.momentum != 0.0 {
            let buffer = s.slot("momentum", params.shape(), 0.0);
            let mut fresh = g.clone();
            if self.dampening != 0.0 {
                fresh = s.step().eq(0.0).select(&g, &g * (1.0 - self.dampening));
            }
            let direction = &buffer * self.momentum + fresh;
            s.update(&buffer, &direction);
            g = if self.nesterov { g + direction * self.momentum } else { direction };
        }
        Ok(params - g * learning_rate)
    }
}
