//! What a training shows while it runs: a live bar on a terminal, plain lines elsewhere.
//!
//! Metrics are those that the trainer was last told, so that watching does not slow the training.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use onestep::Result;
use onestep::prelude::{Callback, EpochRecord, EpochStart, History, Metrics, StepInfo, TrainStart};

use crate::output::say;
use crate::tables::percent;

const BAR: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(10);
const TEMPLATE: &str = "{prefix} [{wide_bar:.cyan/blue}] {msg}  {elapsed} (left {eta})";

/// How long a training took to start.
pub struct Start {
    began: Instant,
    compiled: Cell<Duration>,
    first_step: Cell<Duration>,
}

impl Start {
    /// Of a program that begins now.
    pub fn now() -> Rc<Self> {
        Rc::new(Start { began: Instant::now(), compiled: Cell::default(), first_step: Cell::default() })
    }

    /// Does what compiles the step.
    pub fn compiling<T>(&self, compile: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let value = compile();
        self.compiled.set(began.elapsed());
        value
    }

    /// Seconds from the beginning until the device had done the first step; 0 if it never did.
    pub fn first_step_seconds(&self) -> f64 {
        self.first_step.get().as_secs_f64()
    }
}

/// Shows the progress of a training.
pub struct Progress {
    began: Rc<Start>,
    /// On a terminal alone.
    bar: Option<ProgressBar>,
    start: Option<TrainStart>,
    epoch: EpochStart,
    epoch_began: Instant,
    shown: Instant,
}

impl Progress {
    /// A live bar if stderr is a terminal, else lines on stdout.
    pub fn new(began: Rc<Start>) -> Self {
        let now = Instant::now();
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5)).with_style(style)
        });
        Progress { began, bar, start: None, epoch: EpochStart { epoch: 0, steps: 0 }, epoch_began: now, shown: now }
    }

    /// Prints a line without tearing the bar.
    fn say(&self, line: String) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    fn show(&self, step: &StepInfo<'_>, metrics: &Metrics) {
        let rate = step.samples as f64 / self.epoch_began.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let accuracy = metrics.accuracy().map(|a| format!("  accuracy {}", percent(a))).unwrap_or_default();
        let figures = format!("loss {:.4}{accuracy}  {rate:.0} samples/s", metrics.loss);
        match &self.bar {
            Some(bar) => {
                bar.set_message(figures);
                bar.set_position(self.steps_before() + step.step as u64);
            }
            None => {
                let EpochStart { epoch, steps } = self.epoch;
                say(format_args!("epoch {epoch:>2}  step {}/{steps}  {figures}", step.step));
            }
        }
    }

    /// Steps of the epochs before this one.
    fn steps_before(&self) -> u64 {
        self.epoch.epoch.saturating_sub(1) * self.epoch.steps as u64
    }
}

impl Callback for Progress {
    fn on_train_begin(&mut self, start: &TrainStart) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.set_length(start.epochs * start.steps_per_epoch as u64);
            bar.reset();
        }
        self.start = Some(*start);
        Ok(())
    }

    fn on_epoch_begin(&mut self, start: &EpochStart) -> Result<()> {
        self.epoch = *start;
        self.epoch_began = Instant::now();
        self.shown = self.epoch_began;
        if let (Some(bar), Some(train)) = (&self.bar, &self.start) {
            bar.set_prefix(format!("epoch {}/{}", start.epoch, train.epochs));
        }
        Ok(())
    }

    fn on_step(&mut self, step: &mut StepInfo<'_>) -> Result<()> {
        if self.began.first_step.get().is_zero() {
            // This waits for the step, once.
            step.metrics()?;
            self.began.first_step.set(self.began.began.elapsed());
            let [first, compiled] = [&self.began.first_step, &self.began.compiled].map(|t| t.get().as_secs_f64());
            self.say(format!("Start     first step done after {first:.2} s, {compiled:.2} s of them for compiling it"));
        }
        let interval = if self.bar.is_some() { BAR } else { LINE };
        if let Some(metrics) = step.latest.filter(|_| self.shown.elapsed() >= interval) {
            self.show(step, &metrics);
            self.shown = Instant::now();
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, record: &EpochRecord) -> Result<ControlFlow<()>> {
        self.say(record.to_string());
        if let Some(bar) = &self.bar {
            bar.set_position(self.steps_before() + self.epoch.steps as u64);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn on_train_end(&mut self, _: &History) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        Ok(())
    }
}

impl Drop for Progress {
    /// A training that ends with an error leaves no bar behind.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
