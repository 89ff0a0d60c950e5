//! A plan on a GPU: its buffers, its compiled kernels, and the graph that runs them in one submission.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::blas::{self, Product};
use super::dnn::{Convolution, Planned};
use super::driver::{Event, Gpu, GpuMemory, Graph as WorkGraph, Launch, Module, Node, Queue, Runnable};
use super::{Shared, compiler};
use crate::backend::hazards::{Touched, dependencies};
use crate::backend::memory::{Block, Purpose};
use crate::backend::pooled::{Pooled, PooledMemory};
use crate::backend::side_by_side::side_by_side;
use crate::backend::turns::Turns;
use crate::backend::{Executable, Memory, check_input};
use crate::codegen::{self, Binding, Bound, Language, Source, Tiling};
use crate::error::{Error, Result};
use crate::ir::{Graph, Literal, Type};
use crate::plan::{BlasProduct, DnnConvolution, KernelKind, Operand, Place, Plan, Span};

/// Kernels that are compiled as one text. Texts are compiled side by side.
const TEXT_KERNELS: usize = 12;

/// A compiled plan, bound to its states.
pub(super) struct Program {
    /// The step on each set of inputs; one where there is no input. Dropped before what it uses.
    sets: Vec<Set>,
    turns: Turns,
    /// The point behind the last copy into the current set, if no run has waited for it.
    arriving: Option<Arc<Event>>,
    /// The number of the plan's kernels.
    kernels: usize,
    events: Vec<Event>,
    inputs: Vec<Type>,
    outputs: Vec<(Type, Block<GpuMemory>)>,
    /// Kept alive for the kernels: modules, the arena, constants, states.
    _modules: Vec<Module>,
    own: Vec<Block<GpuMemory>>,
    _states: Vec<Memory>,
    shared: Arc<Shared>,
}

// SAFETY: the handles of kernels belong to the modules that are kept beside them, and may be used from any
// thread; `&mut self` keeps threads apart.
unsafe impl Send for Program {}

impl Program {
    pub(super) fn new(shared: &Arc<Shared>, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Self> {
        let mut memory = Buffers::new(shared, graph, plan, states)?;
        let launches = codegen::launches(plan);
        let work = launches.iter().map(|range| Work::of(plan, range)).collect::<Result<Vec<_>>>()?;
        let tiling = tiling(shared);
        let print = |(work, kernels): (&Work, &Range<usize>)| match work {
            Work::Kernels => codegen::print_tiled(plan, kernels.clone(), tiling, Language::Cuda),
            Work::Product(_) | Work::Convolution(_) => Ok(Vec::new()),
        };
        let printed = work.iter().zip(&launches).map(print).collect::<Result<Vec<_>>>()?;
        let sources: Vec<&Source> = printed.iter().flatten().collect();
        let modules = compile(shared, &sources)?;
        let functions = sources.iter().enumerate().map(|(i, s)| modules[i / TEXT_KERNELS].kernel(&s.entry));
        let functions = functions.collect::<Result<Vec<_>>>()?;
        let mut parts: Vec<Vec<Part>> = memory.places.iter().map(|_| Vec::new()).collect();
        let mut done = 0;
        for ((work, kernels), sources) in work.iter().zip(&launches).zip(&printed) {
            // Steps run one after the other and share what is not input.
            let mut scratch = 0..0;
            for (set, parts) in parts.iter_mut().enumerate() {
                let mut add = |task, scratch: &Range<u64>| {
                    parts.push(Part { task, kernels: kernels.clone(), scratch: scratch.clone() });
                };
                match work {
                    Work::Kernels => {
                        memory.workspace(shared, &mut scratch, codegen::scratch_bytes(plan, kernels, tiling))?;
                        for (source, function) in sources.iter().zip(&functions[done..]) {
                            let address = |b: &Binding| memory.address(set, b.bound, scratch.start);
                            let launch = Launch {
                                function: *function,
                                groups: groups(source)?,
                                threads: source.threads as u32,
                                arguments: source.bindings.iter().map(address).collect(),
                            };
                            add(Task::Kernel(launch), &scratch);
                        }
                    }
                    Work::Product(form) => {
                        let product = Product::new(shared, form, |operand| memory.element(set, operand))?;
                        memory.workspace(shared, &mut scratch, product.workspace_bytes())?;
                        add(Task::Product(product.with_workspace(scratch.start)), &scratch);
                    }
                    Work::Convolution(form) => {
                        let convolution = Planned::new(shared, form, |operand| memory.element(set, operand))?;
                        memory.workspace(shared, &mut scratch, convolution.workspace_bytes())?;
                        add(Task::Convolution(convolution.with_workspace(scratch.start)?), &scratch);
                    }
                }
            }
            done += sources.len();
        }
        let set = |(number, mut parts): (usize, Vec<Part>)| {
            let touched: Vec<Touched> = parts.iter().map(|part| memory.touched(number, plan, part)).collect();
            let step = assemble(&shared.gpu, &mut parts, &dependencies(&touched))?;
            let read = Event::new(&shared.gpu, false)?;
            // The pool's zeros lie there before the first copy does.
            read.record(Queue::Work)?;
            shared.gpu.after(Queue::Copies, &read)?;
            Ok(Set { step, parts, inputs: std::mem::take(&mut memory.inputs[number]), read })
        };
        let sets = parts.into_iter().enumerate().map(set).collect::<Result<_>>()?;
        let inputs: Vec<Type> = graph.inputs().iter().map(|input| input.ty.clone()).collect();
        Ok(Program {
            sets,
            turns: Turns::new(inputs.len()),
            arriving: None,
            kernels: plan.kernels.len(),
            events: Vec::new(),
            inputs,
            outputs: memory.outputs,
            _modules: modules,
            own: memory.own,
            _states: states.to_vec(),
            shared: shared.clone(),
        })
    }
}

/// The step on one set of inputs. Two sets take turns, so that a batch can be copied while runs read the one before.
struct Set {
    step: Runnable,
    parts: Vec<Part>,
    inputs: Vec<Block<GpuMemory>>,
    /// The point behind the last run that reads the set, as soon as the other one is written.
    read: Event,
}

/// What computes a kernel of a plan, or an island of them.
enum Work<'a> {
    /// Printed kernels, one after the other.
    Kernels,
    /// A library's product.
    Product(BlasProduct<'a>),
    /// A library's convolution.
    Convolution(DnnConvolution<'a>),
}

impl<'a> Work<'a> {
    fn of(plan: &'a Plan, kernels: &Range<usize>) -> Result<Self> {
        let KernelKind::Library(call) = &plan.kernels[kernels.start].kind else { return Ok(Work::Kernels) };
        let work = call.blas().map(Work::Product).or_else(|| call.dnn().map(Work::Convolution));
        work.ok_or_else(|| {
            Error::unsupported(format!("there is no such {} for CUDA; compile for its own target", call.name()))
        })
    }
}

fn tiling(shared: &Shared) -> Tiling {
    Tiling::new(shared.gpu.multiprocessors, shared.gpu.shared_bytes)
}

/// Bytes of the scratch memory that a kernel of a plan, or an island of them, takes. Of a library's product it is
/// the most that it may be; of a library's convolution what the plan takes that was chosen for it, if one was.
pub(super) fn scratch_bytes(shared: &Shared, plan: &Plan, kernels: &Range<usize>) -> Result<usize> {
    Ok(match Work::of(plan, kernels)? {
        Work::Kernels => codegen::scratch_bytes(plan, kernels, tiling(shared)),
        Work::Product(form) => blas::most_scratch(&form),
        Work::Convolution(form) => shared.dnn()?.known_workspace(shared, &form),
    })
}

/// A part of a step, as the device gets it.
struct Part {
    task: Task,
    /// The plan's kernels that it computes, with the other parts of the same.
    kernels: Range<usize>,
    /// The scratch memory that it shares with those.
    scratch: Range<u64>,
}

enum Task {
    Kernel(Launch),
    Product(Product),
    Convolution(Convolution),
}

impl Task {
    /// Queues it once.
    ///
    /// # Safety
    /// All memory that it was made with, and the modules, must be alive until it is done.
    unsafe fn submit(&mut self, gpu: &Gpu) -> Result<()> {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Task::Kernel(launch) => launch.submit(gpu),
                Task::Product(product) => product.queue(gpu.stream()),
                Task::Convolution(convolution) => convolution.queue(gpu.stream()),
            }
        }
    }

    /// Adds it to a graph, after some nodes.
    ///
    /// # Safety
    /// As [`Task::submit`], for every run of the graph.
    unsafe fn add(&mut self, graph: &mut WorkGraph, after: &[Node]) -> Result<Node> {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Task::Kernel(launch) => graph.kernel(launch, after),
                Task::Product(product) => graph.captured(after, |stream| product.queue(stream)),
                Task::Convolution(convolution) => graph.captured(after, |stream| convolution.queue(stream)),
            }
        }
    }
}

/// Compiles sources, so many to a text, side by side.
fn compile(shared: &Arc<Shared>, sources: &[&Source]) -> Result<Vec<Module>> {
    let texts: Vec<String> = sources.chunks(TEXT_KERNELS).map(|some| codegen::text(some.iter().copied())).collect();
    let codes = side_by_side(&texts, |text| compiler::compile(text, shared.gpu.architecture, &shared.cache))?;
    codes.iter().map(|code| Module::load(&shared.gpu, code)).collect()
}

fn groups(source: &Source) -> Result<[u32; 3]> {
    let [x, y, z] = source.groups;
    match (u32::try_from(x), u32::try_from(y), u32::try_from(z)) {
        (Ok(x), Ok(y), Ok(z)) if y <= 65_535 && z <= 65_535 => Ok([x, y, z]),
        _ => Err(Error::unsupported(format!("{} takes more groups of threads than CUDA has", source.entry))),
    }
}

/// The graph of all parts, each after those it depends on.
fn assemble(gpu: &Arc<Gpu>, parts: &mut [Part], dependencies: &[Vec<usize>]) -> Result<Runnable> {
    let mut graph = WorkGraph::new(gpu)?;
    let mut nodes: Vec<Node> = Vec::new();
    for (part, before) in parts.iter_mut().zip(dependencies) {
        let before: Vec<Node> = before.iter().map(|&i| nodes[i]).collect();
        // SAFETY: the program keeps modules and memory alive for as long as the graph.
        nodes.push(unsafe { part.task.add(&mut graph, &before) }?);
    }
    graph.finish()
}

/// Where a plan's buffers lie.
struct Buffers {
    /// Of each buffer, under each set of inputs: address and bytes.
    places: Vec<Vec<Range<u64>>>,
    arena: u64,
    inputs: Vec<Vec<Block<GpuMemory>>>,
    outputs: Vec<(Type, Block<GpuMemory>)>,
    own: Vec<Block<GpuMemory>>,
}

impl Buffers {
    fn new(shared: &Arc<Shared>, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Self> {
        let block = |ty: &Type, purpose| -> Result<(Type, Block<GpuMemory>)> {
            Ok((ty.clone(), shared.pool.zeroed(ty.bytes(), purpose)?))
        };
        let sets = if graph.inputs().is_empty() { 1 } else { 2 };
        let set = |_| graph.inputs().iter().map(|input| Ok(block(&input.ty, Purpose::Input)?.1)).collect();
        let inputs = (0..sets).map(set).collect::<Result<_>>()?;
        let outputs = graph
            .outputs()
            .iter()
            .map(|(_, node)| block(&Type::new(graph.shape(*node), graph.dtype(*node)), Purpose::Output));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let arena = shared.pool.uninitialised(plan.arena_bytes, Purpose::Arena)?;
        let start = *arena.raw();
        let mut all = Buffers { places: vec![Vec::new(); sets], arena: start, inputs, outputs, own: vec![arena] };
        for buffer in &plan.buffers {
            let first = match &buffer.place {
                Place::Input(i) => {
                    for (places, inputs) in all.places.iter_mut().zip(&all.inputs) {
                        let first = *inputs[*i].raw();
                        places.push(first..first + buffer.bytes() as u64);
                    }
                    continue;
                }
                Place::Output(i) => *all.outputs[*i].1.raw(),
                Place::Arena(offset) => start + offset.unwrap_or(0) as u64,
                Place::State(i) => *PooledMemory::of_state(states, *i, buffer, shared)?.block.raw(),
                Place::Constant(literal) => {
                    let block = shared.pool.uninitialised(literal.bytes().len(), Purpose::Constant)?;
                    shared.upload(literal.bytes(), &block)?;
                    let first = *block.raw();
                    all.own.push(block);
                    first
                }
            };
            all.places.iter_mut().for_each(|places| places.push(first..first + buffer.bytes() as u64));
        }
        Ok(all)
    }

    /// Makes scratch memory at least so large, with memory of its own if it is not.
    fn workspace(&mut self, shared: &Shared, scratch: &mut Range<u64>, bytes: usize) -> Result<()> {
        if scratch.end - scratch.start < bytes as u64 {
            let block = shared.pool.uninitialised(bytes, Purpose::Workspace)?;
            let first = *block.raw();
            self.own.push(block);
            *scratch = first..first + bytes as u64;
        }
        Ok(())
    }

    fn address(&self, set: usize, bound: Bound, workspace: u64) -> u64 {
        match bound {
            Bound::Workspace => workspace,
            Bound::Buffer(id) => self.places[set][id.index()].start,
            Bound::Arena { start, .. } => self.arena + start as u64,
        }
    }

    /// Where an operand's first element lies.
    fn element(&self, set: usize, operand: &Operand) -> u64 {
        self.places[set][operand.buffer.index()].start + operand.offset as u64 * operand.dtype.size() as u64
    }

    fn touched(&self, set: usize, plan: &Plan, part: &Part) -> Touched {
        let places = &self.places[set];
        // What one part leaves in scratch memory the next reads.
        let mut all = Touched { reads: Vec::new(), writes: vec![part.scratch.clone()] };
        for kernel in &plan.kernels[part.kernels.clone()] {
            let place = |(buffer, elements): Span| {
                let (start, size) = (places[buffer.index()].start, plan.buffer(buffer).dtype.size());
                start + (elements.start * size) as u64..start + (elements.end * size) as u64
            };
            let (reads, writes) = kernel.spans(plan);
            all.reads.extend(reads.into_iter().map(place));
            all.writes.extend(writes.into_iter().map(place));
        }
        all
    }
}

impl Program {
    /// Makes the work that is queued next find all inputs in the current set.
    fn complete(&mut self) -> Result<()> {
        let Program { sets, turns, arriving, shared, .. } = self;
        if let Some(event) = arriving.take() {
            // A slot that was given back and sent again has another point, which comes later or was waited for.
            shared.gpu.after(Queue::Work, &event)?;
        }
        for input in turns.lacking() {
            let (from, to) = (&sets[turns.other()], &sets[turns.current()]);
            let (block, onto) = (&from.inputs[input], &to.inputs[input]);
            // SAFETY: two distinct blocks of one size, which live as long as the program, whose drop waits for copies.
            unsafe { shared.gpu.copy(*block.raw(), *onto.raw(), block.bytes()) }?;
            from.read.record(Queue::Work)?;
        }
        turns.ran();
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Kernels must not be unloaded while they run, nor memory be reused that is being copied to. What a failed device
        // still does is not to be waited for.
        let _ = self.shared.gpu.wait();
    }
}

impl Executable for Program {
    fn write_input(&mut self, index: usize, value: &Literal) -> Result<()> {
        let ty = self.inputs.get(index).ok_or_else(|| Error::graph(format!("there is no input {index}")))?;
        check_input(index, ty, value.bytes())?;
        if self.turns.is_read() {
            let gpu = &self.shared.gpu;
            // Behind all runs that read the set up to now, the last ones to do so before it is written again.
            self.sets[self.turns.current()].read.record(Queue::Work)?;
            gpu.after(Queue::Copies, &self.sets[self.turns.other()].read)?;
            self.turns.change_over();
        }
        let block = &self.sets[self.turns.current()].inputs[index];
        // SAFETY: the block lives as long as the program, whose drop waits for copies.
        let sent = unsafe { self.shared.send(value, block) }?;
        // One queue copies all, so that behind the last copy is behind each.
        self.arriving = sent.or(self.arriving.take());
        self.turns.wrote(index);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.complete()?;
        // SAFETY: modules, arena, inputs, outputs, constants and states live as long as the program, whose drop
        // waits for runs.
        unsafe { self.sets[self.turns.current()].step.submit() }
    }

    fn run_timed(&mut self) -> Result<Option<Vec<Duration>>> {
        let gpu = self.shared.gpu.clone();
        self.complete()?;
        let parts = &mut self.sets[self.turns.current()].parts;
        while self.events.len() <= parts.len() {
            self.events.push(Event::new(&gpu, true)?);
        }
        gpu.enter()?;
        self.events[0].record(Queue::Work)?;
        for (part, after) in parts.iter_mut().zip(&self.events[1..]) {
            // SAFETY: as in `run`.
            unsafe { part.task.submit(&gpu) }?;
            after.record(Queue::Work)?;
        }
        gpu.wait()?;
        let times = self.events.windows(2).take(parts.len());
        let times = times.map(|pair| pair[0].milliseconds_to(&pair[1])).collect::<Result<Vec<f32>>>()?;
        // The time of an island stands with its first kernel.
        let mut all = vec![Duration::ZERO; self.kernels];
        for (time, part) in times.iter().zip(parts.iter()) {
            all[part.kernels.start] += Duration::from_secs_f32(time.max(0.0) / 1e3);
        }
        Ok(Some(all))
    }

    fn read_output(&mut self, index: usize) -> Result<Literal> {
        self.shared.output(&self.outputs, index)
    }

    fn wait(&mut self) -> Result<()> {
        self.shared.gpu.wait()
    }

    fn bytes(&self) -> usize {
        let inputs = self.sets.iter().flat_map(|set| &set.inputs);
        let blocks = inputs.chain(self.outputs.iter().map(|b| &b.1)).chain(&self.own);
        blocks.map(Block::bytes).sum()
    }
}
