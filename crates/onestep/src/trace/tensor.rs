//! The tensor handle: what it is and what can be asked of it. Operations stand in the files beside this one.

use std::fmt;

use super::{Trace, axes};
use crate::error::Result;
use crate::ir::{DType, NodeId, Op, Shape, Type};

/// A value in a graph under construction. Cheap to clone; operators and methods add nodes to the graph.
///
/// No operation returns a `Result`: one that does not fit records its error in the [`Trace`] and gives a
/// *poisoned* tensor, on which everything else is a no-op. See [`Scope::check`](super::Scope::check).
#[derive(Clone)]
pub struct Tensor {
    trace: Trace,
    node: Option<NodeId>,
}

impl Tensor {
    pub(super) fn new(trace: Trace, node: Option<NodeId>) -> Self {
        Tensor { trace, node }
    }

    /// The trace it belongs to.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Its node, or `None` if it is poisoned.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// Its shape; a poisoned tensor has none and says [].
    pub fn shape(&self) -> Shape {
        self.ty().map_or_else(Shape::scalar, |t| t.shape)
    }

    /// Its element type; a poisoned tensor says f32.
    pub fn dtype(&self) -> DType {
        self.ty().map_or(DType::F32, |t| t.dtype)
    }

    /// The number of axes; 0 if poisoned.
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// The extent of an axis, counted from the end if negative. 0 if poisoned or if there is no such axis,
    /// which is an error kept in the trace.
    pub fn dim(&self, axis: i64) -> usize {
        let Some(ty) = self.ty() else { return 0 };
        match axes::axis(axis, &ty.shape) {
            Ok(axis) => ty.shape[axis],
            Err(e) => {
                self.trace.fail(e);
                0
            }
        }
    }

    pub(super) fn ty(&self) -> Option<Type> {
        self.node.map(|n| self.trace.ty(n))
    }

    /// Adds an op of one input.
    pub(super) fn apply(&self, op: Op) -> Tensor {
        self.trace.push(op, &[self])
    }

    /// Builds on this tensor's type: nothing happens if it is poisoned, and an error is kept in the trace.
    pub(super) fn build(&self, f: impl FnOnce(Type) -> Result<Tensor>) -> Tensor {
        match self.ty() {
            Some(ty) => f(ty).unwrap_or_else(|e| self.trace.fail(e)),
            None => self.clone(),
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.node, self.ty()) {
            (Some(node), Some(ty)) => write!(f, "%{}: {ty}", node.0),
            _ => f.write_str("poisoned"),
        }
    }
}
