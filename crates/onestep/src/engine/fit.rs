//! Compiles programs within the memory that a device has, and says which batch would fit where one does not.

use super::definition::Definition;
use super::programs::{Kind, Program, build};
use super::scaling::LossScaling;
use super::state::States;
use crate::backend::Device;
use crate::backend::memory::{Size, largest_batch};
use crate::error::{Error, ErrorKind, Result};
use crate::passes::{self, Passes};

/// Compiles the program of a batch size. An error of kind [`ErrorKind::Memory`] names the largest batch that fits.
pub(super) fn compile(
    device: &Device,
    definition: &Definition,
    scaling: LossScaling,
    states: &States,
    passes: Passes,
    kind: Kind,
    batch: usize,
) -> Result<Program> {
    let planned = |batch: usize| {
        let built = build(definition, scaling, &states.layout, kind, batch)?;
        passes::compile_in(definition.precision, &built.graph, &device.target(), passes)
    };
    let compiled = planned(batch)?;
    let Some(free) = device.available() else {
        return Program::bind(device, compiled, states);
    };
    let wants = device.program_bytes(&compiled.graph, &compiled.plan)?;
    let refused = match wants > free {
        true => None,
        false => match Program::bind(device, compiled, states) {
            Err(e) if e.kind() == ErrorKind::Memory => Some(e),
            answer => return answer,
        },
    };
    let bytes_of = |smaller: usize| {
        let bytes = |batch| planned(batch).and_then(|c| device.program_bytes(&c.graph, &c.plan)).ok();
        if smaller < batch { bytes(smaller).unwrap_or(usize::MAX) } else { usize::MAX }
    };
    let largest = largest_batch(free, bytes_of);
    let error = Error::memory(message(device, kind, states, [batch, wants, free], largest));
    Err(match refused {
        Some(e) => error.with_source(e),
        None => error,
    })
}

fn message(
    device: &Device,
    kind: Kind,
    states: &States,
    [batch, wants, free]: [usize; 3],
    largest: Option<usize>,
) -> String {
    let what = match kind {
        Kind::Train(_) => "a training step",
        Kind::Eval(_) => "an evaluation step",
        Kind::Predict => "a prediction",
    };
    let (limit, mend) = match device.statistics().and_then(|statistics| statistics.limit) {
        Some(limit) => (format!(" of the limit of {}", Size(limit)), "raise the limit"),
        None => (String::new(), "end other programs that use the device"),
    };
    let fits = match largest {
        Some(largest) => format!("the largest batch that fits is {largest}; take it"),
        None => "not even a batch of 1 fits; take a smaller model".to_string(),
    };
    format!(
        "{} is out of memory: {what} on a batch of {batch} takes {} beside the {} of the model's state, and {}{limit} \
         are free; {fits}, mark blocks of layers as checkpoints, or {mend}",
        device.name(),
        Size(wants),
        Size(states.bytes()),
        Size(free),
    )
}
