//! The trainer: epochs of shuffled batches, figures on the test set after each, and the model file.
//!
//! Nothing is read from the device between steps unless a callback asks, but for a look at its health now and
//! then: whether a loss has become NaN or infinite, after which the device keeps its states as they were.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::{Callback, EpochRecord, EpochStart, Evaluation, History, StepInfo, StopFlag, TrainStart, TrainerBuilder};
use crate::data::{Dataset, ElementSpec, Loader, Normalization};
use crate::engine::{Engine, Module, Phase};
use crate::error::{Error, Result};
use crate::format::{ModelFile, OutputKind};

/// Steps between two looks at the device's health.
const HEALTH_INTERVAL: usize = 100;

/// A number of passes over the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs(pub u64);

/// Trains a model; see the example of the [prelude](crate::prelude).
pub struct Trainer {
    engine: Engine,
    description: Description,
    batch_size: usize,
    seed: u64,
    epochs: u64,
    callbacks: Vec<Box<dyn Callback>>,
    stop: StopFlag,
}

/// What the trainer knows of its model and data besides the step.
pub(super) struct Description {
    pub architecture: Option<Value>,
    pub input: ElementSpec,
    pub target: ElementSpec,
    pub output: OutputKind,
    pub classes: Option<Vec<String>>,
    pub normalization: Option<Normalization>,
}

impl Trainer {
    /// Starts to describe a training of `model`.
    pub fn builder(model: impl Module + 'static) -> TrainerBuilder {
        TrainerBuilder::new(model)
    }

    pub(super) fn new(
        engine: Engine,
        description: Description,
        batch_size: usize,
        seed: u64,
        callbacks: Vec<Box<dyn Callback>>,
        stop: StopFlag,
    ) -> Self {
        Trainer { engine, description, batch_size, seed, epochs: 0, callbacks, stop }
    }

    /// Trains for some epochs; a further call goes on where this one ended. After each epoch the figures on
    /// `test` are taken, if there is one. Returns early, as `interrupted`, when the [stop flag](Self::stop_flag)
    /// is set.
    ///
    /// # Errors
    /// Data unlike what the trainer was built for, whatever reading it and the callbacks meet, a failing device,
    /// and [`ErrorKind::Numeric`](crate::ErrorKind::Numeric) when the loss became NaN or infinite: the message
    /// names the step and where it showed first, and the model is still as it was before that step.
    pub fn fit<D: Dataset + Clone + 'static>(
        &mut self,
        train: &D,
        test: Option<&D>,
        epochs: Epochs,
    ) -> Result<History> {
        let train = self.loader(train)?.shuffle(Some(self.seed));
        let test = test.map(|test| self.loader(test)).transpose()?;
        if let Some(step) = self.engine.health()? {
            return Err(Error::numeric(format!(
                "the loss became NaN or infinite at step {step} of an earlier fit, and nothing has been trained since; \
                 load a saved model, or build a trainer anew with a lower learning rate"
            )));
        }
        let mut history = History::default();
        let start = TrainStart { epochs: epochs.0, steps_per_epoch: train.batches(), samples: train.dataset().len() };
        self.tell(|callback| callback.on_train_begin(&start))?;
        for _ in 0..epochs.0 {
            if self.run_epoch(&train, test.as_ref(), &mut history)?.is_break() {
                break;
            }
        }
        self.stop.take();
        self.tell(|callback| callback.on_train_end(&history))?;
        Ok(history)
    }

    /// Loss, accuracy and confusion on a data set, in evaluation mode.
    ///
    /// # Errors
    /// Data unlike what the trainer was built for, whatever reading it meets, and a failing device.
    pub fn evaluate<D: Dataset + Clone + 'static>(&mut self, dataset: &D) -> Result<Evaluation> {
        let loader = self.loader(dataset)?;
        self.run_evaluation(&loader)
    }

    /// Writes the model: its parameters and buffers, and what a [`Predictor`](crate::infer::Predictor) needs to
    /// know. Only a [`Sequential`](crate::nn::Sequential) carries its architecture into the file.
    ///
    /// # Errors
    /// Whatever the device or the file system refuses.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let description = &self.description;
        let model = ModelFile {
            tensors: self.engine.model_state()?,
            input_shape: description.input.shape.clone(),
            input_dtype: description.input.dtype,
            output: description.output,
            classes: description.classes.clone(),
            normalization: description.normalization.as_ref().map(|n| json!(n)),
            architecture: description.architecture.clone(),
        };
        model.write(path.as_ref())
    }

    /// Takes parameters and buffers from a file of [`Trainer::save`]; the optimizer's state stays as it is.
    ///
    /// # Errors
    /// A file that is no model file, and tensors whose names or shapes are not this model's.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let model = ModelFile::read(path)?;
        self.engine.load_model_state(&model.tensors).map_err(|e| e.at(path.display()))
    }

    /// The flag that ends a fit early.
    pub fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// Adds something that watches the training, told after those that are there.
    pub fn callback(&mut self, callback: impl Callback + 'static) {
        self.callbacks.push(Box::new(callback));
    }

    /// The engine: layers, parameter count, memory, the plan.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine, for what changes it.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The names of the classes, if targets are class labels.
    pub fn classes(&self) -> Option<&[String]> {
        self.description.classes.as_deref()
    }

    fn tell(&mut self, mut what: impl FnMut(&mut dyn Callback) -> Result<()>) -> Result<()> {
        self.callbacks.iter_mut().try_for_each(|callback| what(&mut **callback))
    }

    /// Batches of a data set, once it is known to be like the one the trainer was built for.
    fn loader<D: Dataset + Clone + 'static>(&self, dataset: &D) -> Result<Loader> {
        let ours = &self.description;
        for (what, want, got) in [("inputs", &ours.input, dataset.input()), ("targets", &ours.target, dataset.target())]
        {
            if *want != got {
                return Err(Error::data(format!(
                    "the data set's {what} are {got} a sample, but the trainer was built for {want}; build one for \
                     this data set"
                )));
            }
        }
        if let (Some(scores), Some(classes), OutputKind::Logits) =
            (self.engine.classes(), dataset.classes(), ours.output)
            && scores < classes.len()
        {
            let n = classes.len();
            return Err(Error::data(format!(
                "the data set has {n} classes, but the model gives {scores} scores a sample; a label from {scores} on \
                 could never be right: give the last layer {n} outputs or mend the labels"
            )));
        }
        Loader::new(Arc::new(dataset.clone()), self.batch_size)
    }

    fn run_epoch(&mut self, train: &Loader, test: Option<&Loader>, history: &mut History) -> Result<ControlFlow<()>> {
        let place = Place { epoch: self.epochs, first_step: self.engine.step()? };
        let start = EpochStart { epoch: place.epoch + 1, steps: train.batches() };
        self.tell(|callback| callback.on_epoch_begin(&start))?;
        self.engine.reset_metrics(Phase::Train)?;

        let started = Instant::now();
        let mut samples = 0;
        for (index, batch) in train.epoch(place.epoch).enumerate() {
            if self.stop.is_set() {
                history.interrupted = true;
                break;
            }
            let batch = batch?;
            self.engine.train_step(&batch.input, &batch.target)?;
            history.steps += 1;
            samples += batch.indices.len();
            let Trainer { engine, callbacks, .. } = self;
            let mut info = StepInfo { epoch: place.epoch + 1, step: index + 1, samples, engine };
            callbacks.iter_mut().try_for_each(|callback| callback.on_step(&mut info))?;
            if (index + 1) % HEALTH_INTERVAL == 0 {
                self.check_health(train, place)?;
            }
        }
        self.check_health(train, place)?;
        let metrics = self.engine.metrics(Phase::Train)?;
        let seconds = started.elapsed().as_secs_f64();
        history.seconds += seconds;
        if history.interrupted {
            return Ok(ControlFlow::Break(()));
        }

        self.epochs += 1;
        let started = Instant::now();
        let test = test.map(|test| self.run_evaluation(test)).transpose()?;
        let record = EpochRecord {
            epoch: self.epochs,
            step: self.engine.step()?,
            train: metrics,
            test,
            seconds,
            test_seconds: started.elapsed().as_secs_f64(),
        };
        let mut flow = ControlFlow::Continue(());
        self.tell(|callback| {
            if callback.on_epoch_end(&record)?.is_break() {
                flow = ControlFlow::Break(());
            }
            Ok(())
        })?;
        history.epochs.push(record);
        Ok(flow)
    }

    fn run_evaluation(&mut self, loader: &Loader) -> Result<Evaluation> {
        self.engine.reset_metrics(Phase::Eval)?;
        for batch in loader.epoch(0) {
            let batch = batch?;
            self.engine.eval_step(&batch.input, &batch.target)?;
        }
        let metrics = self.engine.metrics(Phase::Eval)?;
        Ok(Evaluation {
            loss: metrics.loss,
            accuracy: metrics.accuracy(),
            confusion: self.engine.confusion()?,
            samples: metrics.samples,
        })
    }

    /// An error if the loss has become NaN or infinite in the epoch that runs.
    fn check_health(&mut self, train: &Loader, place: Place) -> Result<()> {
        let Some(step) = self.engine.health()? else { return Ok(()) };
        let index = step.saturating_sub(place.first_step + 1) as usize;
        let Some(batch) = train.clone().prefetch(0).epoch_from(place.epoch, index)?.next().transpose()? else {
            panic!("onestep bug: step {step} is not of the epoch that runs, which began after {}", place.first_step)
        };
        let first_seen = self.engine.diagnose(&batch.input, &batch.target)?;
        Err(Error::numeric(format!(
            "the loss became NaN or infinite at step {step} (epoch {}), first seen in {first_seen}; lower the \
             learning rate or clip gradients. The model is as it was before that step",
            place.epoch + 1
        )))
    }
}

/// Where an epoch stands: its number from 0 and the steps done before it.
#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    first_step: u64,
}
