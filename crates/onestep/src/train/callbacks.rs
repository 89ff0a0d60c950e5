//! What watches a training: callbacks at its turning points, and the flag that stops it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{EpochRecord, History};
use crate::engine::{Engine, Metrics, Phase};
use crate::error::Result;

/// Asks a training to end after the step it is in; clones share the flag. It may be set from any thread and from
/// a signal handler.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether a stop was asked for, which the flag then forgets.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// The start of a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainStart {
    /// Epochs to come.
    pub epochs: u64,
    /// Steps of each epoch.
    pub steps_per_epoch: usize,
    /// Samples in the training set.
    pub samples: usize,
}

/// The start of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Its number, from 1.
    pub epoch: u64,
    /// Its steps.
    pub steps: usize,
}

/// A step that was just submitted. The device may still be at it: nothing is read unless it is asked for.
pub struct StepInfo<'a> {
    /// The epoch's number, from 1.
    pub epoch: u64,
    /// The step's number in the epoch, from 1.
    pub step: usize,
    /// Samples of the epoch so far, this step's included.
    pub samples: usize,
    /// The newest metrics of the epoch that the device has told, of a step before this one; `None` at its beginning.
    /// They are asked for about ten times a second, and nothing waits for them.
    pub latest: Option<Metrics>,
    pub(super) engine: &'a mut Engine,
}

impl StepInfo<'_> {
    /// The metrics of the epoch up to this step. This waits for the device; [`latest`](StepInfo::latest) does not.
    ///
    /// # Errors
    /// Those of reading from the device.
    pub fn metrics(&mut self) -> Result<Metrics> {
        self.engine.metrics(Phase::Train)
    }
}

/// Is told what happens in a training; every method does nothing unless it is written. An error ends the
/// training with it. A function of `&EpochRecord` is a callback for the ends of epochs.
#[expect(unused_variables, reason = "the names of parameters are for those who implement a method")]
pub trait Callback {
    /// Before the first step.
    ///
    /// # Errors
    /// Whatever should end the training.
    fn on_train_begin(&mut self, start: &TrainStart) -> Result<()> {
        Ok(())
    }

    /// Before an epoch's first step.
    ///
    /// # Errors
    /// Whatever should end the training.
    fn on_epoch_begin(&mut self, start: &EpochStart) -> Result<()> {
        Ok(())
    }

    /// After each step; must be quick.
    ///
    /// # Errors
    /// Whatever should end the training.
    fn on_step(&mut self, step: &mut StepInfo<'_>) -> Result<()> {
        Ok(())
    }

    /// After an epoch and its evaluation. `Break` ends the training as if this had been the last epoch.
    ///
    /// # Errors
    /// Whatever should end the training.
    fn on_epoch_end(&mut self, record: &EpochRecord) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    /// After the last epoch, or when the training was interrupted.
    ///
    /// # Errors
    /// Whatever the callback meets.
    fn on_train_end(&mut self, history: &History) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&EpochRecord)> Callback for F {
    fn on_epoch_end(&mut self, record: &EpochRecord) -> Result<ControlFlow<()>> {
        self(record);
        Ok(ControlFlow::Continue(()))
    }
}
