//! The predictor: a trained model's forward pass, with probabilities where the outputs are scores.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::data::{ElementSpec, Normalization};
use crate::engine::{
    DType, Definition, Device, Engine, InputScaling, Literal, Module, Passes, Precision, Scope, Spec, Tensor,
};
use crate::error::{Error, Result};
use crate::format::{ModelFile, OutputKind};
use crate::nn::{Loss, LossKind, Sequential};
use crate::optim::{Schedule, Sgd};

/// The file of the model in a run folder.
const MODEL_FILE: &str = "model.safetensors";

/// Inputs of one submission; more are cut into as many.
const BATCH: usize = 256;

/// A trained model on a device, ready to be asked.
///
/// ```no_run
/// use onestep::prelude::*;
/// let mut predictor = Predictor::load("runs/digits-1", &Device::best()?)?;
/// let images = data::gather(&datasets::digits(), 0..3)?.input;
/// let probabilities = predictor.predict(&images)?;
/// assert_eq!(probabilities.shape().dims(), [3, 10]);
/// # Ok::<(), Error>(())
/// ```
pub struct Predictor {
    engine: Engine,
    input: ElementSpec,
    output: OutputKind,
    classes: Option<Vec<String>>,
    normalization: Option<Normalization>,
}

impl Predictor {
    /// Loads a model file or the one in a run folder; the layers come from the file.
    ///
    /// # Errors
    /// A file that is missing, damaged or no model; one whose model was the user's own code (see
    /// [`Predictor::load_with`]); and what the device refuses.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = model_path(path.as_ref());
        let file = ModelFile::read(&path)?;
        let layers = file.architecture.clone().ok_or_else(|| {
            Error::config(
                "the file holds no architecture, for its model was no Sequential; give the model's own code to \
                 Predictor::load_with",
            )
        });
        let layers = layers.and_then(Sequential::from_value);
        layers.and_then(|layers| Self::new(file, layers, device)).map_err(|e| e.at(path.display()))
    }

    /// Loads a model file, or the one in a run folder, into a model of the user's own code.
    ///
    /// # Errors
    /// As [`Predictor::load`], and tensors that are not this model's.
    pub fn load_with(path: impl AsRef<Path>, model: impl Module + 'static, device: &Device) -> Result<Self> {
        let path = model_path(path.as_ref());
        Self::new(ModelFile::read(&path)?, model, device).map_err(|e| e.at(path.display()))
    }

    fn new(file: ModelFile, model: impl Module + 'static, device: &Device) -> Result<Self> {
        let input = ElementSpec::new(&file.input_shape, file.input_dtype);
        let normalization: Option<Normalization> = file
            .normalization
            .map(serde_json::from_value)
            .transpose()
            .map_err(|e| Error::format(format!("metadata `normalization`: {e}")))?;
        if let Some(normalization) = &normalization {
            normalization.check(&input)?;
        }
        let definition = Definition {
            model: Rc::new(Scored { model, output: file.output }),
            loss: Rc::new(NoLoss),
            optimizer: Rc::new(Sgd::new(0.0)),
            schedule: Schedule::constant(),
            clip: None,
            input: Spec { shape: input.shape.clone(), dtype: input.dtype },
            target: Spec { shape: [].into(), dtype: DType::F32 },
            scaling: normalization.clone().map(|n| InputScaling { scale: n.scale, mean: n.mean, std: n.std }),
            precision: Precision::F32,
            seed: 0,
        };
        let mut engine = Engine::new(device, definition, Passes::from_env()?)?;
        engine.load_model_state(&file.tensors)?;
        if let (Some(scores), Some(classes)) = (engine.classes(), &file.classes)
            && scores < classes.len()
        {
            let n = classes.len();
            return Err(Error::format(format!("the file names {n} classes, but its model gives {scores} scores")));
        }
        Ok(Predictor { engine, input, output: file.output, classes: file.classes, normalization })
    }

    /// The model's output for inputs [n, …], in their stored dtype and not normalised: probabilities
    /// [n, classes] where it was trained to classify, else its numbers.
    ///
    /// # Errors
    /// Inputs of another shape or dtype than the model was trained on, none at all, and a failing device.
    pub fn predict(&mut self, inputs: &Literal) -> Result<Literal> {
        let (shape, want) = (inputs.shape(), &self.input);
        let Some((&n, sample)) =
            shape.split_first().filter(|&(&n, sample)| n > 0 && *sample == *want.shape && inputs.dtype() == want.dtype)
        else {
            let got = inputs.dtype();
            return Err(Error::shape(format!(
                "inputs are {got}{shape}, but the model was trained on {want} a sample; give [n, …] of those"
            )));
        };
        let size = self.input.bytes();
        let mut outputs = Vec::with_capacity(n.div_ceil(BATCH));
        for start in (0..n).step_by(BATCH) {
            let count = BATCH.min(n - start);
            let bytes = &inputs.bytes()[start * size..(start + count) * size];
            let part = [&[count], sample].concat();
            outputs.push(self.engine.predict(&Literal::from_bytes(inputs.dtype(), part, bytes)?)?);
        }
        join(&outputs, n)
    }

    /// Shape and dtype of one input.
    pub fn input(&self) -> &ElementSpec {
        &self.input
    }

    /// The names of the classes, if the model was trained on class labels.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// How inputs are normalised inside the model.
    pub fn normalization(&self) -> Option<&Normalization> {
        self.normalization.as_ref()
    }

    /// What the numbers of [`Predictor::predict`] were before they became probabilities.
    pub fn output(&self) -> OutputKind {
        self.output
    }

    /// The value that stands for full brightness in stored inputs: 1 / scale of the normalisation, so 16 for
    /// the digits and 255 for MNIST; without a normalisation 255 for u8, else 1.
    pub fn pixel_max(&self) -> f64 {
        match &self.normalization {
            Some(normalization) if normalization.scale > 0.0 => 1.0 / normalization.scale,
            _ if self.input.dtype == DType::U8 => 255.0,
            _ => 1.0,
        }
    }
}

/// A path to a model file, given it or its run folder.
fn model_path(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MODEL_FILE) } else { path.to_path_buf() }
}

/// Joins outputs along their first axis, n in all.
fn join(outputs: &[Literal], n: usize) -> Result<Literal> {
    let [first, rest @ ..] = outputs else {
        return Err(Error::shape("there are no inputs to predict for; give at least one"));
    };
    if rest.is_empty() {
        return Ok(first.clone());
    }
    let bytes = outputs.iter().map(Literal::bytes).collect::<Vec<_>>().concat();
    Literal::from_bytes(first.dtype(), first.shape().with_dim(0, n), bytes)
}

/// A model whose scores are made probabilities in the graph.
struct Scored<M> {
    model: M,
    output: OutputKind,
}

impl<M: Module> Module for Scored<M> {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let y = self.model.forward(s, x)?;
        Ok(match self.output {
            OutputKind::Logits => y.softmax(-1),
            OutputKind::LabelLogits => y.sigmoid(),
            OutputKind::Values => y,
        })
    }

    fn kind(&self) -> &str {
        self.model.kind()
    }
}

/// Stands where the engine wants a loss; nothing is trained.
struct NoLoss;

impl Loss for NoLoss {
    fn apply(&self, _: &Scope, output: &Tensor, _: &Tensor) -> Result<Tensor> {
        Ok(output.cast(DType::F32).mean(..))
    }

    fn kind(&self) -> LossKind {
        LossKind::Regression
    }
}
