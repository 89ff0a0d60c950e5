//! Optimizers, gradient clipping and learning-rate schedules, all as ordinary tensor code.
//!
//! An optimizer sees all trainable parameters as one flat f32 tensor `[n]`, with their gradients and its
//! own slots in the same layout: however many layers there are, it is one element-wise kernel.

mod adam;
mod adamw;
mod clip;
mod schedule;
mod sgd;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::trace::{Scope, Tensor};

pub use adam::Adam;
pub use adamw::AdamW;
pub use clip::{Clip, global_norm};
pub use schedule::Schedule;
pub use sgd::Sgd;

/// A rule that makes new parameters from parameters and gradients.
pub trait Optimizer {
    /// The name in configuration files: "adamw".
    fn name(&self) -> &'static str;

    /// The base learning rate, which a [`Schedule`] scales.
    fn learning_rate(&self) -> f64;

    /// The new parameters, `f32 [n]`, from parameters and gradients, `f32 [n]`, and the learning rate of this
    /// step, f32 []. Slots are declared with [`Scope::slot`] in `s` and updated with [`Scope::update`].
    /// Options out of their range are an error.
    fn step(&self, s: &Scope, params: &Tensor, grads: &Tensor, learning_rate: &Tensor) -> Result<Tensor>;
}

/// Any optimizer, as a configuration file has it: `type = "adamw"` and the options that differ from their
/// defaults. An unknown option is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum OptimizerSpec {
    /// `type = "sgd"`
    Sgd(Sgd),
    /// `type = "adam"`
    Adam(Adam),
    /// `type = "adamw"`
    AdamW(AdamW),
}

impl OptimizerSpec {
    fn chosen(&self) -> &dyn Optimizer {
        match self {
            OptimizerSpec::Sgd(optimizer) => optimizer,
            OptimizerSpec::Adam(optimizer) => optimizer,
            OptimizerSpec::AdamW(optimizer) => optimizer,
        }
    }
}

impl Optimizer for OptimizerSpec {
    fn name(&self) -> &'static str {
        self.chosen().name()
    }

    fn learning_rate(&self) -> f64 {
        self.chosen().learning_rate()
    }

    fn step(&self, s: &Scope, params: &Tensor, grads: &Tensor, learning_rate: &Tensor) -> Result<Tensor> {
        self.chosen().step(s, params, grads, learning_rate)
    }
}

/// An error unless an option is at least 0 (and no NaN).
fn at_least_zero(owner: &str, option: &str, value: f64) -> Result<()> {
    if value >= 0.0 {
        return Ok(());
    }
    Err(Error::config(format!("{owner}: {option} is {value}; it must be 0 or more")))
}

/// An error unless an option lies in [0, 1).
fn below_one(owner: &str, option: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::config(format!("{owner}: {option} is {value}; it must be at least 0 and less than 1")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{DType, Mode, Trace};

    /// What one step of an optimizer says, and how many slots it declares.
    fn step(optimizer: &dyn Optimizer) -> (Result<()>, usize) {
        let trace = Trace::new();
        let [params, grads] = ["params", "grads"].map(|name| trace.input(name, [4], DType::F32));
        let rate = trace.scalar(optimizer.learning_rate(), DType::F32);
        let s = trace.scope(Mode::Train).child("optimizer");
        let new = optimizer.step(&s, &params, &grads, &rate);
        if let Ok(new) = &new {
            assert_eq!((new.shape(), new.dtype()), (params.shape(), params.dtype()));
        }
        let slots = trace.finish().unwrap().graph.states().iter().filter(|s| s.name.starts_with("optimizer.")).count();
        (new.map(|_| ()), slots)
    }

    #[test]
    fn slots_are_declared_only_where_needed() {
        let slots = |optimizer: &dyn Optimizer| step(optimizer).1;
        assert_eq!(slots(&Sgd::new(0.1)), 0);
        assert_eq!(slots(&Sgd::new(0.1).momentum(0.9)), 1);
        assert_eq!(slots(&Adam::new(0.1)), 2);
        assert_eq!(slots(&AdamW::new(0.1).amsgrad(true)), 3);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let message = |optimizer: &dyn Optimizer| step(optimizer).0.unwrap_err().to_string();
        assert_eq!(message(&Sgd::new(0.1).momentum(-1.0)), "sgd: momentum is -1; it must be 0 or more");
        assert!(message(&Sgd::new(0.1).nesterov(true)).contains("set momentum"));
        assert!(message(&Adam::new(0.1).betas(0.9, 1.0)).contains("beta2 is 1;"));
        assert!(message(&AdamW::new(0.1).eps(f64::NAN)).starts_with("adamw: eps is NaN"));
    }

    #[test]
    fn configuration_files_name_what_differs() {
        let read = |text: &str| toml::from_str::<OptimizerSpec>(text);
        let spec = read("type = \"adamw\"\nlearning_rate = 0.5\nbetas = [0.8, 0.9]").unwrap();
        assert_eq!(spec, OptimizerSpec::AdamW(AdamW::new(0.5).betas(0.8, 0.9)));
        assert_eq!((spec.name(), spec.learning_rate()), ("adamw", 0.5));
        assert_eq!(read(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        assert_eq!(read("type = \"sgd\"").unwrap(), OptimizerSpec::Sgd(Sgd::default()));
        assert!(read("type = \"sgd\"\nmomemtum = 0.9").unwrap_err().to_string().contains("momemtum"));
        assert!(read("type = \"sgdd\"").is_err());
    }
}
