//! Runs described in a TOML file: data, model, training, optimizer, and optionally schedule and clipping.
//!
//! Errors name the file, the line, what is wrong there and what exists. The recipes are such files, embedded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

use super::line::{blame, line, line_of};
use super::{Residency, Trainer, TrainerBuilder};
use crate::data::{Dataset, InMemory, Normalization, datasets};
use crate::engine::{Precision, Size};
use crate::error::{Error, ErrorKind, Result};
use crate::nn::{LossSpec, Sequential, loss};
use crate::optim::{Clip, Optimizer, OptimizerSpec, Schedule};

/// The embedded recipes: name and text.
pub const RECIPES: &[(&str, &str)] =
    &[("digits", include_str!("../../recipes/digits.toml")), ("mnist", include_str!("../../recipes/mnist.toml"))];

/// The text of an embedded recipe.
///
/// # Errors
/// A name that none has, with those that exist.
pub fn recipe(name: &str) -> Result<&'static str> {
    RECIPES.iter().find(|(n, _)| *n == name).map(|&(_, text)| text).ok_or_else(|| {
        let names: Vec<_> = RECIPES.iter().map(|(name, _)| *name).collect();
        Error::config(format!("there is no recipe `{name}`; there are {}", names.join(", ")))
    })
}

/// A training run as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Section `[data]`: what is trained on and tested on.
    pub data: DataConfig,
    /// Section `[model]`.
    pub model: ModelConfig,
    /// Section `[training]`.
    pub training: TrainingConfig,
    /// Section `[optimizer]`: `type` and its options.
    pub optimizer: OptimizerSpec,
    /// Section `[schedule]`: `type` and its options; constant if left out. A cosine without `total_steps` (or
    /// with 0) ends with the run.
    #[serde(default = "Schedule::constant", deserialize_with = "schedule")]
    pub schedule: Schedule,
    /// Section `[clip]`: `global_norm` or `value`; no clipping if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
}

/// Section `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DataConfig {
    /// The embedded 8×8 digits, split once into a training and a test part.
    Digits {
        /// The share of samples that are kept for the test (default 0.2).
        #[serde(default = "fifth")]
        test_fraction: f64,
        /// What the split follows from (default 0).
        #[serde(default)]
        split_seed: u64,
    },
    /// The four files of MNIST or a relative under their original names.
    Mnist {
        /// The folder that holds them; `--data` sets it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dir: Option<PathBuf>,
        /// Normalisation of pixels (default: MNIST's statistics).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        normalization: Option<Normalization>,
    },
    /// Any images and labels as IDX files, gzipped or not.
    Idx {
        /// The folder that the paths start from (default: where the program runs); `--data` sets it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dir: Option<PathBuf>,
        /// u8 `[n, height, width]` or `[n, height, width, channels]`.
        train_images: PathBuf,
        /// u8 `[n]`.
        train_labels: PathBuf,
        /// As `train_images`.
        test_images: PathBuf,
        /// As `train_labels`.
        test_labels: PathBuf,
        /// The names of the classes in the order of their labels (default: the labels themselves).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classes: Option<Vec<String>>,
        /// Normalisation of pixels (default: 1/255).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        normalization: Option<Normalization>,
    },
    /// Random numbers with random labels, to time a model without data; the test set is the training set.
    Random {
        /// The extents of one input, f32, uniform in [-1, 1).
        shape: Vec<usize>,
        /// The number of classes.
        classes: usize,
        /// The number of samples (default 1024).
        #[serde(default = "thousand")]
        samples: usize,
        /// What the numbers follow from (default 0).
        #[serde(default)]
        seed: u64,
    },
}

/// Section `[model]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The layers, each `{ type = "…", options }`.
    pub layers: Sequential,
}

/// Section `[training]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training data, at least 1.
    pub epochs: u32,
    /// Samples a step (default 32).
    #[serde(default = "thirty_two")]
    pub batch_size: usize,
    /// What initial weights, random numbers and the order of samples follow from (default 0).
    #[serde(default)]
    pub seed: u64,
    /// The floats that products and convolutions read: f32, bf16 or f16 (default f32). Parameters are f32 in each.
    #[serde(default)]
    pub precision: Precision,
    /// The loss, a name or a table (default: sparse cross entropy).
    #[serde(default = "default_loss")]
    pub loss: LossSpec,
    /// Whether data sets are laid onto the device: "auto" (the default), "always" or "never".
    #[serde(default)]
    pub resident: Residency,
    /// The most memory of the device that the run may take, "8GiB" (default: all of it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<Size>,
}

fn fifth() -> f64 {
    0.2
}

fn thousand() -> usize {
    1024
}

fn thirty_two() -> usize {
    32
}

fn default_loss() -> LossSpec {
    loss::sparse_cross_entropy().into()
}

/// A schedule whose cosine may leave `total_steps` out.
fn schedule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Schedule, D::Error> {
    let mut table = Table::deserialize(deserializer)?;
    if table.get("type").and_then(Value::as_str) == Some("cosine") {
        table.entry("total_steps").or_insert(Value::Integer(0));
    }
    Schedule::deserialize(table).map_err(|e| serde::de::Error::custom(e.message()))
}

/// A training and a test set.
pub type TrainAndTest = (Arc<dyn Dataset>, Arc<dyn Dataset>);

impl Config {
    /// Reads a config from TOML; `name` is what errors call the document.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with name, line, what is wrong and what exists.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let at_line = |message: &str, line: Option<usize>| match line {
            Some(line) => Error::config(format!("{name}, line {line}: {message}")),
            None => Error::config(format!("{name}: {message}")),
        };
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            at_line(one_line(e.message()).as_str(), e.span().map(|span| line(text, span.start)))
        })?;
        if let Some(section) = ["data", "model", "training", "optimizer"].iter().find(|s| !table.contains_key(**s)) {
            return Err(at_line(
                &format!(
                    "there is no section [{section}]; a config has [data], [model], [training], [optimizer] and, if \
                     wanted, [schedule] and [clip]; `onestep recipe digits` prints one to start from"
                ),
                None,
            ));
        }
        let config = read(table).map_err(|message| at_line(&message, blame(text, &message, |t| read(t).map(drop))))?;
        match config.fault() {
            Some((place, message)) => Err(at_line(&message, line_of(text, place))),
            None => Ok(config),
        }
    }

    /// Reads a config file.
    ///
    /// # Errors
    /// A file that cannot be read, and those of [`Config::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("reading the config", path, e))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Checks what types alone do not say.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the option that is out of its range.
    pub fn check(&self) -> Result<()> {
        self.fault().map_or(Ok(()), |(_, message)| Err(Error::config(message)))
    }

    /// The keys that lead to the first option out of its range, and what is wrong with it.
    fn fault(&self) -> Option<(&'static [&'static str], String)> {
        if let DataConfig::Digits { test_fraction, .. } = self.data
            && !(test_fraction > 0.0 && test_fraction < 1.0)
        {
            let message = format!("data: test_fraction is {test_fraction}; it must lie between 0 and 1");
            return Some((&["data", "test_fraction"], message));
        }
        if let DataConfig::Random { samples: 0, .. } = self.data {
            return Some((&["data", "samples"], "data: samples is 0; it must be at least 1".to_string()));
        }
        if self.model.layers.layers().is_empty() {
            let message = "model: there is no layer; give layers = [{ type = \"linear\", out = 10 }, …]";
            return Some((&["model", "layers"], message.to_string()));
        }
        if self.training.epochs == 0 {
            return Some((&["training", "epochs"], "training: epochs is 0; it must be at least 1".to_string()));
        }
        if self.training.batch_size == 0 {
            return Some((&["training", "batch_size"], "training: batch_size is 0; it must be at least 1".to_string()));
        }
        let rate = self.optimizer.learning_rate();
        if !rate.is_finite() || rate < 0.0 {
            let message = format!("optimizer: learning_rate is {rate}; it must be finite and 0 or more");
            return Some((&["optimizer", "learning_rate"], message));
        }
        self.schedule.check().err().map(|e| (&["schedule"] as &[_], e.to_string()))
    }

    /// The config as TOML, every option written out.
    ///
    /// # Errors
    /// Numbers that TOML has no form for: integers from 2^63 on.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::config(format!("the config cannot be written as TOML: {e}")))
    }

    /// Sets the optimizer's base learning rate.
    ///
    /// # Errors
    /// A rate that is negative, infinite or NaN.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        let replaced = || -> Result<OptimizerSpec, toml::de::Error> {
            let mut table = Table::try_from(&self.optimizer).map_err(serde::de::Error::custom)?;
            table.insert("learning_rate".to_string(), Value::Float(rate));
            OptimizerSpec::deserialize(table)
        };
        self.optimizer = replaced().map_err(|e| Error::config(one_line(e.message())))?;
        self.check()
    }

    /// Sets the folder that data files come from.
    ///
    /// # Errors
    /// Data that come from no folder.
    pub fn set_data_dir(&mut self, folder: &Path) -> Result<()> {
        match &mut self.data {
            DataConfig::Mnist { dir, .. } | DataConfig::Idx { dir, .. } => {
                *dir = Some(folder.to_path_buf());
                Ok(())
            }
            DataConfig::Digits { .. } => {
                Err(Error::config("the digits are part of the program; leave --data out or train mnist"))
            }
            DataConfig::Random { .. } => {
                Err(Error::config("random data come from no folder; leave --data out or take data of another kind"))
            }
        }
    }

    /// Makes the data's paths independent of where the program runs, so that a run folder can be used from
    /// anywhere.
    ///
    /// # Errors
    /// A working directory that the system cannot tell.
    pub fn make_paths_absolute(&mut self) -> Result<()> {
        let dir = match &mut self.data {
            DataConfig::Digits { .. } | DataConfig::Mnist { dir: None, .. } | DataConfig::Random { .. } => {
                return Ok(());
            }
            DataConfig::Mnist { dir: Some(dir), .. } => dir,
            DataConfig::Idx { dir, .. } => dir.get_or_insert_default(),
        };
        // An empty path is the working directory itself.
        let given = if dir.as_os_str().is_empty() { Path::new(".") } else { dir.as_path() };
        *dir = std::path::absolute(given).map_err(|e| Error::io("finding the absolute path of", given, e))?;
        Ok(())
    }

    /// Loads the training and the test set.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not fit each other.
    pub fn datasets(&self) -> Result<TrainAndTest> {
        match &self.data {
            DataConfig::Digits { test_fraction, split_seed } => {
                let (train, test) = datasets::digits().split(1.0 - test_fraction, *split_seed)?;
                Ok((Arc::new(train), Arc::new(test)))
            }
            DataConfig::Mnist { dir, normalization } => {
                let dir = dir.as_ref().ok_or_else(|| {
                    Error::config("where are the files of mnist? Name their folder: --data DIR, or dir in [data]")
                })?;
                let (train, test) = datasets::mnist(dir)?;
                Ok((dataset(train, normalization)?, dataset(test, normalization)?))
            }
            DataConfig::Idx { dir, train_images, train_labels, test_images, test_labels, classes, normalization } => {
                let base = dir.as_deref().unwrap_or(Path::new(""));
                let part = |images: &Path, labels: &Path| -> Result<Arc<dyn Dataset>> {
                    let labels = base.join(labels);
                    let mut set = datasets::idx(base.join(images), &labels)?;
                    if let Some(classes) = classes {
                        set = set.with_classes(classes.clone()).map_err(|e| e.at(labels.display()))?;
                    }
                    dataset(set, normalization)
                };
                Ok((part(train_images, train_labels)?, part(test_images, test_labels)?))
            }
            DataConfig::Random { shape, classes, samples, seed } => {
                let set: Arc<dyn Dataset> = Arc::new(datasets::random(shape.as_slice(), *classes, *samples, *seed)?);
                Ok((set.clone(), set))
            }
        }
    }

    /// A trainer for the config, whose schedule spans the run: device, callbacks and the like are still open.
    ///
    /// # Errors
    /// A run of too many steps to count.
    pub fn trainer(&self, train: &Arc<dyn Dataset>) -> Result<TrainerBuilder> {
        let steps = self.steps(train.len());
        Ok(Trainer::builder(self.model.layers.clone())
            .loss(self.training.loss.clone())
            .optimizer(self.optimizer.clone())
            .schedule(self.spanning(steps)?)
            .clip(self.clip)
            .batch_size(self.training.batch_size)
            .seed(self.training.seed)
            .precision(self.training.precision)
            .resident(self.training.resident)
            .memory_limit(self.training.memory_limit.map(|size| size.0)))
    }

    /// Optimizer steps of the run with a training set of this size.
    pub fn steps(&self, samples: usize) -> u64 {
        samples.div_ceil(self.training.batch_size.max(1)) as u64 * u64::from(self.training.epochs)
    }

    /// The schedule, a cosine of no length of its own ending with the run.
    fn spanning(&self, steps: u64) -> Result<Schedule> {
        let Schedule::Cosine { total_steps: 0, minimum, warmup } = self.schedule else {
            return Ok(self.schedule.clone());
        };
        let left = steps.saturating_sub(u64::from(warmup)).max(1);
        let total_steps = u32::try_from(left).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("schedule: {left} steps are too many for a cosine; train fewer epochs"),
            )
        })?;
        Ok(Schedule::Cosine { total_steps, minimum, warmup })
    }
}

fn dataset(set: InMemory, normalization: &Option<Normalization>) -> Result<Arc<dyn Dataset>> {
    Ok(Arc::new(match normalization {
        Some(normalization) => set.with_normalization(Some(normalization.clone()))?,
        None => set,
    }))
}

/// The config of a table, whatever its numbers are.
fn read(table: Table) -> Result<Config, String> {
    Config::deserialize(table).map_err(|e| one_line(e.message()))
}

/// A message of the TOML reader as a part of one paragraph.
fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
[data]
kind = "digits"

[model]
layers = [
    { type = "conv2d", filters = 4, kernel = 3, activation = "relu" },
    { type = "flatten" },
    { type = "linear", out = 10 },
]

[training]
epochs = 2

[optimizer]
type = "adamw"
learning_rate = 0.001

[schedule]
type = "cosine"
warmup = 5
"#;

    fn refused(from: &str, to: &str, parts: &[&str]) {
        assert!(BASE.contains(from), "{from}");
        let error = Config::parse(&BASE.replace(from, to), "my.toml").unwrap_err();
        let message = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Config, "{message}");
        assert!(!message.contains('\n'), "more than a paragraph: {message}");
        for part in ["my.toml"].iter().chain(parts) {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn recipes_and_defaults_survive_a_round_trip() {
        for (name, text) in RECIPES.iter().chain([&("base", BASE)]) {
            let config = Config::parse(text, name).unwrap();
            let written = config.to_toml().unwrap();
            assert_eq!(Config::parse(&written, name).unwrap(), config, "{written}");
        }
        assert!(recipe("mnits").unwrap_err().to_string().contains("digits, mnist"));
    }

    #[test]
    fn a_cosine_without_an_end_ends_with_the_run() {
        let mut config = Config::parse(BASE, "base").unwrap();
        assert_eq!(config.steps(100), 8);
        assert_eq!(config.spanning(8).unwrap(), Schedule::cosine(3, 0.0).warmup(5));
        config.schedule = Schedule::cosine(7, 0.1);
        assert_eq!(config.spanning(8).unwrap(), config.schedule);
    }

    #[test]
    fn flags_change_the_config() {
        let mut config = Config::parse(BASE, "base").unwrap();
        config.set_learning_rate(0.5).unwrap();
        assert_eq!(config.optimizer.learning_rate(), 0.5);
        assert!(config.set_learning_rate(f64::NAN).is_err());
        assert!(config.set_data_dir(Path::new("x")).unwrap_err().to_string().contains("digits"));
    }

    #[test]
    fn errors_name_the_line_and_what_exists() {
        refused("\"conv2d\"", "\"conv3\"", &["line 7", "conv3", "conv2d", "max_pool2d"]);
        refused("kernel = 3", "kernal = 3", &["line 7", "kernal", "kernel", "stride"]);
        refused("kernel = 3", "kernel = \"3\"", &["line 7", "conv2d"]);
        refused(", kernel = 3", "", &["line 7", "kernel"]);
        refused("\"relu\"", "\"rely\"", &["line 7", "rely", "relu"]);
        refused("out = 10", "out = -1", &["line 9", "linear"]);
        refused("epochs = 2", "epochs = \"2\"", &["line 13", "\"2\""]);
        refused("epochs = 2", "epochs = 0", &["line 13", "at least 1"]);
        refused("epochs = 2", "epochs = 2\nbatch_size = 0", &["line 14", "batch_size"]);
        refused("0.001", "-1.0", &["line 17", "-1"]);
        refused("\"digits\"", "\"digits\"\ntest_fraction = 1.5", &["line 4", "between 0 and 1"]);
        refused("epochs = 2", "epoch = 2", &["line 13", "epoch", "batch_size"]);
        refused("epochs = 2", "batch_size = 8", &["line 12", "epochs"]);
        refused("epochs = 2", "epochs = 2\nloss = \"mes\"", &["line 14", "mes", "mse"]);
        refused("\"adamw\"", "\"adma\"", &["line 16", "adma", "sgd"]);
        refused("learning_rate", "learning_rat", &["line 17", "learning_rat", "weight_decay"]);
        refused("0.001", "\"fast\"", &["line 17", "fast"]);
        refused("\"cosine\"", "\"cosin\"", &["line 20", "cosin", "exponential"]);
        refused("warmup = 5", "warmup = -5", &["line 21"]);
        refused("\"digits\"", "\"random\"\nshape = [2]\nclasses = 2\nsamples = 0", &["line 6", "samples is 0"]);
        refused("\"digits\"", "\"cifar\"", &["line 3", "cifar", "mnist"]);
        refused("[schedule]", "[shedule]", &["line 19", "shedule", "schedule"]);
        refused("[training]\nepochs = 2", "", &["no section [training]"]);
        refused("epochs = 2", "epochs = = 2", &["line 13"]);
        refused("epochs = 2", "epochs = 2\nepochs = 3", &["line 14", "duplicate"]);
    }
}
