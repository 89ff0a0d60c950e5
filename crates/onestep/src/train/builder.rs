//! The builder of a trainer: a model, and everything else with a default.

use std::any::Any;
use std::rc::Rc;

use super::callbacks::{Callback, StopFlag};
use super::residency::Residency;
use super::trainer::{Description, Trainer};
use crate::data::{Dataset, ElementSpec, Normalization};
use crate::engine::{Definition, Device, Engine, InputScaling, Module, Passes, Precision, Spec};
use crate::error::{Error, Result};
use crate::format::OutputKind;
use crate::nn::loss::{self, BceWithLogits};
use crate::nn::{Loss, LossKind, LossSpec, Sequential};
use crate::optim::{AdamW, Clip, Optimizer, Schedule};

/// What a [`Trainer`] is made of, see [`Trainer::builder`].
pub struct TrainerBuilder {
    model: Rc<dyn Module>,
    architecture: Option<serde_json::Value>,
    loss: Option<(Rc<dyn Loss>, OutputKind)>,
    optimizer: Rc<dyn Optimizer>,
    schedule: Schedule,
    clip: Option<Clip>,
    batch_size: usize,
    seed: u64,
    device: Option<Device>,
    memory_limit: Option<usize>,
    residency: Residency,
    normalization: Option<Option<Normalization>>,
    passes: Option<Passes>,
    precision: Precision,
    callbacks: Vec<Box<dyn Callback>>,
    stop: StopFlag,
}

impl TrainerBuilder {
    pub(super) fn new(model: impl Module + 'static) -> Self {
        // A Sequential is data, so that the saved model can carry it.
        let sequential = (&model as &dyn Any).downcast_ref::<Sequential>();
        let architecture = sequential.and_then(|layers| serde_json::to_value(layers).ok());
        TrainerBuilder {
            model: Rc::new(model),
            architecture,
            loss: None,
            optimizer: Rc::new(AdamW::default()),
            schedule: Schedule::constant(),
            clip: None,
            batch_size: 32,
            seed: 0,
            device: None,
            memory_limit: None,
            residency: Residency::Auto,
            normalization: None,
            passes: None,
            precision: Precision::F32,
            callbacks: Vec::new(),
            stop: StopFlag::new(),
        }
    }

    /// The loss (default: sparse cross entropy where targets are class labels, else the mean squared error).
    pub fn loss(self, loss: impl Loss + 'static) -> Self {
        let output = output_of(&loss);
        TrainerBuilder { loss: Some((Rc::new(loss), output)), ..self }
    }

    /// The optimizer (default: AdamW with PyTorch's options).
    pub fn optimizer(self, optimizer: impl Optimizer + 'static) -> Self {
        TrainerBuilder { optimizer: Rc::new(optimizer), ..self }
    }

    /// How the learning rate follows from the step (default: constant).
    pub fn schedule(self, schedule: Schedule) -> Self {
        TrainerBuilder { schedule, ..self }
    }

    /// Clips gradients (default: not).
    pub fn clip(self, clip: impl Into<Option<Clip>>) -> Self {
        TrainerBuilder { clip: clip.into(), ..self }
    }

    /// Samples a step (default 32); the last step of an epoch may have fewer.
    pub fn batch_size(self, batch_size: usize) -> Self {
        TrainerBuilder { batch_size, ..self }
    }

    /// What initial weights, random numbers and the order of samples follow from (default 0).
    pub fn seed(self, seed: u64) -> Self {
        TrainerBuilder { seed, ..self }
    }

    /// Where it runs (default: [`Device::best`]).
    pub fn device(self, device: Device) -> Self {
        TrainerBuilder { device: Some(device), ..self }
    }

    /// The most bytes of the device's memory that it and all that shares its handle may take (default: as set on the
    /// device, see [`Device::with_memory_limit`]).
    pub fn memory_limit(self, bytes: impl Into<Option<usize>>) -> Self {
        TrainerBuilder { memory_limit: bytes.into(), ..self }
    }

    /// Whether data sets are laid onto the device (default: [`Residency::Auto`]).
    pub fn resident(self, residency: Residency) -> Self {
        TrainerBuilder { residency, ..self }
    }

    /// How inputs are normalised, `None` for not at all (default: as the data set says).
    pub fn normalization(self, normalization: Option<Normalization>) -> Self {
        TrainerBuilder { normalization: Some(normalization), ..self }
    }

    /// Which compiler passes run (default: all but those that `ONESTEP_PASSES` switches off).
    pub fn passes(self, passes: Passes) -> Self {
        TrainerBuilder { passes: Some(passes), ..self }
    }

    /// The floats that matrix products and convolutions read, and that are kept between kernels (default: f32).
    /// Parameters and all else that is trained are f32 in each; f16 scales the loss.
    pub fn precision(self, precision: Precision) -> Self {
        TrainerBuilder { precision, ..self }
    }

    /// Adds something that watches the training, told in the order of adding.
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// A flag that ends [`Trainer::fit`] early (default: one of its own, see [`Trainer::stop_flag`]).
    pub fn stop_flag(self, stop: StopFlag) -> Self {
        TrainerBuilder { stop, ..self }
    }

    /// Traces the model on inputs and targets like this data set's, compiles its step and initialises its
    /// parameters.
    ///
    /// # Errors
    /// Shapes and options that do not fit, naming the layer; a normalisation that does not fit the inputs; a
    /// model with fewer outputs than the data set has classes; and no device or memory to run on.
    pub fn build(self, dataset: &(impl Dataset + ?Sized)) -> Result<Trainer> {
        if self.batch_size == 0 {
            return Err(Error::config("the batch size is 0; give at least 1"));
        }
        let (input, target) = (dataset.input(), dataset.target());
        let normalization = self.normalization.unwrap_or_else(|| dataset.normalization());
        if let Some(normalization) = &normalization {
            normalization.check(&input)?;
        }
        let (loss, output) = self.loss.unwrap_or_else(|| default_loss(&target));
        let definition = Definition {
            model: self.model,
            loss,
            optimizer: self.optimizer,
            schedule: self.schedule,
            clip: self.clip,
            input: spec(&input),
            target: spec(&target),
            scaling: normalization.clone().map(|n| InputScaling { scale: n.scale, mean: n.mean, std: n.std }),
            precision: self.precision,
            seed: self.seed,
        };
        let mut device = self.device.map_or_else(Device::best, Ok)?;
        if let Some(bytes) = self.memory_limit {
            device = device.with_memory_limit(bytes)?;
        }
        let passes = self.passes.map_or_else(Passes::from_env, Ok)?;
        let engine = Engine::new(&device, definition, passes)?;
        let classes = dataset.classes().map(<[String]>::to_vec);
        if let (Some(scores), Some(classes), OutputKind::Logits) = (engine.classes(), &classes, output)
            && scores < classes.len()
        {
            let n = classes.len();
            return Err(Error::shape(format!(
                "the model gives {scores} scores a sample, but the data set has {n} classes; give the last layer {n} \
                 outputs"
            )));
        }
        let description =
            Description { architecture: self.architecture, input, target, output, classes, normalization };
        let TrainerBuilder { batch_size, seed, residency, callbacks, stop, .. } = self;
        Ok(Trainer::new(engine, description, batch_size, seed, residency, callbacks, stop))
    }
}

pub(super) fn spec(element: &ElementSpec) -> Spec {
    Spec { shape: element.shape.clone(), dtype: element.dtype }
}

fn default_loss(target: &ElementSpec) -> (Rc<dyn Loss>, OutputKind) {
    if target.dtype.is_int() && target.shape.is_empty() {
        (Rc::new(loss::sparse_cross_entropy()), OutputKind::Logits)
    } else {
        (Rc::new(loss::mse()), OutputKind::Values)
    }
}

/// What the model's outputs are under a loss.
fn output_of(loss: &(impl Loss + 'static)) -> OutputKind {
    let any = loss as &dyn Any;
    let per_label = any.is::<BceWithLogits>() || matches!(any.downcast_ref(), Some(LossSpec::BceWithLogits(_)));
    match loss.kind() {
        LossKind::Classification if per_label => OutputKind::LabelLogits,
        LossKind::Classification => OutputKind::Logits,
        LossKind::Regression => OutputKind::Values,
    }
}
