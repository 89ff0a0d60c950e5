//! The engine: model, loss and optimizer become one compiled program a batch size, over states that stay on
//! the device. A training step is one submission and reads nothing back. Knows no data set, file or epoch.

mod copy;
mod definition;
mod diagnose;
mod fit;
mod later;
mod metrics;
mod pack;
mod profile;
mod programs;
mod resident;
mod scaling;
mod state;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::error::{Error, Result};
use crate::passes::Plan;
use crate::trace::{LayerInfo, Mode, Type};
use diagnose::Suspects;
use metrics::HEALTH;
use pack::Layout;
use programs::{Kind, Program, build};
use resident::{Feed, ORDER, POSITION, STATES, Set, checked_order, order_bytes};
use scaling::LossScaling;
use state::{Part, STEP, States};

pub use crate::backend::Device;
pub use crate::backend::memory::Size;
pub use crate::passes::{Passes, Precision};
pub use crate::trace::{DType, Lender, Literal, Module, Scope, Shape, Tensor};
pub use copy::Selection;
pub use definition::{Definition, InputScaling, Spec};
pub use later::Later;
pub use metrics::{Metrics, Phase};
pub use profile::Profile;

/// A model in training: its states on a device and the programs that change them.
///
/// Programs are compiled when a batch size is first seen and kept; all share the same states. If the loss of
/// a training step is not finite, that step and all later ones leave every state as it was; see
/// [`Engine::health`] and [`Engine::diagnose`]. In [`Precision::F16`] the loss is scaled: a step whose gradient is not
/// finite is counted but trains nothing, and the next one takes half the scale.
pub struct Engine {
    device: Device,
    definition: Definition,
    scaling: LossScaling,
    passes: Passes,
    states: States,
    programs: HashMap<(Kind, usize), Program>,
    /// The data sets on the device.
    resident: HashMap<Phase, Set>,
    layers: Vec<LayerInfo>,
    classes: Option<usize>,
    submissions: u64,
}

impl Engine {
    /// Traces the definition once, and allocates and initialises its states. Nothing is compiled yet.
    ///
    /// # Errors
    /// What the model, the loss, the optimizer or the schedule refuse, a model without parameters, a name
    /// used twice, memory that the device does not have.
    pub fn new(device: &Device, definition: Definition, passes: Passes) -> Result<Self> {
        Self::scaled(device, definition, LossScaling::default(), passes)
    }

    fn scaled(device: &Device, definition: Definition, scaling: LossScaling, passes: Passes) -> Result<Self> {
        definition.check()?;
        let forward = definition.forward(Mode::Train, 1, true)?;
        let layout = Layout::new(&forward.traced.parameters);
        if layout.ty().shape.elements() == 0 {
            return Err(Error::config("the model has no parameters, so there is nothing to train; add a layer"));
        }
        let classes = metrics::classes(definition.loss.kind(), forward.traced.graph.shape(forward.output));
        let mut states = States::new(device, layout, definition.seed);
        for kind in [Kind::Train(Feed::Host), Kind::Eval(Feed::Host)] {
            let built = build(&definition, scaling, &states.layout, kind, 1)?;
            states.add(&built.graph, &built.declared)?;
        }
        Ok(Engine {
            device: device.clone(),
            definition,
            scaling,
            passes,
            states,
            programs: HashMap::new(),
            resident: HashMap::new(),
            layers: forward.traced.layers,
            classes,
            submissions: 0,
        })
    }

    /// One training step on a batch, input and target `[batch, ..]`: one submission, nothing is read back.
    ///
    /// # Errors
    /// A shape or dtype that differs from the definition's, a device that fails.
    pub fn train_step(&mut self, input: &Literal, target: &Literal) -> Result<()> {
        let batch = self.batch(input, target)?;
        self.submit(Kind::Train(Feed::Host), batch, &[input, target]).map(|_| ())
    }

    /// One more training step on the batch that the last [`Engine::train_step`] of this many samples left on the
    /// device: one submission, and no copy from the host. For measuring, where the batch's way to the device is
    /// not the question.
    ///
    /// # Errors
    /// A batch size that no training step had yet, a device that fails.
    pub fn repeat_step(&mut self, batch: usize) -> Result<()> {
        self.fed(batch)?.executable.run()?;
        self.submissions += 1;
        Ok(())
    }

    /// Measures the step on the batch that the last [`Engine::train_step`] of this many samples left on the device:
    /// `steps` (at least one) run kernel by kernel and as many run whole, alternately. They are training steps like
    /// any other.
    ///
    /// # Errors
    /// A batch size that no training step had yet, a device that fails.
    pub fn profile(&mut self, batch: usize, steps: usize) -> Result<Profile> {
        let profile = Profile::measure(self.fed(batch)?.executable.as_mut(), steps.max(1))?;
        self.submissions += 2 * steps.max(1) as u64;
        Ok(profile)
    }

    /// Lays a data set onto the device, inputs and targets `[samples, ..]` in the types that the host passes them
    /// in, in place of the phase's last one. From then on [`Engine::run`] or [`Engine::evaluate_resident`] takes its
    /// batches from there. A set like the last one takes its memory, and compiles nothing anew. It is no part of
    /// the model's state.
    ///
    /// # Errors
    /// Shapes or dtypes that differ from the definition's, 2^31 samples or more, memory that the device does not
    /// have; there is no set then.
    pub fn make_resident(&mut self, phase: Phase, inputs: &Literal, targets: &Literal) -> Result<()> {
        let samples = self.batch(inputs, targets)?;
        if i32::try_from(samples).is_err() {
            return Err(Error::unsupported(format!("{samples} samples are more than a device counts; stream them")));
        }
        let last = self.resident.remove(&phase);
        if last.is_some_and(|last| last.samples != samples) {
            self.release(phase);
        }
        let order = order_bytes(0..samples as u32);
        let ty = |literal: &Literal| Type::new(literal.shape(), literal.dtype());
        let values = [
            (ty(inputs), inputs.bytes()),
            (ty(targets), targets.bytes()),
            (Type::new([samples], DType::I32), &order),
            (Type::new([], DType::I32), &[0; 4]),
        ];
        for (what, (ty, bytes)) in STATES.into_iter().zip(values) {
            if let Err(e) = self.states.put(&phase.data(what), &ty, bytes) {
                self.release(phase);
                return Err(e.at(format_args!("laying {samples} samples onto the device")));
            }
        }
        self.resident.insert(phase, Set { samples, left: samples });
        Ok(())
    }

    /// Takes a phase's data set off the device, with the programs that use it.
    pub fn release(&mut self, phase: Phase) {
        self.resident.remove(&phase);
        self.programs.retain(|(kind, _), _| kind.data() != Some(phase));
        STATES.iter().for_each(|what| self.states.remove(&phase.data(what)));
    }

    /// Begins an epoch over the training set on the device: steps take its samples in this order, a number for
    /// each of them. All that an epoch needs of the host.
    ///
    /// # Errors
    /// No [resident](Engine::make_resident) training set, numbers that are none of its samples, too few or too many
    /// of them.
    pub fn start_epoch(&mut self, order: &[u32]) -> Result<()> {
        let set = self.set(Phase::Train)?;
        let samples = set.samples;
        let bytes = checked_order(order, samples)?;
        set.left = samples;
        self.states.put(&Phase::Train.data(ORDER), &Type::new([samples], DType::I32), &bytes)?;
        self.states.clear(&Phase::Train.data(POSITION))
    }

    /// `steps` training steps, each on the next `batch` samples of the epoch on the device: a submission a step and
    /// nothing between them, and no wait for what they do. The same bits as [`Engine::train_step`] on the same
    /// samples.
    ///
    /// # Errors
    /// No [resident](Engine::make_resident) training set, fewer samples left in the epoch (nothing is done then), a
    /// device that fails.
    pub fn run(&mut self, steps: usize, batch: usize) -> Result<()> {
        self.submit_resident(Phase::Train, steps, batch)
    }

    /// Adds all of the test set on the device to the sums and the confusion matrix of [`Phase::Eval`], so many
    /// samples a submission; the last one may have fewer.
    ///
    /// # Errors
    /// No [resident](Engine::make_resident) test set, a batch of 0, a device that fails.
    pub fn evaluate_resident(&mut self, batch: usize) -> Result<()> {
        let set = self.set(Phase::Eval)?;
        set.left = set.samples;
        let samples = set.samples;
        self.states.clear(&Phase::Eval.data(POSITION))?;
        self.submit_resident(Phase::Eval, samples / batch.max(1), batch)?;
        match samples % batch {
            0 => Ok(()),
            rest => self.submit_resident(Phase::Eval, 1, rest),
        }
    }

    /// Compiles the training step on a batch of the resident set, if it was not yet, and gives its plan. Errors as
    /// [`Engine::run`].
    pub fn resident_plan(&mut self, batch: usize) -> Result<&Plan> {
        let samples = self.set(Phase::Train)?.samples;
        nonzero(batch)?;
        Ok(&self.program(Kind::Train(Feed::Resident(Phase::Train, samples)), batch)?.plan)
    }

    /// Waits until the device has done all that was submitted.
    ///
    /// # Errors
    /// A device that fails.
    pub fn wait(&mut self) -> Result<()> {
        self.programs.values_mut().try_for_each(|program| program.executable.wait())
    }

    /// Adds a batch to the sums and the confusion matrix of [`Phase::Eval`], in [`Mode::Eval`]. Errors as
    /// [`Engine::train_step`].
    pub fn eval_step(&mut self, input: &Literal, target: &Literal) -> Result<()> {
        let batch = self.batch(input, target)?;
        self.submit(Kind::Eval(Feed::Host), batch, &[input, target]).map(|_| ())
    }

    /// The model's output (logits) for an input `[batch, ..]`, in [`Mode::Eval`]. Errors as
    /// [`Engine::train_step`].
    pub fn predict(&mut self, input: &Literal) -> Result<Literal> {
        let batch = self.definition.input.batch_of("input", input)?;
        self.submit(Kind::Predict, batch, &[input])?.executable.read_output(0)
    }

    /// The sums since the last reset.
    pub fn metrics(&mut self, which: Phase) -> Result<Metrics> {
        which.request(&self.states)?.wait()
    }

    /// Asks for the sums since the last reset, as they are behind all that was submitted so far, and does not wait
    /// for them: whoever watches a training does not stall it.
    ///
    /// # Errors
    /// A device that fails.
    pub fn request_metrics(&mut self, which: Phase) -> Result<Later<Metrics>> {
        which.request(&self.states)
    }

    /// Sets the sums to zero, for [`Phase::Eval`] the confusion matrix too.
    pub fn reset_metrics(&mut self, which: Phase) -> Result<()> {
        which.reset(&self.states)
    }

    /// The confusion matrix of [`Phase::Eval`], `[true][predicted]`; `None` unless targets are classes, of
    /// which there may be 1,024.
    pub fn confusion(&mut self) -> Result<Option<Vec<Vec<u64>>>> {
        metrics::confusion(&self.states)
    }

    /// The losses of the last 256 steps with the steps' numbers, the first step being 1.
    pub fn recent_losses(&mut self) -> Result<Vec<(u64, f32)>> {
        metrics::recent_losses(&self.states)
    }

    /// The number of the step (the first being 1) whose loss was not finite, if there was one. Since then no
    /// step has changed anything. Loading a state starts anew.
    pub fn health(&mut self) -> Result<Option<u64>> {
        self.request_health()?.wait()
    }

    /// Asks for what [`Engine::health`] gives, and does not wait for it.
    ///
    /// # Errors
    /// A device that fails.
    pub fn request_health(&mut self) -> Result<Later<Option<u64>>> {
        metrics::request_health(&self.states)
    }

    /// What first shows NaN or infinity on a batch with the current state, in words: "the output of linear
    /// `fc2`", "parameter `conv1.weight`", "the input", "the loss", or that nothing does. Compiles a program
    /// for it.
    pub fn diagnose(&mut self, input: &Literal, target: &Literal) -> Result<String> {
        let batch = self.batch(input, target)?;
        let suspects = Suspects::new(&self.device, &self.definition, &self.states, self.passes, batch)?;
        self.submissions += 1;
        suspects.find(&self.states, input, target)
    }

    /// The number of training steps done.
    pub fn step(&mut self) -> Result<u64> {
        Ok(self.states.read(STEP)?.get(0) as u64)
    }

    /// Parameters and buffers by full name.
    pub fn model_state(&self) -> Result<Vec<(String, Literal)>> {
        self.states.save(Part::Model)
    }

    /// Takes over what [`Engine::model_state`] gave.
    ///
    /// # Errors
    /// Lists what is missing, unexpected or of another type; nothing is changed then.
    pub fn load_model_state(&mut self, tensors: &[(String, Literal)]) -> Result<()> {
        self.states.load(Part::Model, tensors)?;
        self.states.clear(HEALTH)
    }

    /// The optimizer's slots by parameter, the step, the seed, and the sums and losses of training: with
    /// [`Engine::model_state`] all that a run needs to continue bit for bit.
    pub fn optimizer_state(&self) -> Result<Vec<(String, Literal)>> {
        self.states.save(Part::Optimizer)
    }

    /// Takes over what [`Engine::optimizer_state`] gave. Errors as [`Engine::load_model_state`].
    pub fn load_optimizer_state(&mut self, tensors: &[(String, Literal)]) -> Result<()> {
        self.states.load(Part::Optimizer, tensors)?;
        self.states.clear(HEALTH)
    }

    /// Takes over state of another engine: on the device where both are on the same handle of it, else through the
    /// host. Floats of another width are rounded. The other one's data sets and the sums of evaluation stay there.
    ///
    /// # Errors
    /// Lists what is missing there, unknown here or of another shape; nothing is changed then.
    pub fn copy_state_from(&mut self, other: &Engine, selection: Selection<'_>) -> Result<()> {
        self.states.copy_from(&other.states, selection)?;
        self.states.clear(HEALTH)
    }

    /// The model's layers in the order they were entered; shapes are those of a batch of 1.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// The number of trainable numbers.
    pub fn parameter_count(&self) -> usize {
        self.states.layout.segments.iter().map(|s| s.shape.elements()).sum()
    }

    /// The number of classes (last axis of the output) if the loss is a classifier's.
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }

    /// Bytes on the device: all states and the largest program compiled so far.
    pub fn peak_bytes(&self) -> usize {
        self.states.bytes() + self.programs.values().map(|p| p.executable.bytes()).max().unwrap_or(0)
    }

    /// Bytes of all states on the device: parameters, the optimizer's slots, buffers, metrics.
    pub fn state_bytes(&self) -> usize {
        self.states.bytes()
    }

    /// The plan of a training step on a batch size, compiled if it was not yet.
    pub fn plan(&mut self, batch: usize) -> Result<&Plan> {
        nonzero(batch)?;
        Ok(&self.program(Kind::Train(Feed::Host), batch)?.plan)
    }

    /// How often a program was submitted to the device.
    pub fn submissions(&self) -> u64 {
        self.submissions
    }

    /// The floats that programs compute with.
    pub fn precision(&self) -> Precision {
        self.definition.precision
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The number of samples of a batch, once it is known to fit.
    fn batch(&self, input: &Literal, target: &Literal) -> Result<usize> {
        let samples = self.definition.input.batch_of("input", input)?;
        let targets = self.definition.target.batch_of("target", target)?;
        if samples != targets {
            return Err(Error::shape(format!(
                "the input has {samples} samples but the target {targets}; pass a target for each sample"
            )));
        }
        Ok(samples)
    }

    /// The training program that holds a batch.
    fn fed(&mut self, batch: usize) -> Result<&mut Program> {
        let program = self.programs.get_mut(&(Kind::Train(Feed::Host), batch)).filter(|program| program.fed);
        program.ok_or_else(|| {
            Error::data(format!("there is no batch of {batch} samples on the device; train on one first"))
        })
    }

    fn set(&mut self, phase: Phase) -> Result<&mut Set> {
        self.resident.get_mut(&phase).ok_or_else(|| {
            Error::data("there is no data set on the device for this; make one resident first, or pass batches")
        })
    }

    /// Runs the program of a resident set some times.
    fn submit_resident(&mut self, phase: Phase, steps: usize, batch: usize) -> Result<()> {
        nonzero(batch)?;
        let mut set = *self.set(phase)?;
        set.take(steps.checked_mul(batch))?;
        let feed = Feed::Resident(phase, set.samples);
        let kind = match phase {
            Phase::Train => Kind::Train(feed),
            Phase::Eval => Kind::Eval(feed),
        };
        for _ in 0..steps {
            self.program(kind, batch)?.executable.run()?;
            self.submissions += 1;
        }
        self.resident.insert(phase, set);
        Ok(())
    }

    /// Runs a program once.
    fn submit(&mut self, kind: Kind, batch: usize, inputs: &[&Literal]) -> Result<&mut Program> {
        self.submissions += 1;
        let program = self.program(kind, batch)?;
        for (i, input) in inputs.iter().enumerate() {
            program.executable.write_input(i, input)?;
        }
        program.fed = true;
        program.executable.run()?;
        Ok(program)
    }

    fn program(&mut self, kind: Kind, batch: usize) -> Result<&mut Program> {
        Ok(match self.programs.entry((kind, batch)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Engine { device, definition, scaling, states, passes, .. } = self;
                entry.insert(fit::compile(device, definition, *scaling, states, *passes, kind, batch)?)
            }
        })
    }
}

/// Refuses a batch without samples.
fn nonzero(batch: usize) -> Result<()> {
    match batch {
        0 => Err(Error::config("a batch of 0 samples; ask for at least 1")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
