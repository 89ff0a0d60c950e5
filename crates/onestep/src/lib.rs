//! Train neural networks with one device submission per step.
//!
//! A model, its loss, gradients, optimizer, schedule, random numbers and metrics are traced into one static
//! graph, compiled for a device and run whole. All state stays on the device.

pub mod backend;
pub mod codegen;
pub mod data;
pub mod engine;
pub mod error;
pub mod format;
pub mod grad;
pub mod infer;
pub mod ir;
pub mod nn;
pub mod optim;
pub mod passes;
pub mod plan;
#[doc(hidden)]
pub mod testing;
pub mod trace;
pub mod train;

pub use error::{Error, ErrorKind, Result};

/// All that a program that trains and predicts needs, in one `use`.
///
/// ```
/// use onestep::prelude::*;
///
/// fn classifier(s: &Scope, x: Tensor) -> Result<Tensor> {
///     let x = Linear::new(32).apply(s, "hidden", x.flatten(1..))?.relu();
///     Linear::new(10).apply(s, "out", x)
/// }
///
/// let (train, test) = datasets::digits().split(0.8, 42)?;
/// let mut trainer = Trainer::builder(classifier)
///     .loss(loss::sparse_cross_entropy())
///     .optimizer(AdamW::new(1e-3).weight_decay(0.01))
///     .device(Device::best()?)
///     .build(&train)?;
/// let history = trainer.fit(&train, Some(&test), Epochs(1))?;
/// assert_eq!(history.epochs.len(), 1);
/// # Ok::<(), Error>(())
/// ```
pub mod prelude {
    pub use crate::backend::Device;
    pub use crate::data::{self, Dataset, ElementSpec, InMemory, Loader, Normalization, Subset, datasets};
    pub use crate::engine::{Engine, Metrics, Selection, Size};
    pub use crate::error::{Error, ErrorKind, Result};
    pub use crate::infer::Predictor;
    pub use crate::nn::{
        Activation, AvgPool2d, BatchNorm, Conv1d, Conv2d, Conv3d, ConvTranspose2d, Dropout, Embedding, Flatten,
        GlobalAvgPool, LayerNorm, Linear, Loss, LossSpec, MaxPool2d, Padding, Residual, Sequential, loss,
    };
    pub use crate::optim::{Adam, AdamW, Clip, Optimizer, OptimizerSpec, Schedule, Sgd};
    pub use crate::passes::{Passes, Precision};
    pub use crate::trace::{
        DType, Init, LayerInfo, Literal, Mode, Module, Scope, Shape, Tensor, Trace, concat, stack, where_,
    };
    pub use crate::train::{
        Callback, Config, EpochRecord, EpochStart, Epochs, Evaluation, History, Residency, StepInfo, StopFlag,
        TrainStart, Trainer, TrainerBuilder,
    };
}
