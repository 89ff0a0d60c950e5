//! `onestep train`: from a config to a run folder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use onestep::prelude::{Config, Dataset, Epochs, Evaluation, History, StopFlag, Trainer};
use onestep::{Error, ErrorKind, Result};

use crate::args::TrainArgs;
use crate::configs::{self, Kind};
use crate::output::{complain, line, say};
use crate::progress::{Progress, Start};
use crate::run_folder::{RunFolder, Summary};
use crate::tables::{bytes, confusion, model_summary, percent, thousands};

/// Trains and saves; see [`TrainArgs`].
///
/// # Errors
/// Whatever is wrong with flags, config, data, device or disk, and a loss that becomes NaN or infinite.
pub fn train(args: &TrainArgs) -> Result<()> {
    let start = Start::now();
    let out = args.out.as_deref();
    let (config, name) = effective_config(args)?;
    RunFolder::check(out, args.force)?;
    let device = args.device.open()?;
    let (train, test) = config.datasets()?;

    let stop = StopFlag::new();
    stop_on_interrupt(stop.clone());
    let mut trainer = config.trainer(&train)?.device(device).stop_flag(stop).build(&train)?;
    // Compiled now, so that a model that does not fit the device leaves no run folder behind.
    start.compiling(|| trainer.prepare(&train))?;
    describe(&trainer, &config, &name, &train, &test);

    let run = RunFolder::create(out, &name, args.force)?;
    run.write_config(&config)?;
    trainer.callback(run.metrics()?);
    trainer.callback(Progress::new(start.clone()));
    let fitted = trainer.fit(&train, Some(&test), Epochs(config.training.epochs.into()));
    let history = fitted.or_else(|error| rescue(&trainer, &run, error))?;
    trainer.save(run.model())?;

    if history.interrupted {
        say(format_args!("Interrupted after {} steps", thousands(history.steps as usize)));
    }
    // An interrupted epoch has changed the model since the last figures.
    let last = history.last().filter(|_| !history.interrupted).and_then(|record| record.test.clone());
    let figures = last.map_or_else(|| trainer.evaluate(&test), Ok)?;
    show_figures(&figures, trainer.classes());
    let summary = summarise(&trainer, &run, &history, &figures, &start);
    run.write_summary(&summary)?;
    say(format_args!("Saved     {}", run.path().display()));
    if args.json {
        say(line(&summary)?);
    }
    Ok(())
}

/// The config that the flags make of a recipe or a file, and its name.
fn effective_config(args: &TrainArgs) -> Result<(Config, String)> {
    let (mut config, name) = configs::find(&args.what, &[Kind::Recipe])?;
    let training = &mut config.training;
    training.epochs = args.epochs.unwrap_or(training.epochs);
    training.batch_size = args.batch_size.map_or(training.batch_size, |n| n as usize);
    training.seed = args.seed.unwrap_or(training.seed);
    training.precision = args.precision.unwrap_or(training.precision);
    training.resident = args.resident.unwrap_or(training.resident);
    training.memory_limit = args.device.memory_limit.or(training.memory_limit);
    if let Some(rate) = args.learning_rate {
        config.set_learning_rate(rate).map_err(|e| e.at("--learning-rate"))?;
    }
    if let Some(folder) = &args.data {
        config.set_data_dir(folder).map_err(|e| e.at("--data"))?;
    }
    config.make_paths_absolute()?;
    Ok((config, name))
}

/// What comes this soon after the first Ctrl-C is the same one, sent to the group and to the program.
const SAME_INTERRUPT: Duration = Duration::from_millis(500);

/// The first Ctrl-C ends the training after its step, the second ends the program.
fn stop_on_interrupt(stop: StopFlag) {
    let mut first: Option<Instant> = None;
    let installed = ctrlc::set_handler(move || match first {
        None => {
            first = Some(Instant::now());
            stop.stop();
            complain("stopping after this step and saving; once more to end at once");
        }
        Some(first) if first.elapsed() < SAME_INTERRUPT => {}
        Some(_) => std::process::exit(130),
    });
    if let Err(error) = installed {
        complain(format_args!("warning: Ctrl-C will end the program without saving: {error}"));
    }
}

fn describe(trainer: &Trainer, config: &Config, name: &str, train: &Arc<dyn Dataset>, test: &Arc<dyn Dataset>) {
    let (engine, training) = (trainer.engine(), &config.training);
    let counts = [train.len(), test.len()].map(thousands);
    let classes = train.classes().map(|c| format!(", {} classes", c.len())).unwrap_or_default();
    let [input, device] = [train.input().to_string(), engine.device().description()];
    say(format_args!("Data      {name}: {} to train on, {} to test on, {input}{classes}", counts[0], counts[1]));
    say(format_args!("Device    {}: {device}", engine.device().name()));
    say(format_args!("\n{}\n", model_summary(engine.layers(), engine.parameter_count())));
    let steps = config.steps(train.len());
    say(format_args!(
        "Training  {} epochs of batches of {}: {} steps, {} of memory",
        training.epochs,
        training.batch_size,
        thousands(steps as usize),
        bytes(engine.peak_bytes())
    ));
}

/// Saves the model as it was before its loss became NaN; any other error passes.
fn rescue(trainer: &Trainer, run: &RunFolder, error: Error) -> Result<History> {
    if error.kind() != ErrorKind::Numeric {
        return Err(error);
    }
    Err(Error::numeric(match trainer.save(run.model()) {
        Ok(()) => format!("{error} and was saved in {}", run.path().display()),
        Err(unsaved) => format!("{error}, but could not be saved: {unsaved}"),
    }))
}

/// The test figures, with the confusion matrix where there are classes.
pub fn show_figures(figures: &Evaluation, classes: Option<&[String]>) {
    if let Some(matrix) = &figures.confusion {
        say(format_args!("\n{}\n", confusion(matrix, classes.unwrap_or_default())));
    }
    let accuracy = figures.accuracy.map(|share| {
        let right = (share * figures.samples as f64).round() as usize;
        format!(", accuracy {} ({} of {})", percent(share), thousands(right), thousands(figures.samples as usize))
    });
    say(format_args!("Test      loss {:.4}{}", figures.loss, accuracy.unwrap_or_default()));
}

fn summarise(trainer: &Trainer, run: &RunFolder, history: &History, figures: &Evaluation, start: &Start) -> Summary {
    let engine = trainer.engine();
    Summary {
        device: engine.device().name(),
        parameters: engine.parameter_count(),
        epochs: history.epochs.len(),
        steps: history.steps,
        first_step_seconds: start.first_step_seconds(),
        seconds: history.seconds,
        steps_per_second: history.steps_per_second(),
        train_loss: history.last().map(|record| record.train.loss),
        test_loss: figures.loss,
        test_accuracy: figures.accuracy,
        peak_bytes: engine.peak_bytes(),
        interrupted: history.interrupted,
        run: run.path().to_path_buf(),
    }
}
