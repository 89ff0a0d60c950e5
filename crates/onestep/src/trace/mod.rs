//! Tracing: [`Tensor`] handles with operators build a graph, [`Scope`] names and declares parameters,
//! [`Module`] is anything that maps a scope and a tensor to a tensor. Knows no layer and no device.

mod axes;
mod context;
mod contract;
mod elementwise;
mod index;
pub mod init;
mod module;
mod movement;
mod reduce;
mod scope;
mod softmax;
mod tensor;

pub use crate::ir::{ConvSpec, DType, Graph, Lender, Literal, NodeId, Op, Shape, StateId, Type, Window};
pub use axes::Axes;
pub use context::{Buffer, LayerInfo, Parameter, StateKind, Trace, Traced};
pub use elementwise::{Operand, where_};
pub use init::Init;
pub use module::Module;
pub use movement::{concat, stack};
pub use scope::{Mode, Scope};
pub use tensor::Tensor;

#[cfg(test)]
mod tests;
