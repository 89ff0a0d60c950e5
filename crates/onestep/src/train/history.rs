//! What a training leaves in numbers: one record an epoch, and the test figures.

use std::fmt;

use crate::engine::Metrics;

/// The figures of a model on a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss over the samples.
    pub loss: f64,
    /// The share of samples that are right, 0 to 1, where the loss is one of classification.
    pub accuracy: Option<f64>,
    /// How often class `row` was taken for class `column`, where targets are classes.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// The number of samples.
    pub samples: u64,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochRecord {
    /// Its number, from 1, counted over all fits of a trainer.
    pub epoch: u64,
    /// Optimizer steps done by the trainer so far.
    pub step: u64,
    /// Loss and accuracy over the epoch's training batches, each as it was when the batch was trained on.
    pub train: Metrics,
    /// The test figures after the epoch, if there is a test set.
    pub test: Option<Evaluation>,
    /// Seconds spent on training steps.
    pub seconds: f64,
    /// Seconds spent on the test set.
    pub test_seconds: f64,
}

impl EpochRecord {
    /// Training samples a second.
    pub fn samples_per_second(&self) -> f64 {
        self.train.samples as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

impl fmt::Display for EpochRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {:>2}  loss {:.4}", self.epoch, self.train.loss)?;
        if let Some(accuracy) = self.train.accuracy() {
            write!(f, "  accuracy {:5.2}%", 100.0 * accuracy)?;
        }
        if let Some(test) = &self.test {
            write!(f, "  test loss {:.4}", test.loss)?;
            if let Some(accuracy) = test.accuracy {
                write!(f, "  test accuracy {:5.2}%", 100.0 * accuracy)?;
            }
        }
        write!(f, "  {:.0} samples/s  {:.1} s", self.samples_per_second(), self.seconds + self.test_seconds)
    }
}

/// The epochs that one call of [`Trainer::fit`](super::Trainer::fit) finished.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// One record for each finished epoch.
    pub epochs: Vec<EpochRecord>,
    /// Optimizer steps, those of an unfinished last epoch included.
    pub steps: u64,
    /// Seconds spent on training steps, evaluation left out.
    pub seconds: f64,
    /// Whether a stop was asked for before all epochs were done.
    pub interrupted: bool,
}

impl History {
    /// The last finished epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }

    /// Training steps a second.
    pub fn steps_per_second(&self) -> f64 {
        self.steps as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}
