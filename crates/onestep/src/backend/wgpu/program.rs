//! A plan on an adapter: its buffers, its pipelines with what they bind, and the list of commands that runs them all
//! in one submission.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry,
    BindingResource, BindingType, Buffer, BufferBinding, BufferBindingType, ComputePassDescriptor,
    ComputePassTimestampWrites, ComputePipelineDescriptor, Features, PipelineCompilationOptions,
    PipelineLayoutDescriptor, QuerySet, QuerySetDescriptor, QueryType, ShaderModuleDescriptor, ShaderRuntimeChecks,
    ShaderSource, ShaderStages,
};

use super::Shared;
use super::gpu::{Gpu, List};
use super::inputs::Inputs;
use super::memory::{GpuMemory, in_words};
use super::step::{Launch, Step};
use super::vulkan::{Kernel, Recording};
use crate::backend::hazards::{Touched, levels};
use crate::backend::memory::{Block, Purpose};
use crate::backend::pooled::{Pooled, PooledMemory};
use crate::backend::side_by_side::side_by_side;
use crate::backend::{Executable, Memory};
use crate::codegen::{self, Access, Binding, Bound, Language, Source, Tiling};
use crate::error::{Error, Result};
use crate::ir::{Graph, Literal, Type};
use crate::plan::{KernelKind, Place, Plan, Span};

/// Bits of the distance between buffers, where a number stands for a place in one of them: no buffer is as large.
const APART: u32 = 44;
/// Bytes of a time that the device notes.
const TIME: usize = 8;

/// A compiled plan, bound to its states.
pub(super) struct Program {
    /// Dropped before what its kernels use.
    work: Work,
    /// The number of the plan's kernels.
    kernels: usize,
    inputs: Inputs,
    outputs: Vec<(Type, Block<GpuMemory>)>,
    /// The arena and constants.
    own: Vec<Block<GpuMemory>>,
    clock: Option<Clock>,
    _states: Vec<Memory>,
    shared: Arc<Shared>,
}

/// How a step is submitted.
enum Work {
    /// In a list that wgpu encodes each time, of a step for each set of inputs.
    Encoded(Vec<Step>),
    /// In a list for each set of inputs that was recorded once.
    Recorded(Recording),
}

/// A printed kernel.
pub(super) struct Part {
    pub(super) source: Source,
    /// The plan's kernels that it computes.
    pub(super) kernels: Range<usize>,
    /// The scratch memory that it shares with the others of the same, with its bytes.
    pub(super) scratch: Option<(Buffer, usize)>,
}

/// One way to compute some of a plan's kernels.
pub(super) struct Variant {
    /// What is launched, in order.
    pub(super) sources: Vec<Source>,
    /// Bytes of the scratch memory that these share.
    pub(super) scratch_bytes: usize,
}

/// WGSL for an adapter.
fn language(gpu: &Gpu) -> Language {
    let binding_bytes = usize::try_from(gpu.limits.max_storage_buffer_binding_size).unwrap_or(usize::MAX);
    let subgroup = gpu.vulkan.as_ref().map_or(0, |vulkan| vulkan.subgroup());
    Language::Wgsl { bindings: gpu.bindings(), binding_bytes, subgroup }
}

/// Where the device notes times.
struct Clock {
    times: QuerySet,
    block: Block<GpuMemory>,
}

impl Clock {
    /// For so many times.
    fn new(shared: &Shared, count: u32) -> Result<Self> {
        let descriptor = QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count };
        let times = shared.gpu.attempt(|| shared.gpu.device.create_query_set(&descriptor))?;
        Ok(Clock { times, block: shared.pool.uninitialised(count as usize * TIME, Purpose::Workspace)? })
    }
}

impl Program {
    pub(super) fn new(shared: &Arc<Shared>, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Self> {
        let mut memory = Buffers::new(shared, graph, plan, states)?;
        let mut parts = Vec::new();
        for kernels in codegen::launches(plan) {
            if let KernelKind::Library(call) = &plan.kernels[kernels.start].kind {
                let (call, name) = (call.name(), &shared.gpu.name);
                return Err(Error::unsupported(format!("there is no {call} for {name}; compile for its own target")));
            }
            let print = |tiling: Tiling| -> Result<Variant> {
                let sources = codegen::print_tiled(plan, kernels.clone(), tiling, language(&shared.gpu))?;
                Ok(Variant { sources, scratch_bytes: codegen::scratch_bytes(plan, &kernels, tiling) })
            };
            let variants = shared.tilings(plan, &kernels).into_iter().map(print).collect::<Result<Vec<_>>>()?;
            let Variant { sources, scratch_bytes } = shared.choices.fastest(shared, &memory, variants)?;
            let scratch = memory.workspace(shared, scratch_bytes)?;
            let part = |source| Part { source, kernels: kernels.clone(), scratch: scratch.clone() };
            parts.extend(sources.into_iter().map(part));
        }
        let (gpu, sets) = (&shared.gpu, memory.inputs.sets());
        let named = |part: &Part| format!("kernel {}", part.source.entry);
        let work = match &gpu.vulkan {
            Some(vulkan) => {
                let kernels = side_by_side(&parts, |part| {
                    let bound = memory.bound_to_each(gpu, part)?;
                    let kernel = Kernel::new(gpu, vulkan, &part.source, part.kernels.start, &bound);
                    kernel.map_err(|e| e.at(named(part)))
                })?;
                let touched: Vec<_> = parts.iter().map(|part| memory.touched(plan, part)).collect();
                Work::Recorded(Recording::new(gpu, vulkan, kernels, &levels(&touched), sets)?)
            }
            None => {
                let launches = side_by_side(&parts, |part| {
                    let bound = memory.bound_to_each(gpu, part)?;
                    launch(gpu, part, &bound).map_err(|e| e.at(named(part)))
                })?;
                let launches = Arc::new(launches);
                Work::Encoded((0..sets).map(|set| Step::new(gpu, &launches, set)).collect())
            }
        };
        let Buffers { inputs, outputs, own, .. } = memory;
        Ok(Program {
            work,
            kernels: plan.kernels.len(),
            inputs,
            outputs,
            own,
            clock: None,
            _states: states.to_vec(),
            shared: shared.clone(),
        })
    }
}

/// The first of the plan's kernels that each launch computes, and how long it took.
fn time_encoded(shared: &Shared, step: &Step, clock: &mut Option<Clock>) -> Result<Option<Vec<(usize, Duration)>>> {
    let gpu = &shared.gpu;
    let count = 2 * step.launches().len() as u32;
    if !gpu.features.contains(Features::TIMESTAMP_QUERY) || !(1..=wgpu::QUERY_SET_MAX_QUERIES).contains(&count) {
        return Ok(None);
    }
    let Clock { times, block } = match clock.take() {
        Some(clock) => clock,
        None => Clock::new(shared, count)?,
    };
    let mut encoder = gpu.encoder();
    for (launch, number) in step.launches().iter().zip(0..) {
        let noted = ComputePassTimestampWrites {
            query_set: &times,
            beginning_of_pass_write_index: Some(2 * number),
            end_of_pass_write_index: Some(2 * number + 1),
        };
        let mut pass =
            encoder.begin_compute_pass(&ComputePassDescriptor { label: None, timestamp_writes: Some(noted) });
        launch.dispatch(&mut pass, step.set());
    }
    encoder.resolve_query_set(&times, 0..count, block.raw(), 0);
    gpu.submit(List::Encoded(encoder.finish()))?;
    let bytes = shared.download(&block)?;
    *clock = Some(Clock { times, block });
    let noted: Vec<u64> =
        bytes.chunks_exact(TIME).map(|b| b.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))).collect();
    let took = |(launch, pair): (&Launch, &[u64])| {
        let ticks = pair[1].saturating_sub(pair[0]);
        (launch.kernel, Duration::from_nanos((ticks as f64 * gpu.tick()) as u64))
    };
    Ok(Some(step.launches().iter().zip(noted.chunks_exact(2)).map(took).collect()))
}

/// Compiles a kernel and binds what it sees with each set of inputs, of which there is at least one.
pub(super) fn launch(gpu: &Gpu, part: &Part, bound: &[Vec<BufferBinding>]) -> Result<Launch> {
    let Part { source, kernels, .. } = part;
    let entries =
        source.bindings.iter().zip(&bound[0]).zip(0..).map(|((binding, buffer), number)| BindGroupLayoutEntry {
            binding: number,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty: BufferBindingType::Storage { read_only: binding.access == Access::Read },
                has_dynamic_offset: false,
                min_binding_size: buffer.size,
            },
            count: None,
        });
    let entries: Vec<_> = entries.collect();
    let bind = |layout: &BindGroupLayout, bound: &Vec<BufferBinding>| {
        let buffers = bound.iter().cloned().map(BindingResource::Buffer).zip(0..);
        let entries: Vec<_> = buffers.map(|(resource, binding)| BindGroupEntry { binding, resource }).collect();
        gpu.device.create_bind_group(&BindGroupDescriptor { label: None, layout, entries: &entries })
    };
    let text = source.text();
    #[cfg(test)]
    let text = if gpu.cooperative { text } else { super::emulated::by_threads(&text) };
    let text = ShaderSource::Wgsl(text.into());
    let (pipeline, bound) = gpu.attempt(|| {
        let device = &gpu.device;
        let layout = device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries: &entries });
        // SAFETY: printed kernels read and write within what they bind (maps into buffers are guarded where they could
        // leave them), their loops end, and they divide by zero nowhere.
        let module = unsafe {
            device.create_shader_module_trusted(
                ShaderModuleDescriptor { label: None, source: text },
                ShaderRuntimeChecks::unchecked(),
            )
        };
        let pipeline_layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: None,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(&source.entry),
            // Kernels read of shared memory what they wrote.
            compilation_options: PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: gpu.pipelines.cache(device),
        });
        (pipeline, bound.iter().map(|bound| bind(&layout, bound)).collect())
    })?;
    Ok(Launch { pipeline, bound, groups: gpu.groups(source)?, kernel: kernels.start })
}

/// Where a plan's buffers lie.
pub(super) struct Buffers {
    places: Vec<Lies>,
    arena: Buffer,
    inputs: Inputs,
    outputs: Vec<(Type, Block<GpuMemory>)>,
    own: Vec<Block<GpuMemory>>,
}

/// Where one of them lies.
struct Lies {
    /// In what, for each set of inputs; in the first of these where they say nothing about it.
    within: Vec<Buffer>,
    /// From which byte on.
    start: usize,
    bytes: usize,
    name: String,
}

impl Lies {
    /// What it lies in with a set of inputs.
    fn within(&self, set: usize) -> &Buffer {
        self.within.get(set).unwrap_or(&self.within[0])
    }
}

impl Buffers {
    fn new(shared: &Arc<Shared>, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Self> {
        let block = |ty: Type, purpose| -> Result<(Type, Block<GpuMemory>)> {
            let block = shared.pool.zeroed(ty.bytes(), purpose)?;
            Ok((ty, block))
        };
        let inputs = Inputs::new(shared, graph)?;
        let outputs = graph.outputs().iter().map(|(_, node)| {
            let ty = Type::new(graph.shape(*node), graph.dtype(*node));
            block(ty, Purpose::Output)
        });
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let arena = shared.pool.uninitialised(plan.arena_bytes, Purpose::Arena)?;
        let mut all = Buffers { places: Vec::new(), arena: arena.raw().clone(), inputs, outputs, own: vec![arena] };
        for buffer in &plan.buffers {
            let (within, start) = match &buffer.place {
                Place::Input(i) => (all.inputs.buffers(*i), 0),
                Place::Output(i) => (vec![all.outputs[*i].1.raw().clone()], 0),
                Place::Arena(offset) => (vec![all.arena.clone()], offset.unwrap_or(0)),
                Place::State(i) => (vec![PooledMemory::of_state(states, *i, buffer, shared)?.block.raw().clone()], 0),
                Place::Constant(literal) => {
                    let block = shared.pool.uninitialised(literal.bytes().len(), Purpose::Constant)?;
                    shared.upload(literal.bytes(), &block)?;
                    let within = vec![block.raw().clone()];
                    all.own.push(block);
                    (within, 0)
                }
            };
            all.places.push(Lies { within, start, bytes: buffer.bytes(), name: buffer.name.clone() });
        }
        Ok(all)
    }

    /// Scratch memory of so many bytes.
    fn workspace(&mut self, shared: &Shared, bytes: usize) -> Result<Option<(Buffer, usize)>> {
        if bytes == 0 {
            return Ok(None);
        }
        let block = shared.pool.uninitialised(bytes, Purpose::Workspace)?;
        let buffer = block.raw().clone();
        self.own.push(block);
        Ok(Some((buffer, bytes)))
    }

    /// What a kernel binds, in its order, with each set of inputs.
    fn bound_to_each<'a>(&'a self, gpu: &Gpu, part: &'a Part) -> Result<Vec<Vec<BufferBinding<'a>>>> {
        (0..self.inputs.sets()).map(|set| self.bound(gpu, part, set)).collect()
    }

    /// What a kernel binds with a set of inputs, in its order.
    pub(super) fn bound<'a>(&'a self, gpu: &Gpu, part: &'a Part, set: usize) -> Result<Vec<BufferBinding<'a>>> {
        part.source.bindings.iter().map(|binding| self.binding(gpu, part, binding, set)).collect()
    }

    /// Bytes of what is bound, but for scratch memory.
    pub(super) fn bytes_of(&self, binding: &Binding) -> usize {
        match (binding.window, binding.bound) {
            (Some((start, end)), _) | (None, Bound::Arena { start, end }) => end - start,
            (None, Bound::Buffer(id)) => self.places[id.index()].bytes,
            (None, Bound::Workspace) => 0,
        }
    }

    fn binding<'a>(&'a self, gpu: &Gpu, part: &'a Part, binding: &Binding, set: usize) -> Result<BufferBinding<'a>> {
        let (buffer, start, bytes, name) = match binding.bound {
            Bound::Buffer(id) => {
                let lies = &self.places[id.index()];
                (lies.within(set), lies.start, lies.bytes, lies.name.as_str())
            }
            Bound::Arena { start, end } => (&self.arena, start, end - start, "intermediates that share memory"),
            Bound::Workspace => match &part.scratch {
                Some((buffer, bytes)) => (buffer, 0, *bytes, "partial sums"),
                None => panic!("onestep bug: {} has no scratch memory", part.source.entry),
            },
        };
        let (start, bytes) = binding.window.map_or((start, bytes), |(first, end)| (start + first, end - first));
        gpu.check_bound(name, bytes)?;
        // Something must be bound, even where nothing is read.
        let size = in_words(bytes.max(1));
        Ok(BufferBinding { buffer, offset: start as u64, size: NonZeroU64::new(size) })
    }
}

impl Buffers {
    /// The memory that a part reads and writes, as if buffers lay one behind the other, far apart.
    fn touched(&self, plan: &Plan, part: &Part) -> Touched {
        // With every set of inputs the same.
        let start = |buffer: &Buffer| {
            let first = self.places.iter().position(|lies| lies.within(0) == buffer).unwrap_or(self.places.len());
            (first as u64) << APART
        };
        // What one part leaves in scratch memory the next reads.
        let scratch = part.scratch.iter().map(|(buffer, bytes)| {
            let other = self.own.iter().position(|block| block.raw() == buffer).unwrap_or(self.own.len());
            let start = ((self.places.len() + 1 + other) as u64) << APART;
            start..start + *bytes as u64
        });
        let mut all = Touched { reads: Vec::new(), writes: scratch.collect() };
        for kernel in &plan.kernels[part.kernels.clone()] {
            let place = |(id, elements): Span| {
                let (lies, size) = (&self.places[id.index()], plan.buffer(id).dtype.size());
                let start = start(lies.within(0)) + lies.start as u64;
                start + (elements.start * size) as u64..start + (elements.end * size) as u64
            };
            let (reads, writes) = kernel.spans(plan);
            all.reads.extend(reads.into_iter().map(place));
            all.writes.extend(writes.into_iter().map(place));
        }
        all
    }
}

impl Executable for Program {
    fn write_input(&mut self, index: usize, value: &Literal) -> Result<()> {
        self.inputs.write(&self.shared, index, value)
    }

    fn run(&mut self) -> Result<()> {
        let set = self.inputs.give(&self.shared.gpu)?;
        let number = match &mut self.work {
            Work::Encoded(steps) => self.shared.gpu.submit(List::Encoded(steps[set].list()?))?,
            Work::Recorded(recording) => recording.run(set)?,
        };
        self.inputs.are_read_by(number);
        Ok(())
    }

    fn run_timed(&mut self) -> Result<Option<Vec<Duration>>> {
        // Both wait for the device, so that nobody has to say when the inputs were read.
        let set = self.inputs.give(&self.shared.gpu)?;
        let times = match &mut self.work {
            Work::Encoded(steps) => time_encoded(&self.shared, &steps[set], &mut self.clock)?,
            Work::Recorded(recording) => recording.run_timed(set)?,
        };
        // The time of an island stands with its first kernel.
        Ok(times.map(|times| {
            let mut all = vec![Duration::ZERO; self.kernels];
            times.into_iter().for_each(|(kernel, took)| all[kernel] += took);
            all
        }))
    }

    fn read_output(&mut self, index: usize) -> Result<Literal> {
        self.shared.output(&self.outputs, index)
    }

    fn wait(&mut self) -> Result<()> {
        self.shared.gpu.wait()
    }

    fn bytes(&self) -> usize {
        let blocks = self.outputs.iter().map(|b| &b.1).chain(&self.own);
        self.inputs.bytes() + blocks.map(Block::bytes).sum::<usize>()
    }
}
