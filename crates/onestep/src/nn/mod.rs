//! Layers, activations and losses, all in terms of [`trace`](crate::trace). A layer follows PyTorch where
//! nothing else is said, on channels-last tensors. [`Sequential`] is a network as data.

mod activations;
mod conv;
mod conv_transpose;
mod dropout;
mod embedding;
mod extents;
mod flatten;
mod linear;
pub mod loss;
mod norm;
mod options;
mod pool;
mod residual;
mod sequential;
mod spec;

pub use activations::Activation;
pub use conv::{Conv, Conv1d, Conv2d, Conv3d};
pub use conv_transpose::ConvTranspose2d;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use extents::{Extents, Padding};
pub use flatten::Flatten;
pub use linear::Linear;
pub use loss::{Loss, LossKind, LossSpec};
pub use norm::{BatchNorm, LayerNorm};
pub use pool::{AvgPool2d, GlobalAvgPool, MaxPool2d};
pub use residual::Residual;
pub use sequential::Sequential;
pub use spec::{Layer, LayerSpec};

#[cfg(test)]
mod tests;
