//! The trainer: epochs of shuffled batches, figures on the test set after each, and the model file.
//!
//! Nothing is waited for between steps unless a callback asks. Metrics, and whether a loss has become NaN or infinite
//! (after which the device keeps its states as they were), are asked for now and then and looked at when they come.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::watch::Watch;
use super::{
    Callback, EpochRecord, EpochStart, Evaluation, History, Residency, StepInfo, StopFlag, TrainStart, TrainerBuilder,
};
use crate::data::{Dataset, ElementSpec, Loader, Normalization};
use crate::engine::{Engine, Lender, Module, Phase, Selection};
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
    residency: Residency,
    epochs: u64,
    callbacks: Vec<Box<dyn Callback>>,
    stop: StopFlag,
    /// Who lends memory for batches on their way to the device.
    lender: Option<Arc<dyn Lender>>,
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
        residency: Residency,
        callbacks: Vec<Box<dyn Callback>>,
        stop: StopFlag,
    ) -> Self {
        let lender = engine.device().lender();
        Trainer { engine, description, batch_size, seed, residency, epochs: 0, callbacks, stop, lender }
    }

    /// Compiles the training step on batches of a data set, and lays the set onto the device if it
    /// [belongs](Residency) there, so that what does not fit is known before [`Trainer::fit`].
    ///
    /// # Errors
    /// Data unlike what the trainer was built for, whatever reading it meets, memory that the device does not have,
    /// with the largest batch that would fit.
    pub fn prepare<D: Dataset + Clone + 'static>(&mut self, train: &D) -> Result<()> {
        let train = self.loader(train)?;
        let batch = train.samples_of(0);
        match self.residency.settle(&mut self.engine, Phase::Train, &train)? {
            true => self.engine.resident_plan(batch)?,
            false => self.engine.plan(batch)?,
        };
        Ok(())
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
        let train = Source::new(train, self.residency, &mut self.engine, Phase::Train)?;
        let test = test.map(|test| Source::new(test, self.residency, &mut self.engine, Phase::Eval)).transpose()?;
        let mut history = History::default();
        let start = TrainStart {
            epochs: epochs.0,
            steps_per_epoch: train.loader.batches(),
            samples: train.loader.dataset().len(),
        };
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
        self.run_evaluation(&Source { loader, resident: false })
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

    /// Takes over state of another trainer, on the device where both are on the same handle of it; how many epochs
    /// each has done stays its own. Errors as [`Engine::copy_state_from`].
    pub fn copy_state_from(&mut self, other: &Trainer, selection: Selection<'_>) -> Result<()> {
        self.engine.copy_state_from(&other.engine, selection)
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
        Ok(Loader::new(Arc::new(dataset.clone()), self.batch_size)?.lender(self.lender.clone()))
    }

    fn run_epoch(&mut self, train: &Source, test: Option<&Source>, history: &mut History) -> Result<ControlFlow<()>> {
        let place = Place { epoch: self.epochs, first_step: self.engine.step()? };
        let start = EpochStart { epoch: place.epoch + 1, steps: train.loader.batches() };
        self.tell(|callback| callback.on_epoch_begin(&start))?;
        self.engine.reset_metrics(Phase::Train)?;

        let started = Instant::now();
        let mut samples = 0;
        let (mut watch, mut health) = (Watch::new(), None);
        let mut streamed = match train.resident {
            true => {
                self.engine.start_epoch(&train.loader.order(place.epoch))?;
                None
            }
            false => Some(train.loader.epoch(place.epoch)),
        };
        for index in 0..train.loader.batches() {
            if self.stop.is_set() {
                history.interrupted = true;
                break;
            }
            let size = train.loader.samples_of(index);
            match streamed.as_mut().map(Iterator::next) {
                None => self.engine.run(1, size)?,
                Some(Some(batch)) => {
                    let batch = batch?;
                    self.engine.train_step(&batch.input, &batch.target)?;
                }
                Some(None) => break,
            }
            history.steps += 1;
            samples += size;
            let Trainer { engine, callbacks, .. } = self;
            if !callbacks.is_empty() {
                let latest = watch.look(engine)?;
                let mut info = StepInfo { epoch: place.epoch + 1, step: index + 1, samples, latest, engine };
                callbacks.iter_mut().try_for_each(|callback| callback.on_step(&mut info))?;
            }
            if (index + 1) % HEALTH_INTERVAL == 0 {
                // The last answer is there by now, or the device is far behind.
                let ask = self.engine.request_health()?;
                if let Some(answer) = health.replace(ask)
                    && answer.wait()?.is_some()
                {
                    break;
                }
            }
        }
        self.check_health(&train.loader, place)?;
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

    fn run_evaluation(&mut self, test: &Source) -> Result<Evaluation> {
        self.engine.reset_metrics(Phase::Eval)?;
        if test.resident {
            self.engine.evaluate_resident(self.batch_size)?;
        } else {
            for batch in test.loader.epoch(0) {
                let batch = batch?;
                self.engine.eval_step(&batch.input, &batch.target)?;
            }
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

/// Batches of a data set, from the host or on the device.
struct Source {
    loader: Loader,
    resident: bool,
}

impl Source {
    fn new(loader: Loader, residency: Residency, engine: &mut Engine, phase: Phase) -> Result<Self> {
        let resident = residency.settle(engine, phase, &loader)?;
        Ok(Source { loader, resident })
    }
}

/// Where an epoch stands: its number from 0 and the steps done before it.
#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    first_step: u64,
}
