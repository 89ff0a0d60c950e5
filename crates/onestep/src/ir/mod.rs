//! The graph: ops, shapes, dtypes, shape rules, text form and verifier. Knows nothing of devices,
//! gradients or layers.

mod build;
mod bytes;
mod dtype;
mod graph;
pub mod infer;
mod literal;
pub mod op;
mod shape;
pub mod text;
pub mod verify;

pub use bytes::{HostBytes, Lender, Lent};
pub use dtype::DType;
pub use graph::{Declaration, Graph, Node, NodeId};
pub use infer::Type;
pub use literal::{Literal, push_f64};
pub use op::{ArgOp, Binary, Compare, ConvSpec, InputId, Op, ReduceOp, StateId, Unary, Window};
pub use shape::Shape;
