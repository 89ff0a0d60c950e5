//! What a step leaves for the host to look at: sums since the last reset, the confusion matrix, the losses of
//! the last steps, and the step at which the loss stopped being finite. All of it lives on the device.

use super::later::Later;
use super::state::{STEP, States};
use crate::error::Result;
use crate::nn::LossKind;
use crate::trace::{DType, Scope, Shape, Tensor};

/// Which sums are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Those of training steps.
    Train,
    /// Those of evaluation steps.
    Eval,
}

/// Sums since the last reset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// The mean loss over all samples; NaN if there were none.
    pub loss: f64,
    /// Samples that the model got right, rounded; `None` where the loss does not say.
    pub correct: Option<u64>,
    /// Samples seen (modulo 2^32).
    pub samples: u64,
    /// Steps done (modulo 2^32).
    pub steps: u64,
}

impl Metrics {
    /// The share of samples that the model got right, where that makes sense.
    pub fn accuracy(&self) -> Option<f64> {
        self.correct.map(|correct| correct as f64 / self.samples as f64)
    }
}

/// The last losses are kept for this many steps.
pub(super) const RING: usize = 256;
/// Confusion matrices have at most this many classes: 4 MiB.
const MAX_CONFUSION_CLASSES: usize = 1024;
/// 0, or the number of the first step whose loss was not finite.
pub(super) const HEALTH: &str = "engine.health";
const LOSSES: &str = "engine.train.losses";
const CONFUSION: &str = "engine.eval.confusion";

impl Phase {
    const SUMS: [&str; 6] = ["loss", "loss_rest", "correct", "correct_rest", "samples", "steps"];

    fn name(self, sum: &str) -> String {
        match self {
            Phase::Train => format!("engine.train.{sum}"),
            Phase::Eval => format!("engine.eval.{sum}"),
        }
    }

    /// Adds a batch to the sums: its mean loss, f32[], and how many of its samples are right, f32[].
    pub(super) fn record(self, s: &Scope, loss: &Tensor, correct: Option<Tensor>, batch: usize) {
        self.add(s, "loss", &(loss * batch as f64));
        if let Some(correct) = correct {
            self.add(s, "correct", &correct.cast(DType::F32));
        }
        for (name, amount) in [("samples", batch), ("steps", 1)] {
            let count = s.trace().state(&self.name(name), [], DType::U32);
            s.update(&count, &(&count + amount as f64));
        }
    }

    /// A compensated sum (Kahan 1965): what rounding took from `name` is kept in `name_rest`, so that a long
    /// epoch loses nothing.
    fn add(self, s: &Scope, name: &str, x: &Tensor) {
        let sum = s.trace().state(&self.name(name), [], DType::F32);
        let rest = s.trace().state(&self.name(&format!("{name}_rest")), [], DType::F32);
        let x = x + &rest;
        let new = &sum + &x;
        s.update(&rest, &(x - (&new - &sum)));
        s.update(&sum, &new);
    }

    /// Asks for the sums as they are behind all that was submitted so far: all of them at once.
    pub(super) fn request(self, states: &States) -> Result<Later<Metrics>> {
        let names = Self::SUMS.iter().map(|sum| self.name(sum)).filter(|name| states.contains(name));
        states.request(&names.collect::<Vec<_>>(), |values| {
            let (loss, correct, [samples, steps]) = match *values {
                [loss, loss_rest, correct, correct_rest, samples, steps] => {
                    (loss + loss_rest, Some((correct + correct_rest).round() as u64), [samples, steps])
                }
                [loss, loss_rest, samples, steps] => (loss + loss_rest, None, [samples, steps]),
                _ => panic!("onestep bug: {} sums of a phase", values.len()),
            };
            Metrics { loss: loss / samples, correct, samples: samples as u64, steps: steps as u64 }
        })
    }

    pub(super) fn reset(self, states: &States) -> Result<()> {
        if self == Phase::Eval {
            states.clear(CONFUSION)?;
        }
        Self::SUMS.iter().try_for_each(|sum| states.clear(&self.name(sum)))
    }
}

/// Writes the loss, f32[], to its place in the ring of the last losses.
pub(super) fn record_loss(s: &Scope, loss: &Tensor) {
    let ring = s.trace().state(LOSSES, [RING], DType::F32);
    let place = s.trace().iota([RING], 0, DType::U32).eq(s.step().rem(RING as f64));
    s.update(&ring, &place.select(loss, &ring));
}

/// The last losses with the numbers of their steps, the first being 1.
pub(super) fn recent_losses(states: &States) -> Result<Vec<(u64, f32)>> {
    let done = states.read(STEP)?.get(0) as u64;
    let ring = states.read(LOSSES)?.to_f32();
    let first = done.saturating_sub(RING as u64);
    Ok((first..done).map(|step| (step + 1, ring[step as usize % RING])).collect())
}

/// Asks for the step whose loss was not finite, as it is behind all that was submitted so far.
pub(super) fn request_health(states: &States) -> Result<Later<Option<u64>>> {
    states.request(&[HEALTH.to_string()], |values| values.first().map(|&step| step as u64).filter(|&step| step != 0))
}

/// Notes the first step that is not `well`, bool[], for its loss is not finite, and gives whether this step may change
/// other states: bool[].
pub(super) fn record_health(s: &Scope, well: &Tensor) -> Tensor {
    let health = s.trace().state(HEALTH, [], DType::U32);
    let healthy = health.eq(0.0);
    let ok = healthy.and(well);
    s.update(&health, &healthy.and(well.not()).select(s.step() + 1.0, &health));
    ok
}

/// How many classes an output has, if the loss is a classifier's.
pub(super) fn classes(kind: LossKind, output: &Shape) -> Option<usize> {
    match kind {
        LossKind::Classification => output.last().copied().filter(|_| output.rank() > 1),
        LossKind::Regression => None,
    }
}

/// Adds a batch to the confusion matrix, true class by predicted class, where targets are classes.
pub(super) fn record_confusion(s: &Scope, kind: LossKind, output: &Tensor, target: &Tensor) {
    let shape = output.shape();
    let Some(classes) = classes(kind, &shape).filter(|&n| n <= MAX_CONFUSION_CLASSES) else { return };
    if !target.dtype().is_int() || target.shape()[..] != shape[..shape.rank() - 1] {
        return;
    }
    let codes = |class: Tensor| class.flatten(..).one_hot(classes, DType::F32);
    let counts = codes(target.clone()).transpose(0, 1).matmul(&codes(output.argmax(-1)));
    let confusion = s.trace().state(CONFUSION, [classes, classes], DType::U32);
    s.update(&confusion, &(&confusion + counts.cast(DType::U32)));
}

/// The confusion matrix, `[true][predicted]`, if there is one.
pub(super) fn confusion(states: &States) -> Result<Option<Vec<Vec<u64>>>> {
    if !states.contains(CONFUSION) {
        return Ok(None);
    }
    let counts = states.read(CONFUSION)?;
    let classes = counts.shape()[0];
    let row = |i: usize| (0..classes).map(|j| counts.get(i * classes + j) as u64).collect();
    Ok(Some((0..classes).map(row).collect()))
}
