//! Train neural networks with one device submission per step.
//!
//! A model, its loss, gradients, optimizer, schedule, random numbers and metrics are traced into one static
//! graph, compiled for a device and run whole. All state stays on the device.

pub mod backend;
pub mod data;
pub mod engine;
pub mod error;
pub mod format;
pub mod grad;
pub mod ir;
pub mod nn;
pub mod optim;
pub mod passes;
pub mod plan;
#[doc(hidden)]
pub mod testing;
pub mod trace;

pub use error::{Error, ErrorKind, Result};
