//! The run folder: model.safetensors, config.toml, metrics.csv and summary.json.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use onestep::format::write_atomically;
use onestep::prelude::{Callback, Config, EpochRecord};
use onestep::{Error, Result};
use serde::Serialize;

/// A run's files.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Refuses an asked-for folder that exists, before any work is done for it.
    ///
    /// # Errors
    /// A folder that exists without `force`, or that is a file.
    pub fn check(out: Option<&Path>, force: bool) -> Result<()> {
        match out {
            Some(out) if out.exists() && !force => Err(Error::config(format!(
                "{} exists already; pass --force to write over the run in it, or name a fresh folder",
                out.display()
            ))),
            Some(out) if out.exists() && !out.is_dir() => {
                Err(Error::config(format!("{} is not a folder; name another with --out", out.display())))
            }
            _ => Ok(()),
        }
    }

    /// Makes the asked-for folder, or a fresh `runs/NAME-NUMBER`.
    ///
    /// # Errors
    /// Those of [`RunFolder::check`], and what the file system refuses.
    pub fn create(out: Option<&Path>, name: &str, force: bool) -> Result<Self> {
        Self::check(out, force)?;
        if let Some(out) = out {
            fs::create_dir_all(out).map_err(|e| Error::io("making the run folder", out, e))?;
            return Ok(RunFolder(out.to_path_buf()));
        }
        let runs = Path::new("runs");
        fs::create_dir_all(runs).map_err(|e| Error::io("making the folder", runs, e))?;
        let mut number = 1;
        loop {
            let path = runs.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(RunFolder(path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io("making the run folder", &path, e)),
            }
        }
    }

    /// A run folder that is there.
    ///
    /// # Errors
    /// A path that is no folder with a config in it.
    pub fn open(path: &Path) -> Result<Self> {
        let run = RunFolder(path.to_path_buf());
        if run.config().is_file() {
            return Ok(run);
        }
        Err(Error::config(format!(
            "{} is not a run folder, for it holds no config.toml; name a folder that `onestep train` made",
            path.display()
        )))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The trained model.
    pub fn model(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    /// The config that was trained by, flags and defaults written out.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Writes the config.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        let text = config.to_toml()?;
        write_atomically(&self.config(), |file| file.write_all(text.as_bytes()))
    }

    /// Writes the summary.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write_summary(&self, summary: &Summary) -> Result<()> {
        let text = serde_json::to_string_pretty(summary).map_err(|e| Error::config(format!("summary.json: {e}")))?;
        write_atomically(&self.0.join("summary.json"), |file| writeln!(file, "{text}"))
    }

    /// What writes metrics.csv, a row an epoch as soon as it is done.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn metrics(&self) -> Result<Metrics> {
        let path = self.0.join("metrics.csv");
        let mut file = File::create(&path).map_err(|e| Error::io("writing", &path, e))?;
        writeln!(file, "epoch,step,seconds,train_loss,train_accuracy,test_loss,test_accuracy")
            .map_err(|e| Error::io("writing", &path, e))?;
        Ok(Metrics { file, path })
    }
}

/// Writes metrics.csv. Seconds are those of the epoch's training steps; what there is not is left empty.
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Callback for Metrics {
    fn on_epoch_end(&mut self, record: &EpochRecord) -> Result<ControlFlow<()>> {
        let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let EpochRecord { epoch, step, train, test, seconds, .. } = record;
        let cells = [
            epoch.to_string(),
            step.to_string(),
            format!("{seconds:.3}"),
            number(Some(train.loss)),
            number(train.accuracy()),
            number(test.as_ref().map(|test| test.loss)),
            number(test.as_ref().and_then(|test| test.accuracy)),
        ];
        writeln!(self.file, "{}", cells.join(",")).map_err(|e| Error::io("writing", &self.path, e))?;
        Ok(ControlFlow::Continue(()))
    }
}

/// A run in one object: summary.json and the last line of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The device's name.
    pub device: String,
    /// Elements of all trainable parameters.
    pub parameters: usize,
    /// Epochs that were finished.
    pub epochs: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds from the start of the program until the device had done the first step.
    pub first_step_seconds: f64,
    /// Seconds spent on training steps, evaluation left out.
    pub seconds: f64,
    /// Steps a second.
    pub steps_per_second: f64,
    /// Mean training loss of the last finished epoch.
    pub train_loss: Option<f64>,
    /// Mean loss on the test set.
    pub test_loss: f64,
    /// Share of the test set that is right, 0 to 1.
    pub test_accuracy: Option<f64>,
    /// Device memory in bytes, as planned.
    pub peak_bytes: usize,
    /// Whether it was stopped before all epochs were done.
    pub interrupted: bool,
    /// The run folder.
    pub run: PathBuf,
}
