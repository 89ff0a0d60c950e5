//! Data sets that lie on the device: a program takes its batch from there, by an order and a position that are
//! states too, so that an epoch needs nothing of the host. How they get there is not this file's matter.

use super::definition::Spec;
use super::metrics::Phase;
use crate::error::{Error, Result};
use crate::trace::{DType, Scope, Tensor, Trace};

/// Where a program's batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Feed {
    /// The host passes it as the program's inputs.
    Host,
    /// The next samples of a set of so many on the device.
    Resident(Phase, usize),
}

impl Feed {
    /// A batch `[batch, ..]` of what a spec describes, the "input" or the "target".
    pub(super) fn batch(self, trace: &Trace, what: &str, spec: &Spec, batch: usize) -> Tensor {
        let Feed::Resident(phase, samples) = self else {
            return trace.input(what, spec.batched(batch), spec.dtype);
        };
        let all = trace.state(&phase.data(what), spec.batched(samples), spec.dtype);
        let order = trace.state(&phase.data(ORDER), [samples], DType::I32);
        all.gather(&order.dynamic_slice(0, &position(trace, phase), batch), 0)
    }

    /// Goes on to the samples behind a batch.
    pub(super) fn advance(self, s: &Scope, batch: usize) {
        if let Feed::Resident(phase, _) = self {
            let position = position(s.trace(), phase);
            s.update(&position, &(&position + batch as f64));
        }
    }
}

/// The samples' numbers in the order in which they are taken, i32[samples].
pub(super) const ORDER: &str = "order";
/// How many of them were taken, i32[].
pub(super) const POSITION: &str = "position";
/// Every state of a data set.
pub(super) const STATES: [&str; 4] = ["input", "target", ORDER, POSITION];
/// What begins the names of these states.
const DATA: &str = "engine.data.";

fn position(trace: &Trace, phase: Phase) -> Tensor {
    trace.state(&phase.data(POSITION), [], DType::I32)
}

impl Phase {
    /// The name of a state of its data set.
    pub(super) fn data(self, what: &str) -> String {
        match self {
            Phase::Train => format!("{DATA}train.{what}"),
            Phase::Eval => format!("{DATA}eval.{what}"),
        }
    }
}

/// What the host knows of a data set on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub(super) samples: usize,
    /// Samples of the epoch that were not submitted yet.
    pub(super) left: usize,
}

impl Set {
    /// Counts samples that are submitted now; an error if the epoch has not so many left.
    pub(super) fn take(&mut self, samples: Option<usize>) -> Result<()> {
        let Some(left) = samples.and_then(|n| self.left.checked_sub(n)) else {
            return Err(Error::data(format!(
                "the epoch has {} of its {} samples left, fewer than these steps take; start the next epoch, or end \
                 this one with a smaller batch",
                self.left, self.samples
            )));
        };
        self.left = left;
        Ok(())
    }
}

/// An epoch's order as the device takes it; an error unless it names a sample of the set for each of them.
pub(super) fn checked_order(order: &[u32], samples: usize) -> Result<Vec<u8>> {
    let n = order.len();
    if n != samples {
        return Err(Error::data(format!("an order of {n} numbers; pass one for each of the {samples} samples")));
    }
    if let Some((at, index)) = order.iter().enumerate().find(|&(_, &index)| index as usize >= samples) {
        return Err(Error::data(format!("number {index} (at place {at}) is none of the {samples} samples")));
    }
    Ok(order_bytes(order.iter().copied()))
}

/// An order as the device takes it.
pub(super) fn order_bytes(order: impl Iterator<Item = u32>) -> Vec<u8> {
    order.flat_map(u32::to_le_bytes).collect()
}
