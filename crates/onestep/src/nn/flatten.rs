//! Joins all axes but the first.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::trace::{Module, Scope, Tensor};

/// [batch, a, b, ..] to [batch, a · b · ..]; what a linear layer after convolutions wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {}

impl Flatten {
    /// The layer; it has no options.
    pub fn new() -> Self {
        Flatten {}
    }
}

impl Module for Flatten {
    fn forward(&self, _: &Scope, x: Tensor) -> Result<Tensor> {
        Ok(x.flatten(1..))
    }

    fn kind(&self) -> &str {
        "flatten"
    }
}
