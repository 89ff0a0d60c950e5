//! The fully connected layer.

use serde::{Deserialize, Serialize};

use super::options::yes;
use crate::error::{Error, Result};
use crate::trace::{Init, Module, Scope, Tensor};

/// y = x Wᵀ + b over the last axis: [.., in] to [.., out], as PyTorch's `Linear`.
///
/// Parameters: `weight` `[out, in]` and `bias` `[out]`, both U(±1/√in) at first. Input features are inferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    out: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_features: Option<usize>,
    #[serde(default = "yes")]
    bias: bool,
}

impl Linear {
    /// A layer with `out` output features and a bias.
    pub fn new(out: usize) -> Self {
        Linear { out, in_features: None, bias: true }
    }

    /// Whether a bias is added (default true).
    pub fn bias(self, bias: bool) -> Self {
        Linear { bias, ..self }
    }

    /// Fixes the input features; an input with others is an error (default: whatever the input has).
    pub fn in_features(self, features: usize) -> Self {
        Linear { in_features: Some(features), ..self }
    }
}

impl Module for Linear {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let shape = x.shape();
        let Some(&features) = shape.last() else {
            return Err(Error::shape("input is a scalar but must be [.., features]; reshape it"));
        };
        if let Some(want) = self.in_features.filter(|&want| want != features) {
            return Err(Error::shape(format!(
                "input is {shape} but the weights want {want} features; set in_features to {features} or leave it out"
            )));
        }
        let init = Init::torch_default(features);
        let y = x.matmul_t(&s.param("weight", [self.out, features], init));
        Ok(if self.bias { y + s.param("bias", [self.out], init) } else { y })
    }

    fn kind(&self) -> &str {
        "linear"
    }
}
