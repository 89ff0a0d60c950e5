//! The residual block.

use serde::{Deserialize, Serialize};

use super::Sequential;
use crate::error::{Error, Result};
use crate::trace::{Module, Scope, Tensor};

/// layers(x) + shortcut(x) (He et al. 2016, "Deep residual learning"); without a shortcut, x itself is
/// added. The shortcut's layers are named under "shortcut".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    layers: Sequential,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shortcut: Option<Sequential>,
}

impl Residual {
    /// A block that adds its input to what the layers make of it.
    pub fn new(layers: Sequential) -> Self {
        Residual { layers, shortcut: None }
    }

    /// Adds what these layers make of the input instead of the input (default: the input).
    pub fn shortcut(self, layers: Sequential) -> Self {
        Residual { shortcut: Some(layers), ..self }
    }
}

impl Module for Residual {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let y = self.layers.forward(s, x.clone())?;
        let x = match &self.shortcut {
            Some(layers) => layers.forward(&s.child("shortcut"), x)?,
            None => x,
        };
        if x.shape() != y.shape() {
            return Err(Error::shape(format!(
                "the layers give {} but the shortcut gives {}; set `shortcut` to layers that give the former",
                y.shape(),
                x.shape()
            )));
        }
        Ok(x + y)
    }

    fn kind(&self) -> &str {
        "residual"
    }
}
