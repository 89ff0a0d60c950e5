//! Losses: from a model's output and a target to one number, the mean over the batch.
//!
//! They follow PyTorch's formulas, are stable for any finite output, and compute in at least f32 whatever
//! the model's dtype is.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::options::{self, Tagged};
use crate::error::{Error, Result};
use crate::trace::{DType, Literal, Scope, Shape, Tensor};

/// What a loss is for; decides which metrics make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossKind {
    /// The output is scored per class or label: accuracy makes sense.
    Classification,
    /// The output is compared as numbers.
    Regression,
}

/// A loss function.
pub trait Loss {
    /// The mean loss, f32[], of a batch.
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// What it is for.
    fn kind(&self) -> LossKind;

    /// The number of samples that the output gets right, f32[], where that makes sense.
    fn correct(&self, output: &Tensor, target: &Tensor) -> Option<Tensor> {
        match self.kind() {
            LossKind::Classification => Some(correct(output, target)),
            LossKind::Regression => None,
        }
    }
}

/// How many rows of `output` [.., classes] are largest at the target's class, f32[]. The target holds
/// classes (integers [..]) or a distribution [.., classes], whose largest element counts.
pub fn correct(output: &Tensor, target: &Tensor) -> Tensor {
    let wanted = if target.dtype().is_float() { target.argmax(-1) } else { target.cast(DType::I32) };
    output.argmax(-1).eq(wanted).cast(DType::F32).sum(..)
}

/// Cross entropy of logits [.., classes] and classes as integers [..]: -log softmax(output)\[target\].
///
/// A class outside 0..classes that is not `ignore_index` makes the loss NaN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparseCrossEntropy {
    label_smoothing: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_index: Option<i32>,
}

/// [`SparseCrossEntropy`] without smoothing, nothing ignored.
pub fn sparse_cross_entropy() -> SparseCrossEntropy {
    SparseCrossEntropy::default()
}

impl SparseCrossEntropy {
    /// Spreads this share of each target evenly over all classes, 0 to 1 (default 0; Szegedy et al. 2016).
    pub fn label_smoothing(self, share: f64) -> Self {
        SparseCrossEntropy { label_smoothing: share, ..self }
    }

    /// Leaves out samples of this class; the mean is over the others, and 0 if there are none.
    pub fn ignore_index(self, class: i32) -> Self {
        SparseCrossEntropy { ignore_index: Some(class), ..self }
    }
}

impl Loss for SparseCrossEntropy {
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        s.check()?;
        check_share(self.label_smoothing)?;
        let (shape, targets) = (output.shape(), target.shape());
        let Some((&classes, samples)) = shape.split_last() else { return Err(no_classes(&shape)) };
        if !target.dtype().is_int() || *targets != *samples {
            return Err(Error::shape(format!(
                "sparse_cross_entropy: logits are {shape}, so targets must be integers {}, not {}{targets}",
                Shape::from(samples),
                target.dtype()
            )));
        }
        let target = target.cast(DType::I32);
        let log_p = widen(output).log_softmax(-1);
        let hit = target.unsqueeze(-1).eq(s.trace().iota(shape.keeping(&axes_but_last(&shape)), -1, DType::I32));
        let mut loss = -hit.select(&log_p, 0.0).sum(-1);
        if self.label_smoothing > 0.0 {
            loss = loss * (1.0 - self.label_smoothing) - log_p.mean(-1) * self.label_smoothing;
        }
        let valid = target.ge(0.0).and(target.lt(classes as f64));
        let loss = valid.select(loss, f64::NAN);
        match self.ignore_index {
            None => Ok(loss.mean(..)),
            Some(ignored) => {
                let keep = target.ne(f64::from(ignored));
                let count = keep.cast(loss.dtype()).sum(..).maximum(1.0);
                Ok(keep.select(loss, 0.0).sum(..) / count)
            }
        }
    }

    fn kind(&self) -> LossKind {
        LossKind::Classification
    }
}

/// Cross entropy of logits [.., classes] and a distribution of the same shape: -Σ target log softmax(output).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropy {
    label_smoothing: f64,
}

/// [`CrossEntropy`] without smoothing.
pub fn cross_entropy() -> CrossEntropy {
    CrossEntropy::default()
}

impl CrossEntropy {
    /// Spreads this share of each target evenly over all classes, 0 to 1 (default 0).
    pub fn label_smoothing(self, share: f64) -> Self {
        CrossEntropy { label_smoothing: share }
    }
}

impl Loss for CrossEntropy {
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        check_share(self.label_smoothing)?;
        let (output, target) = pair(s, "cross_entropy", output, target)?;
        let Some(&classes) = output.shape().last() else { return Err(no_classes(&output.shape())) };
        let smooth = self.label_smoothing;
        let target = if smooth > 0.0 { target * (1.0 - smooth) + smooth / classes as f64 } else { target };
        Ok(-(target * output.log_softmax(-1)).sum(-1).mean(..))
    }

    fn kind(&self) -> LossKind {
        LossKind::Classification
    }
}

/// Binary cross entropy of logits and targets from 0 to 1 of the same shape, each element a label of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BceWithLogits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pos_weight: Option<Vec<f64>>,
}

/// [`BceWithLogits`] without weights.
pub fn bce_with_logits() -> BceWithLogits {
    BceWithLogits::default()
}

impl BceWithLogits {
    /// Weighs the positive part of each label (last axis), or of all labels if one number is given.
    pub fn pos_weight(self, weights: impl Into<Vec<f64>>) -> Self {
        BceWithLogits { pos_weight: Some(weights.into()) }
    }
}

impl Loss for BceWithLogits {
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (x, t) = pair(s, "bce_with_logits", output, target)?;
        let negative = (-&x).softplus();
        let positive_share = match &self.pos_weight {
            None => negative,
            Some(weights) => {
                let labels = x.shape().last().copied().unwrap_or(1);
                if weights.len() != 1 && weights.len() != labels {
                    let n = weights.len();
                    return Err(Error::shape(format!(
                        "pos_weight has {n} numbers for {labels} labels; give one for each"
                    )));
                }
                let weights = s.trace().constant(Literal::from_f64(x.dtype(), [weights.len()], weights)?);
                ((weights - 1.0) * &t + 1.0) * negative
            }
        };
        Ok(((1.0 - t) * x + positive_share).mean(..))
    }

    fn kind(&self) -> LossKind {
        LossKind::Classification
    }

    /// Labels on the right side of 0, in samples: the mean over a sample's labels, summed over the batch.
    fn correct(&self, output: &Tensor, target: &Tensor) -> Option<Tensor> {
        let hits = output.gt(0.0).eq(target.gt(0.5)).cast(DType::F32);
        let samples = hits.shape().first().copied().unwrap_or(1);
        Some(hits.mean(..) * samples as f64)
    }
}

/// Mean squared error of two tensors of one shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mse {}

/// [`Mse`].
pub fn mse() -> Mse {
    Mse {}
}

impl Loss for Mse {
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (x, t) = pair(s, "mse", output, target)?;
        Ok((x - t).square().mean(..))
    }

    fn kind(&self) -> LossKind {
        LossKind::Regression
    }
}

/// Mean absolute error of two tensors of one shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1 {}

/// [`L1`].
pub fn l1() -> L1 {
    L1 {}
}

impl Loss for L1 {
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (x, t) = pair(s, "l1", output, target)?;
        Ok((x - t).abs().mean(..))
    }

    fn kind(&self) -> LossKind {
        LossKind::Regression
    }
}

/// Half the squared error up to `delta`, linear beyond (Huber 1964): the mean of d²/2 where d = |x - t| is
/// at most delta, else delta (d - delta / 2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Huber {
    delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        huber(1.0)
    }
}

/// [`Huber`] with this delta (1 where a config file does not say).
pub fn huber(delta: f64) -> Huber {
    Huber { delta }
}

impl Loss for Huber {
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        let delta = self.delta;
        if delta.is_nan() || delta <= 0.0 {
            return Err(Error::config(format!("huber: delta is {delta} but must be above 0")));
        }
        let (x, t) = pair(s, "huber", output, target)?;
        let d = (x - t).abs();
        Ok(d.le(delta).select(d.square() * 0.5, (&d - delta / 2.0) * delta).mean(..))
    }

    fn kind(&self) -> LossKind {
        LossKind::Regression
    }
}

fn axes_but_last(shape: &Shape) -> Vec<usize> {
    (0..shape.rank().saturating_sub(1)).collect()
}

/// At least f32, so that sums keep their digits.
fn widen(x: &Tensor) -> Tensor {
    if x.dtype() == DType::F64 { x.clone() } else { x.cast(DType::F32) }
}

/// Output and target in the loss's dtype, which must agree in shape.
fn pair(s: &Scope, what: &str, output: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
    s.check()?;
    if output.shape() != target.shape() {
        return Err(Error::shape(format!(
            "{what}: the output is {} but the target is {}; reshape one of them",
            output.shape(),
            target.shape()
        )));
    }
    let output = widen(output);
    let target = target.cast(output.dtype());
    Ok((output, target))
}

fn check_share(share: f64) -> Result<()> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::config(format!("label_smoothing is {share} but must be a share from 0 to 1")))
}

fn no_classes(shape: &Shape) -> Error {
    Error::shape(format!("logits are {shape} but must be [.., classes]"))
}

macro_rules! losses {
    ($($variant:ident($ty:ty) = $name:literal, $help:literal;)*) => {
        /// Any loss that a config file can name: a string, or a table with its options,
        /// `{ type = "sparse_cross_entropy", label_smoothing = 0.1 }`.
        #[derive(Clone, Debug, PartialEq)]
        pub enum LossSpec {
            $(#[doc = concat!("`", $name, "`: ", $help, ".")] $variant($ty),)*
        }

        $(impl From<$ty> for LossSpec {
            fn from(loss: $ty) -> Self {
                LossSpec::$variant(loss)
            }
        })*

        impl LossSpec {
            /// Every loss: its name in config files, and its options with their defaults.
            pub const TYPES: &[(&str, &str)] = &[$(($name, $help)),*];

            /// The name in config files.
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(LossSpec::$variant(_) => $name,)*
                }
            }

            /// The loss itself.
            pub fn loss(&self) -> &dyn Loss {
                match self {
                    $(LossSpec::$variant(loss) => loss,)*
                }
            }

            fn options(&self) -> serde_json::Result<Value> {
                match self {
                    $(LossSpec::$variant(loss) => serde_json::to_value(loss),)*
                }
            }

            fn from_tagged(tagged: &Tagged) -> Result<Self> {
                match tagged.name.as_str() {
                    $($name => tagged.parse().map(LossSpec::$variant),)*
                    _ => Err(tagged.unknown(LossSpec::TYPES.iter().map(|(name, _)| *name))),
                }
            }
        }
    };
}

losses! {
    SparseCrossEntropy(SparseCrossEntropy) = "sparse_cross_entropy", "label_smoothing = 0, ignore_index = none";
    CrossEntropy(CrossEntropy) = "cross_entropy", "label_smoothing = 0";
    BceWithLogits(BceWithLogits) = "bce_with_logits", "pos_weight = none";
    Mse(Mse) = "mse", "no options";
    L1(L1) = "l1", "no options";
    Huber(Huber) = "huber", "delta = 1";
}

impl Loss for LossSpec {
    fn apply(&self, s: &Scope, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.loss().apply(s, output, target)
    }

    fn kind(&self) -> LossKind {
        self.loss().kind()
    }

    fn correct(&self, output: &Tensor, target: &Tensor) -> Option<Tensor> {
        self.loss().correct(output, target)
    }
}

impl Serialize for LossSpec {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        options::tag(self.type_name(), self.options().map_err(serde::ser::Error::custom)?).serialize(s)
    }
}

impl<'de> Deserialize<'de> for LossSpec {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let tagged = Tagged::new("loss", Value::deserialize(d)?).map_err(D::Error::custom)?;
        LossSpec::from_tagged(&tagged).map_err(D::Error::custom)
    }
}
