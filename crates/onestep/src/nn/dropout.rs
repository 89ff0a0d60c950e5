//! Dropout.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::trace::{Module, Scope, Tensor};

/// Sets each element to 0 with probability `p` and divides the others by 1 - p (inverted dropout,
/// Srivastava et al. 2014, as PyTorch's `Dropout`). Does nothing in evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    #[serde(default = "half")]
    p: f64,
}

fn half() -> f64 {
    0.5
}

impl Dropout {
    /// Drops with probability `p`, from 0 to 1 (0.5 where a config file does not say).
    pub fn new(p: f64) -> Self {
        Dropout { p }
    }
}

impl Module for Dropout {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(Error::config(format!("p is {} but must be a probability from 0 to 1", self.p)));
        }
        if !s.training() || self.p == 0.0 {
            return Ok(x);
        }
        if self.p == 1.0 {
            return Ok(x.zeros_like());
        }
        let keep = s.uniform(x.shape()).ge(self.p);
        Ok(keep.select(x * (1.0 / (1.0 - self.p)), 0.0))
    }

    fn kind(&self) -> &str {
        "dropout"
    }
}
