//! Finds what first becomes NaN or infinite on a batch: the input, the target, a parameter, a layer's output
//! or the loss.

use std::cmp::Reverse;

use super::definition::{Definition, Judged};
use super::metrics::{HEALTH, classes};
use super::pack::pack;
use super::programs::{Program, judged};
use super::state::{Part, States};
use crate::backend::Device;
use crate::error::Result;
use crate::passes::Passes;
use crate::trace::{DType, LayerInfo, Literal, Mode, Trace, stack};

/// What a program that looks for the culprit is made of.
pub(super) struct Suspects {
    program: Program,
    /// What each flag of the program's output speaks of, in the order of computation.
    names: Vec<String>,
    classes: Option<usize>,
}

impl Suspects {
    /// Compiles the program: a training step's forward pass that changes nothing and gives, for each layer's
    /// output and the loss, whether all of it is finite.
    pub(super) fn new(
        device: &Device,
        definition: &Definition,
        states: &States,
        passes: Passes,
        batch: usize,
    ) -> Result<Self> {
        let forward = definition.forward(Mode::Train, batch, true)?;
        let Judged { loss, .. } = judged(&forward)?;
        let mut packed = pack(&forward.traced, &states.layout)?;
        packed.graph.take_updates();

        // A layer stands where its result was computed, and after the layers inside it.
        let mut layers: Vec<(usize, &LayerInfo)> = forward.traced.layers.iter().enumerate().collect();
        layers.sort_by_key(|(entered, layer)| (layer.node, Reverse(*entered)));
        let mut nodes: Vec<_> = layers.iter().map(|(_, layer)| packed.at(layer.node)).collect();
        let mut names: Vec<String> = layers.iter().map(|(_, layer)| describe(layer)).collect();
        nodes.push(packed.at(loss));
        names.push("the loss".to_string());

        let output = packed.graph.shape(packed.at(forward.output)).clone();
        let trace = Trace::from_graph(packed.graph);
        let finite = |node| {
            let x = trace.tensor(node);
            match x.dtype().is_float() {
                true => x.is_finite().cast(DType::I32).min(..),
                false => trace.scalar(1.0, DType::I32),
            }
        };
        trace.set_output("finite", &stack(&nodes.into_iter().map(finite).collect::<Vec<_>>(), 0));
        let graph = trace.finish()?.graph;
        let program = Program::compile(device, &graph, definition.precision, states, passes)?;
        let classes = classes(definition.loss.kind(), &output).filter(|_| definition.target.dtype.is_int());
        Ok(Suspects { program, names, classes })
    }

    /// Submits the program once and says which it is.
    pub(super) fn find(mut self, states: &States, input: &Literal, target: &Literal) -> Result<String> {
        let executable = &mut self.program.executable;
        executable.write_input(0, input)?;
        executable.write_input(1, target)?;
        executable.run()?;
        let flags = executable.read_output(0)?;
        let hosts = [("the input".to_string(), input), ("the target".to_string(), target)];
        if let Some((name, _)) = hosts.into_iter().find(|(_, literal)| !all_finite(literal)) {
            return Ok(name);
        }
        for (name, literal) in states.save(Part::Model)? {
            if !all_finite(&literal) {
                let trained = states.layout.segments.iter().any(|s| s.name == name);
                return Ok(format!("{} `{name}`", if trained { "parameter" } else { "buffer" }));
            }
        }
        let first = self.names.iter().zip(flags.to_f64()).position(|(_, finite)| finite == 0.0);
        Ok(match first {
            None => {
                // A step that was not well for another reason than its loss.
                let ill = states.read(HEALTH)?.get(0) != 0.0;
                let what = if ill { "the gradient" } else { "nothing" };
                format!("{what}: on this batch every layer's output and the loss are finite")
            }
            Some(i) if i + 1 == self.names.len() => match self.classes.and_then(|n| label_outside(target, n)) {
                Some(fault) => format!("the loss ({fault})"),
                None => "the loss".to_string(),
            },
            Some(i) => self.names.swap_remove(i),
        })
    }
}

fn describe(layer: &LayerInfo) -> String {
    match layer.kind.as_str() {
        "module" => format!("the output of `{}`", layer.path),
        kind => format!("the output of {kind} `{}`", layer.path),
    }
}

fn all_finite(literal: &Literal) -> bool {
    !literal.dtype().is_float() || literal.to_f64().iter().all(|v| v.is_finite())
}

/// The first label that is no class, in words.
fn label_outside(target: &Literal, classes: usize) -> Option<String> {
    let labels = target.to_f64();
    let place = labels.iter().position(|&label| label < 0.0 || label >= classes as f64)?;
    let sample = place / target.shape()[1..].iter().product::<usize>().max(1);
    Some(format!("label {} of sample {sample} of the batch is outside 0..{classes}", labels[place]))
}
