//! Batch and layer normalisation.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::trace::{Init, Module, Scope, Tensor};

/// Batch normalisation over all axes but the last (Ioffe and Szegedy 2015), as PyTorch's `BatchNorm1d`,
/// `2d` and `3d` on channels-last tensors: (x - mean) / √(variance + eps) · weight + bias.
///
/// In training, mean and (population) variance are the batch's, and the running statistics move towards
/// them: running = (1 - momentum) running + momentum batch, with the unbiased variance. In evaluation, the
/// running statistics are used. A batch with one value a channel counts its variance 0 as it stands.
///
/// Parameters: `weight` (ones) and `bias` (zeros); buffers: `running_mean` (zeros) and `running_var`
/// (ones); all `[channels]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNorm {
    momentum: f64,
    eps: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        BatchNorm { momentum: 0.1, eps: 1e-5 }
    }
}

impl BatchNorm {
    /// Momentum 0.1, eps 1e-5.
    pub fn new() -> Self {
        Self::default()
    }

    /// The share of the batch's statistics in the running ones (default 0.1).
    pub fn momentum(self, momentum: f64) -> Self {
        BatchNorm { momentum, ..self }
    }

    /// Added to the variance (default 1e-5).
    pub fn eps(self, eps: f64) -> Self {
        BatchNorm { eps, ..self }
    }
}

impl Module for BatchNorm {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let shape = x.shape();
        let Some((&channels, rest)) = shape.split_last().filter(|(_, rest)| !rest.is_empty()) else {
            return Err(Error::shape(format!("input is {shape} but must be [batch, .., channels]")));
        };
        let weight = s.param("weight", [channels], Init::ones());
        let bias = s.param("bias", [channels], Init::zeros());
        let running_mean = s.buffer("running_mean", [channels], 0.0);
        let running_var = s.buffer("running_var", [channels], 1.0);
        let (mean, variance) = if s.training() {
            let (mean, variance) = (x.mean(..-1), x.variance(..-1, 0));
            let count = rest.iter().product::<usize>();
            let unbiased = &variance * (count as f64 / count.saturating_sub(1).max(1) as f64);
            let toward = |old: &Tensor, new: &Tensor| old * (1.0 - self.momentum) + new * self.momentum;
            s.update(&running_mean, &toward(&running_mean, &mean));
            s.update(&running_var, &toward(&running_var, &unbiased));
            (mean, variance)
        } else {
            (running_mean, running_var)
        };
        Ok((x - mean) * ((variance + self.eps).rsqrt() * weight) + bias)
    }

    fn kind(&self) -> &str {
        "batch_norm"
    }
}

/// Layer normalisation over the last axis (Ba et al. 2016), as PyTorch's `LayerNorm`:
/// (x - mean) / √(variance + eps) · weight + bias with the population variance.
///
/// Parameters: `weight` (ones) and `bias` (zeros), both `[features]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerNorm {
    eps: f64,
}

impl Default for LayerNorm {
    fn default() -> Self {
        LayerNorm { eps: 1e-5 }
    }
}

impl LayerNorm {
    /// eps 1e-5.
    pub fn new() -> Self {
        Self::default()
    }

    /// Added to the variance (default 1e-5).
    pub fn eps(self, eps: f64) -> Self {
        LayerNorm { eps }
    }
}

impl Module for LayerNorm {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let shape = x.shape();
        let Some(&features) = shape.last() else {
            return Err(Error::shape("input is a scalar but must be [.., features]; reshape it"));
        };
        let weight = s.param("weight", [features], Init::ones());
        let bias = s.param("bias", [features], Init::zeros());
        let centred = &x - x.mean_keep(-1);
        let variance = centred.square().mean_keep(-1);
        Ok(centred * (variance + self.eps).rsqrt() * weight + bias)
    }

    fn kind(&self) -> &str {
        "layer_norm"
    }
}
