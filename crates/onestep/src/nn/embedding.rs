//! A table of vectors looked up by index.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::trace::{DType, Init, Module, Scope, Tensor};

/// Rows of a table by index: integers [..] to f32 [.., dim], as PyTorch's `Embedding`. An index outside the
/// table reads zeros.
///
/// Parameter: `weight` [count, dim], N(0, 1) at first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    count: usize,
    dim: usize,
}

impl Embedding {
    /// A table of `count` vectors of `dim` features.
    pub fn new(count: usize, dim: usize) -> Self {
        Embedding { count, dim }
    }
}

impl Module for Embedding {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let weight = s.param("weight", [self.count, self.dim], Init::Normal { mean: 0.0, std: 1.0 });
        let index = if x.dtype().is_int() { x.cast(DType::I32) } else { x };
        Ok(weight.embedding(&index))
    }

    fn kind(&self) -> &str {
        "embedding"
    }
}
