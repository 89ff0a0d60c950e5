//! Adam, and the direction it shares with its relatives.

use serde::{Deserialize, Serialize};

use super::{Optimizer, at_least_zero, below_one};
use crate::error::Result;
use crate::trace::{Scope, Tensor};

/// Adam (Kingma and Ba 2014), as PyTorch's `Adam`:
///
/// ```text
/// g = grad + weight_decay * p
/// m = beta1 * m + (1 - beta1) * g
/// v = beta2 * v + (1 - beta2) * g²              (amsgrad: its running maximum from here on)
/// p = p - learning_rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
/// ```
/// Defaults: learning rate 1e-3, betas 0.9 and 0.999, eps 1e-8, no weight decay, no amsgrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    learning_rate: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Adam::new(1e-3)
    }
}

impl Adam {
    /// Adam with PyTorch's defaults.
    pub fn new(learning_rate: f64) -> Self {
        Adam { learning_rate, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }

    /// Decay of the running means of the gradient and of its square.
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        Adam { betas: (beta1, beta2), ..self }
    }

    /// Added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        Adam { eps, ..self }
    }

    /// L2 penalty: this times the parameters is added to the gradient. [`AdamW`](super::AdamW) decouples it.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Adam { weight_decay, ..self }
    }

    /// Divides by the largest second moment so far (Reddi et al. 2018).
    pub fn amsgrad(self, amsgrad: bool) -> Self {
        Adam { amsgrad, ..self }
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn step(&self, s: &Scope, params: &Tensor, grads: &Tensor, learning_rate: &Tensor) -> Result<Tensor> {
        at_least_zero("adam", "weight_decay", self.weight_decay)?;
        let mut g = grads.clone();
        if self.weight_decay != 0.0 {
            g = g + params * self.weight_decay;
        }
        Ok(params - change("adam", s, &g, self.betas, self.eps, self.amsgrad, learning_rate)?)
    }
}

/// The learning rate times the first moment over the root of the second, both corrected for their start at 0.
/// What is one number for all parameters is put together first, so that each element costs one division and
/// one root.
pub(super) fn change(
    owner: &str,
    s: &Scope,
    g: &Tensor,
    (beta1, beta2): (f64, f64),
    eps: f64,
    amsgrad: bool,
    learning_rate: &Tensor,
) -> Result<Tensor> {
    below_one(owner, "beta1", beta1)?;
    below_one(owner, "beta2", beta2)?;
    at_least_zero(owner, "eps", eps)?;
    let m = running_mean(s, "first_moment", g, beta1);
    let mut v = running_mean(s, "second_moment", &g.square(), beta2);
    if amsgrad {
        let largest = s.slot("largest_second_moment", g.shape(), 0.0);
        v = largest.maximum(v);
        s.update(&largest, &v);
    }
    let (step_size, scale) = (learning_rate / correction(s, beta1), correction(s, beta2).rsqrt());
    Ok(m * step_size / (v.sqrt() * scale + eps))
}

fn running_mean(s: &Scope, name: &str, x: &Tensor, beta: f64) -> Tensor {
    let mean = s.slot(name, x.shape(), 0.0);
    let new = &mean * beta + x * (1.0 - beta);
    s.update(&mean, &new);
    new
}

/// 1 - beta^t at step t = 1, 2, …, by way of the logarithm: beta rounded to f32 would be off by 1e-5 at the
/// first steps.
fn correction(s: &Scope, beta: f64) -> Tensor {
    -(s.step_number() * beta.ln()).expm1()
}
