//! Training: the [`Trainer`] that runs a model over data, what watches it, and runs described in a file.

mod builder;
mod callbacks;
pub mod config;
mod history;
mod line;
mod residency;
mod trainer;
mod watch;

pub use builder::TrainerBuilder;
pub use callbacks::{Callback, EpochStart, StepInfo, StopFlag, TrainStart};
pub use config::Config;
pub use history::{EpochRecord, Evaluation, History};
pub use residency::Residency;
pub use trainer::{Epochs, Trainer};
