//! Learning-rate schedules: functions of the step, in the graph and on the host.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::trace::{DType, Tensor};

/// How the learning rate follows from its base and the step t = 0, 1, ….
///
/// The first `warmup` steps of any schedule rise in a line, `base * (t + 1) / warmup`; the rest of it then
/// starts, with t counted from there. In a configuration file: `type = "cosine"`, `total_steps = 1000`,
/// `warmup = 100`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// base
    Constant {
        /// Steps of warmup, 0 for none.
        #[serde(default)]
        warmup: u32,
    },
    /// base * gamma^floor(t / step_size), as PyTorch's `StepLR`.
    Step {
        /// Steps between two drops, at least 1.
        step_size: u32,
        /// What the rate is multiplied by at each drop; positive.
        gamma: f64,
        /// Steps of warmup, 0 for none.
        #[serde(default)]
        warmup: u32,
    },
    /// base * gamma^t, as PyTorch's `ExponentialLR`.
    Exponential {
        /// What the rate is multiplied by after each step; positive.
        gamma: f64,
        /// Steps of warmup, 0 for none.
        #[serde(default)]
        warmup: u32,
    },
    /// minimum + (base - minimum) * (1 + cos(π t / total_steps)) / 2, then minimum (Loshchilov and Hutter
    /// 2016), as PyTorch's `CosineAnnealingLR` up to its end.
    Cosine {
        /// Steps from base to minimum, those of the warmup not counted.
        total_steps: u32,
        /// The last rate, 0 or more.
        #[serde(default)]
        minimum: f64,
        /// Steps of warmup, 0 for none.
        #[serde(default)]
        warmup: u32,
    },
}

impl Schedule {
    /// The base rate throughout.
    pub fn constant() -> Self {
        Schedule::Constant { warmup: 0 }
    }

    /// Drops by `gamma` every `step_size` steps.
    pub fn step(step_size: u32, gamma: f64) -> Self {
        Schedule::Step { step_size, gamma, warmup: 0 }
    }

    /// Drops by `gamma` at each step.
    pub fn exponential(gamma: f64) -> Self {
        Schedule::Exponential { gamma, warmup: 0 }
    }

    /// Falls along half a cosine to `minimum` within `total_steps`.
    pub fn cosine(total_steps: u32, minimum: f64) -> Self {
        Schedule::Cosine { total_steps, minimum, warmup: 0 }
    }

    /// Puts a linear rise over `steps` in front; 0 for none.
    pub fn warmup(mut self, steps: u32) -> Self {
        let (Schedule::Constant { warmup }
        | Schedule::Step { warmup, .. }
        | Schedule::Exponential { warmup, .. }
        | Schedule::Cosine { warmup, .. }) = &mut self;
        *warmup = steps;
        self
    }

    /// An error that names the option which is out of its range, if there is one.
    pub fn check(&self) -> Result<()> {
        match *self {
            Schedule::Step { step_size: 0, .. } => Err(Error::config("schedule: step_size is 0; it must be 1 or more")),
            Schedule::Step { gamma, .. } | Schedule::Exponential { gamma, .. } if gamma.is_nan() || gamma <= 0.0 => {
                Err(Error::config(format!("schedule: gamma is {gamma}; it must be positive")))
            }
            Schedule::Cosine { minimum, .. } => super::at_least_zero("schedule", "minimum", minimum),
            Schedule::Constant { .. } | Schedule::Step { .. } | Schedule::Exponential { .. } => Ok(()),
        }
    }

    /// The learning rate, f32 [], at a step counted from 0, an integer [] ([`Scope::step`]).
    ///
    /// Steps are counted in whole numbers and powers taken by way of logarithms, so that the rate keeps f32's
    /// accuracy however many steps there are.
    ///
    /// [`Scope::step`]: crate::trace::Scope::step
    pub fn learning_rate(&self, base: f64, step: &Tensor) -> Tensor {
        let step = step.cast(DType::U32);
        let warmup = self.warmup_steps();
        let t = if warmup == 0 { step.clone() } else { step.maximum(warmup as f64) - warmup as f64 };
        let float = |n: &Tensor| n.cast(DType::F32);
        let rate = match *self {
            Schedule::Constant { .. } => step.trace().scalar(base, DType::F32),
            Schedule::Step { step_size, gamma, .. } => {
                (float(&(t / step_size.max(1) as f64)) * gamma.ln()).exp() * base
            }
            Schedule::Exponential { gamma, .. } => (float(&t) * gamma.ln()).exp() * base,
            Schedule::Cosine { total_steps, minimum, .. } => {
                let left = total_steps as f64 - t.minimum(total_steps as f64);
                let quarter_turns = float(&left) * (FRAC_PI_2 / total_steps.max(1) as f64);
                quarter_turns.sin().square() * (base - minimum) + minimum
            }
        };
        if warmup == 0 {
            return rate;
        }
        let rising = (float(&step) + 1.0) * (base / warmup as f64);
        step.lt(warmup as f64).select(rising, rate)
    }

    /// The learning rate at a step counted from 0: the host's twin of [`Schedule::learning_rate`], for
    /// display and tests.
    pub fn at(&self, base: f64, step: u64) -> f64 {
        let warmup = self.warmup_steps() as u64;
        if step < warmup {
            return base * (step + 1) as f64 / warmup as f64;
        }
        let t = step - warmup;
        match *self {
            Schedule::Constant { .. } => base,
            Schedule::Step { step_size, gamma, .. } => base * gamma.powf((t / step_size.max(1) as u64) as f64),
            Schedule::Exponential { gamma, .. } => base * gamma.powf(t as f64),
            Schedule::Cosine { total_steps, minimum, .. } => {
                let progress = t.min(total_steps as u64) as f64 / total_steps.max(1) as f64;
                let height = if total_steps == 0 { 0.0 } else { (1.0 + (2.0 * FRAC_PI_2 * progress).cos()) / 2.0 };
                minimum + (base - minimum) * height
            }
        }
    }

    fn warmup_steps(&self) -> u32 {
        let (Schedule::Constant { warmup }
        | Schedule::Step { warmup, .. }
        | Schedule::Exponential { warmup, .. }
        | Schedule::Cosine { warmup, .. }) = self;
        *warmup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmup_rises_to_the_base() {
        let schedule = Schedule::cosine(10, 0.1).warmup(4);
        let rates: Vec<f64> = [0, 1, 3, 4, 9, 14, 99].map(|t| schedule.at(1.0, t)).to_vec();
        let want = [0.25, 0.5, 1.0, 1.0, 0.55, 0.1, 0.1];
        assert!(rates.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{rates:?}");
    }

    #[test]
    fn options_out_of_range_are_named() {
        let message = |schedule: Schedule| schedule.check().unwrap_err().to_string();
        assert!(message(Schedule::step(0, 0.5)).contains("step_size is 0"));
        assert!(message(Schedule::step(3, -0.5)).contains("gamma is -0.5"));
        assert!(message(Schedule::exponential(f64::NAN)).contains("gamma is NaN"));
        assert!(message(Schedule::cosine(3, -1.0)).contains("minimum is -1"));
        assert!(Schedule::constant().warmup(3).check().is_ok());
    }

    #[test]
    fn configuration_files_leave_out_what_is_zero() {
        let read = |text: &str| toml::from_str::<Schedule>(text);
        let schedule = read("type = \"cosine\"\ntotal_steps = 100\nwarmup = 8").unwrap();
        assert_eq!(schedule, Schedule::cosine(100, 0.0).warmup(8));
        assert_eq!(read("type = \"constant\"").unwrap(), Schedule::constant());
        assert!(read("type = \"cosine\"\ntotal_steps = 100\nwarmups = 8").is_err());
    }
}
