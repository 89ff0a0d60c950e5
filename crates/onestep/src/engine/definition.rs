//! What a step is made of, and the trace of its forward pass.

use std::fmt;
use std::rc::Rc;

use super::resident::Feed;
use crate::error::{Error, Result};
use crate::nn::Loss;
use crate::optim::{Clip, Optimizer, Schedule};
use crate::passes::Precision;
use crate::trace::{DType, LayerInfo, Literal, Mode, Module, NodeId, Shape, Tensor, Trace, Traced};

/// Shape and dtype of one sample, without the batch axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The extents of one sample; empty for a scalar such as a class label.
    pub shape: Shape,
    /// The type in which the host passes it.
    pub dtype: DType,
}

impl Spec {
    /// A spec of a shape and a dtype.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        Spec { shape: shape.into(), dtype }
    }

    /// The shape of a batch.
    pub(super) fn batched(&self, batch: usize) -> Shape {
        std::iter::once(batch).chain(self.shape.iter().copied()).collect()
    }

    /// The number of samples of a batch of this spec; an error if it is none. `what` is "input" or "target".
    pub(super) fn batch_of(&self, what: &str, literal: &Literal) -> Result<usize> {
        let (shape, dtype) = (literal.shape(), literal.dtype());
        let samples = match shape.split_first() {
            Some((&samples, sample)) if *sample == *self.shape => samples,
            _ => {
                let want = Shape::from([&[0], self.shape.dims()].concat()).to_string().replacen('0', "batch", 1);
                return Err(Error::shape(format!(
                    "the {what} is {dtype}{shape} but the model was made for {}{want}; reshape it",
                    self.dtype
                )));
            }
        };
        if dtype != self.dtype {
            return Err(Error::dtype(format!(
                "the {what} is {dtype}{shape} but the model was made for {}; convert it",
                self.dtype
            )));
        }
        if samples == 0 {
            return Err(Error::data(format!("the {what} has no samples; pass at least one")));
        }
        Ok(samples)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// Scaling of inputs inside the step, after a cast to f32: `(x * scale - mean[c]) / std[c]`, where c is the
/// last axis (the channel).
#[derive(Clone, Debug, PartialEq)]
pub struct InputScaling {
    /// Multiplies first; 1/255 takes bytes to 0..1.
    pub scale: f64,
    /// Subtracted after scaling: one number for all channels, or one a channel.
    pub mean: Vec<f64>,
    /// Divides last, above zero: one number for all channels, or one a channel.
    pub std: Vec<f64>,
}

impl InputScaling {
    fn check(&self, input: &Spec) -> Result<()> {
        let channels = input.shape.last().copied().unwrap_or(1);
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != 1 && values.len() != channels {
                return Err(Error::config(format!(
                    "input scaling: {name} has {} numbers but inputs {input} have {channels} channels; give 1 or \
                     {channels}",
                    values.len()
                )));
            }
        }
        let finite = self.mean.iter().chain(&self.std).chain([&self.scale]).all(|v| v.is_finite());
        if !finite || self.std.iter().any(|&s| s <= 0.0) {
            return Err(Error::config("input scaling: every number must be finite and every std above zero"));
        }
        Ok(())
    }

    /// One multiplication and one addition an element.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let channels = self.mean.len().max(self.std.len());
        let at = |values: &[f64], c: usize| values[c % values.len()];
        let per_channel = |f: &dyn Fn(usize) -> f64| {
            let values: Vec<f64> = (0..channels).map(f).collect();
            let shape = if channels == 1 { Shape::scalar() } else { Shape::from([channels]) };
            Ok::<_, Error>(x.trace().constant(Literal::from_f64(DType::F32, shape, &values)?))
        };
        let factor = per_channel(&|c| self.scale / at(&self.std, c))?;
        let shift = per_channel(&|c| -at(&self.mean, c) / at(&self.std, c))?;
        Ok(x * factor + shift)
    }
}

/// All that a step is made of.
#[derive(Clone)]
pub struct Definition {
    /// Maps the input `[batch, ..]` to the output, logits `[batch, .., classes]` for a classifier.
    pub model: Rc<dyn Module>,
    /// Maps output and target to the mean loss of the batch.
    pub loss: Rc<dyn Loss>,
    /// Makes new parameters.
    pub optimizer: Rc<dyn Optimizer>,
    /// The learning rate as a function of the step, on top of the optimizer's base rate.
    pub schedule: Schedule,
    /// Clips the gradient before the optimizer sees it.
    pub clip: Option<Clip>,
    /// One sample's input. u8 is cast to f32; other types reach the model as they are, unless scaled.
    pub input: Spec,
    /// One sample's target.
    pub target: Spec,
    /// How inputs are scaled.
    pub scaling: Option<InputScaling>,
    /// The floats that contractions read.
    pub precision: Precision,
    /// Decides initial parameters and all random numbers.
    pub seed: u64,
}

/// A traced forward pass.
pub(super) struct Forward {
    /// The trace; its layers leave out the loss.
    pub(super) traced: Traced,
    /// The model's output.
    pub(super) output: NodeId,
    /// Target and loss.
    pub(super) judged: Option<Judged>,
}

/// Where the target and the loss of a forward pass are.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) target: NodeId,
    pub(super) loss: NodeId,
}

/// First words of names that the engine keeps for its own states.
const RESERVED: [&str; 4] = ["engine", "optimizer", "params", "rng"];

impl Definition {
    /// An error for options that no trace would notice.
    pub(super) fn check(&self) -> Result<()> {
        self.schedule.check()?;
        self.scaling.as_ref().map_or(Ok(()), |scaling| scaling.check(&self.input))
    }

    /// Traces the model on a batch of the host's, and the loss if it is wanted.
    pub(super) fn forward(&self, mode: Mode, batch: usize, with_loss: bool) -> Result<Forward> {
        self.forward_on(Feed::Host, mode, batch, with_loss)
    }

    /// Traces the model on a batch, and the loss if it is wanted.
    pub(super) fn forward_on(&self, feed: Feed, mode: Mode, batch: usize, with_loss: bool) -> Result<Forward> {
        let trace = Trace::new();
        let s = trace.scope(mode);
        let input = feed.batch(&trace, "input", &self.input, batch);
        let mut x = input.clone();
        if self.input.dtype == DType::U8 || self.scaling.is_some() {
            x = x.cast(DType::F32);
        }
        if let Some(scaling) = &self.scaling {
            x = scaling.apply(&x)?;
        }
        let output = self.model.forward(&s, x)?;
        s.check()?;
        let judged = match with_loss {
            false => None,
            true => {
                let target = feed.batch(&trace, "target", &self.target, batch);
                let loss = s.layer("loss", "module", |s| self.loss.apply(s, &output, &target))?;
                Some(Judged { target: node(&target)?, loss: node(&loss)? })
            }
        };
        let mut traced = trace.finish()?;
        if with_loss && let Some(at) = traced.layers.iter().rposition(|l: &LayerInfo| l.path == "loss") {
            traced.layers.truncate(at);
        }
        let names = traced.parameters.iter().map(|p| &p.name).chain(traced.buffers.iter().map(|b| &b.name));
        for name in names.filter(|name| !matches!(name.as_str(), super::state::STEP | super::state::SEED)) {
            let first = name.split('.').next().unwrap_or_default();
            if RESERVED.contains(&first) {
                return Err(Error::name(format!(
                    "`{name}` begins with `{first}`, which names the engine's own states; rename that layer"
                )));
            }
        }
        Ok(Forward { traced, output: node(&output)?, judged })
    }
}

/// The node of a tensor of a trace without errors.
pub(super) fn node(tensor: &Tensor) -> Result<NodeId> {
    tensor.node().ok_or_else(|| Error::graph("a tensor of a trace with an error was used; check the trace first"))
}
