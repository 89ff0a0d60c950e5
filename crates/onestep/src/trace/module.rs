//! Modules: anything that maps a scope and a tensor to a tensor.

use super::{Scope, Tensor};
use crate::error::Result;

/// A layer, a block or a whole model. Functions `Fn(&Scope, Tensor) -> Result<Tensor>` are modules.
pub trait Module {
    /// Computes the output of the module and declares its parameters in the scope.
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor>;

    /// What errors and summaries call it.
    fn kind(&self) -> &str {
        "module"
    }

    /// Runs the module as a named layer of the scope.
    fn apply(&self, s: &Scope, name: &str, x: Tensor) -> Result<Tensor> {
        s.layer(name, self.kind(), |s| self.forward(s, x))
    }
}

impl<F: Fn(&Scope, Tensor) -> Result<Tensor>> Module for F {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        self(s, x)
    }
}
