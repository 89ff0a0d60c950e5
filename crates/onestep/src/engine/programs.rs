//! The programs of an engine: one graph each for training, evaluation and prediction on a batch size.

use super::definition::{Definition, Forward, Judged, node};
use super::metrics::{HEALTH, Phase, record_confusion, record_health, record_loss};
use super::pack::{Layout, pack};
use super::resident::Feed;
use super::scaling::{LossScaling, goes_on};
use super::state::{PARAMS, States};
use crate::backend::{Device, Executable};
use crate::error::{Error, Result};
use crate::grad;
use crate::passes::{self, Compiled, Passes, Plan, Precision};
use crate::trace::{Buffer, DType, Graph, Mode, NodeId, Op, Trace, Traced};

/// What a program does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// One training step.
    Train(Feed),
    /// Adds to the sums of evaluation.
    Eval(Feed),
    /// Gives the model's output.
    Predict,
}

impl Kind {
    /// Whose data set on the device it works on, if it does.
    pub(super) fn data(self) -> Option<Phase> {
        match self {
            Kind::Train(Feed::Resident(phase, _)) | Kind::Eval(Feed::Resident(phase, _)) => Some(phase),
            Kind::Train(Feed::Host) | Kind::Eval(Feed::Host) | Kind::Predict => None,
        }
    }
}

/// A program's graph, with what its states are and start from.
pub(super) struct Built {
    pub(super) graph: Graph,
    pub(super) declared: Vec<Buffer>,
}

/// Builds the graph of a program.
pub(super) fn build(
    definition: &Definition,
    scaling: LossScaling,
    layout: &Layout,
    kind: Kind,
    batch: usize,
) -> Result<Built> {
    match kind {
        Kind::Train(feed) => train(definition, scaling, layout, feed, batch),
        Kind::Eval(feed) => eval(definition, layout, feed, batch),
        Kind::Predict => predict(definition, layout, batch),
    }
}

/// Forward, backward, optimizer, metrics; then every new state is taken over only if the loss is finite. In f16 the
/// loss is scaled.
fn train(definition: &Definition, scaling: LossScaling, layout: &Layout, feed: Feed, batch: usize) -> Result<Built> {
    let scaling = (definition.precision == Precision::F16).then_some(scaling);
    let forward = definition.forward_on(feed, Mode::Train, batch, true)?;
    let Judged { target, loss } = judged(&forward)?;
    let mut packed = pack(&forward.traced, layout)?;
    let [output, target, loss] = [forward.output, target, loss].map(|n| packed.at(n));
    let mut declared = Vec::new();
    let gradients = match scaling {
        None => grad::gradients(&mut packed.graph, loss, &packed.parameters)?,
        Some(scaling) => {
            let (scale, state) = scaling.cotangent(&mut packed.graph)?;
            declared.push(state);
            grad::pullback(&mut packed.graph, &[(loss, scale)], &packed.parameters)?
        }
    };

    let trace = Trace::from_graph(packed.graph);
    let s = trace.scope(Mode::Train);
    let [output, target, loss] = [output, target, loss].map(|n| trace.tensor(n));
    let (step, ty) = (s.step(), layout.ty());
    let params = trace.state(PARAMS, &ty.shape, ty.dtype);
    let Definition { optimizer, schedule, clip, .. } = definition;
    let mut finite = None;
    let new = s.layer("optimizer", optimizer.name(), |s| {
        let mut grads = layout.flatten(&trace, &gradients);
        if let Some(scaling) = scaling {
            let (unscaled, all_finite) = scaling.unscale(&trace, &grads);
            (grads, finite) = (unscaled, Some(all_finite));
        }
        if let Some(clip) = clip {
            grads = clip.apply(&grads)?;
        }
        let learning_rate = schedule.learning_rate(optimizer.learning_rate(), &step);
        optimizer.step(s, &params, &grads, &learning_rate)
    })?;
    s.update(&params, &new);
    s.update(&step, &(&step + 1.0));
    feed.advance(&s, batch);

    let loss = loss.cast(DType::F32);
    Phase::Train.record(&s, &loss, definition.loss.correct(&output, &target), batch);
    record_loss(&s, &loss);
    let mut well = loss.is_finite();
    if let (Some(scaling), Some(finite)) = (scaling, &finite) {
        well = well.and(finite.or(scaling.is_least(&trace).not()));
        scaling.record(&s, finite);
    }
    let ok = record_health(&s, &well);
    // What a skipped step keeps.
    let trains = finite.map(|finite| node(&ok.and(finite))).transpose()?;
    let mut built = finish(trace, forward.traced)?;
    built.declared.extend(declared);
    let ok = node(&ok)?;
    guard(&mut built.graph, |state| match state {
        HEALTH => None,
        state if goes_on(state) => Some(ok),
        _ => Some(trains.unwrap_or(ok)),
    })?;
    Ok(built)
}

fn eval(definition: &Definition, layout: &Layout, feed: Feed, batch: usize) -> Result<Built> {
    let forward = definition.forward_on(feed, Mode::Eval, batch, true)?;
    let Judged { target, loss } = judged(&forward)?;
    let packed = pack(&forward.traced, layout)?;
    let nodes = [forward.output, target, loss].map(|n| packed.at(n));
    let trace = Trace::from_graph(packed.graph);
    let s = trace.scope(Mode::Eval);
    let [output, target, loss] = nodes.map(|n| trace.tensor(n));
    let correct = definition.loss.correct(&output, &target);
    Phase::Eval.record(&s, &loss.cast(DType::F32), correct, batch);
    record_confusion(&s, definition.loss.kind(), &output, &target);
    feed.advance(&s, batch);
    finish(trace, forward.traced)
}

fn predict(definition: &Definition, layout: &Layout, batch: usize) -> Result<Built> {
    let forward = definition.forward(Mode::Eval, batch, false)?;
    let packed = pack(&forward.traced, layout)?;
    let output = packed.at(forward.output);
    let trace = Trace::from_graph(packed.graph);
    trace.set_output("output", &trace.tensor(output));
    finish(trace, forward.traced)
}

pub(super) fn judged(forward: &Forward) -> Result<Judged> {
    forward.judged.ok_or_else(|| Error::graph("this forward pass was traced without its loss"))
}

/// The finished graph; `model` declared some of its states.
fn finish(trace: Trace, model: Traced) -> Result<Built> {
    let Traced { graph, mut buffers, .. } = trace.finish()?;
    buffers.extend(model.buffers);
    Ok(Built { graph, declared: buffers })
}

/// Leaves each state as it was unless its condition, bool[], holds; without one the new value is always taken over.
fn guard(graph: &mut Graph, condition: impl Fn(&str) -> Option<NodeId>) -> Result<()> {
    let mut states = vec![None; graph.states().len()];
    for (id, node) in graph.nodes() {
        if let Op::State(state) = node.op {
            states[state.0 as usize] = Some(id);
        }
    }
    for (state, new) in graph.take_updates() {
        let new = match (states[state.0 as usize], condition(&graph.states()[state.0 as usize].name)) {
            (Some(old), Some(ok)) => {
                let shape = graph.shape(old).clone();
                let ok = graph.expand(ok, &(0..shape.rank()).collect::<Vec<_>>(), &shape);
                graph.select(ok, new, old)
            }
            _ => new,
        };
        graph.update(state, new)?;
    }
    Ok(())
}

/// A compiled program, bound to the engine's states.
pub(super) struct Program {
    pub(super) executable: Box<dyn Executable>,
    pub(super) plan: Plan,
    /// Whether its inputs hold a batch of the host's.
    pub(super) fed: bool,
}

impl Program {
    /// Compiles a graph.
    pub(super) fn compile(
        device: &Device,
        graph: &Graph,
        precision: Precision,
        states: &States,
        passes: Passes,
    ) -> Result<Self> {
        Program::bind(device, passes::compile_in(precision, graph, &device.target(), passes)?, states)
    }

    /// Binds what the passes made of a graph to the states.
    pub(super) fn bind(device: &Device, compiled: Compiled, states: &States) -> Result<Self> {
        let memory = states.bind(&compiled.graph)?;
        let executable = device.compile(&compiled.graph, &compiled.plan, &memory)?;
        Ok(Program { executable, plan: compiled.plan, fed: false })
    }
}
