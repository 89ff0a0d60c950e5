//! Devices: describe the target, hold state, compile a plan, run it. No backend knows what a layer or an
//! optimizer is.

mod cache;
pub mod cpu;
#[cfg(not(target_os = "macos"))]
pub mod cuda;
mod hazards;
mod host;
pub mod memory;
mod pooled;
pub mod reference;
mod side_by_side;
mod switches;
mod turns;
mod wgpu;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::ir::{DType, Graph, Lender, Literal, Type};
use crate::plan::{Buffer, Peaks, Place, Plan, Target};
use memory::Statistics;

/// What a device must be able to do.
pub trait Backend: Send + Sync {
    /// The name people use: "cpu", "cuda:1", ….
    fn name(&self) -> String;

    /// One line about it: model, cores, memory.
    fn description(&self) -> String;

    /// What passes may know of it.
    fn target(&self) -> Target;

    /// What it can do at most; `None` where nothing tells.
    fn peaks(&self) -> Option<Peaks> {
        None
    }

    /// Memory for a state, zeroed.
    fn allocate(&self, dtype: DType, elements: usize) -> Result<Memory>;

    /// Compiles a program and binds it to its states' memory, in the order of the graph's states. The plan
    /// must come from the same graph and this device's [`Backend::target`].
    fn compile(&self, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Box<dyn Executable>>;

    /// Device memory that a compiled program would hold besides its states, in bytes. Allocates none of it.
    fn program_bytes(&self, _graph: &Graph, plan: &Plan) -> Result<usize> {
        Ok(planned_blocks(plan).sum())
    }

    /// Asks for the bytes of some states, one behind the other, as they are behind all that was submitted so far,
    /// and does not wait for them where the device works on its own.
    fn download_later(&self, memory: &[&Memory]) -> Result<Box<dyn Pending>> {
        download_now(memory)
    }

    /// Who lends host memory that it copies from while it computes; `None` where any memory is as good.
    fn lender(&self) -> Option<Arc<dyn Lender>> {
        None
    }

    /// Whether its memory is the host's: what lies there need not be brought to it.
    fn shares_host_memory(&self) -> bool {
        true
    }

    /// Who uses how much of its memory through this handle; `None` from a device that does not count.
    fn statistics(&self) -> Option<Statistics> {
        None
    }

    /// Bytes that could still be allocated; `None` where nothing tells before it is tried.
    fn available(&self) -> Option<usize> {
        None
    }

    /// Lets this handle hold at most so many bytes.
    fn limit_memory(&self, _bytes: usize) -> Result<()> {
        Err(Error::unsupported(format!("{} does not count its memory, so that it has no limit", self.name())))
    }
}

/// The blocks of memory that a plan wants besides its states: arena, inputs, outputs, constants.
fn planned_blocks(plan: &Plan) -> impl Iterator<Item = usize> {
    let apart = |buffer: &&Buffer| !matches!(buffer.place, Place::State(_) | Place::Arena(_));
    plan.buffers.iter().filter(apart).map(Buffer::bytes).chain([plan.arena_bytes])
}

/// What was asked for, at once.
fn download_now(memory: &[&Memory]) -> Result<Box<dyn Pending>> {
    let bytes = memory.iter().map(|m| m.download()).collect::<Result<Vec<_>>>()?.concat();
    Ok(Box::new(Here(bytes)))
}

/// Bytes on their way from a device to the host.
pub trait Pending: Send {
    /// Whether they are there. Fails if the device did.
    fn is_done(&self) -> Result<bool>;

    /// The bytes, waited for if need be. Fails if the device did.
    fn wait(self: Box<Self>) -> Result<Vec<u8>>;
}

/// Bytes that are there already.
struct Here(Vec<u8>);

impl Pending for Here {
    fn is_done(&self) -> Result<bool> {
        Ok(true)
    }

    fn wait(self: Box<Self>) -> Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// A compiled program bound to its states.
pub trait Executable: Send {
    /// Sets an input for the runs that follow; its bytes must be what the input's type asks for. What has not been
    /// set since the last run stays. The bytes may be copied while earlier runs go on, and are read before this
    /// returns unless they are [lent](Device::lender).
    fn write_input(&mut self, index: usize, value: &Literal) -> Result<()>;

    /// Submits the program once.
    fn run(&mut self) -> Result<()>;

    /// Submits the program once, and measures each of the plan's kernels, in their order, one after the other: a
    /// device that otherwise runs some of them side by side does not do so here, and sums may differ in their last
    /// bits. `None` from a device that does not run the plan kernel by kernel.
    fn run_timed(&mut self) -> Result<Option<Vec<Duration>>>;

    /// Reads an output of the last run, waiting for the device if need be.
    fn read_output(&mut self, index: usize) -> Result<Literal>;

    /// Waits until everything submitted is done.
    fn wait(&mut self) -> Result<()>;

    /// Device memory the program holds besides its states, in bytes.
    fn bytes(&self) -> usize;
}

/// What backends implement to hold a state.
pub trait StateMemory: Send + Sync {
    /// Overwrites the whole.
    fn upload(&self, bytes: &[u8]) -> Result<()>;
    /// Reads the whole.
    fn download(&self) -> Result<Vec<u8>>;
    /// Its size.
    fn bytes(&self) -> usize;
    /// Overwrites bytes from a position on with bytes of another memory, behind all that was submitted so far, if the
    /// two lie on one device; else does nothing and says `false`. Both ranges lie inside, in two distinct memories.
    fn copy_from(&self, at: usize, source: &dyn StateMemory, from: Range<usize>) -> Result<bool>;
    /// For the backend to find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// A state's memory on a device; cloning shares it, the last drop frees it.
#[derive(Clone)]
pub struct Memory(Arc<dyn StateMemory>);

impl Memory {
    /// Wraps a backend's memory.
    pub fn new(memory: impl StateMemory + 'static) -> Self {
        Memory(Arc::new(memory))
    }

    /// Overwrites the whole; the number of bytes must match.
    pub fn upload(&self, bytes: &[u8]) -> Result<()> {
        self.0.upload(bytes)
    }

    /// Reads the whole, after everything submitted that writes it.
    pub fn download(&self) -> Result<Vec<u8>> {
        self.0.download()
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Overwrites bytes from position `at` on with bytes of another memory: on the device where both are of one
    /// handle of it, else through the host.
    ///
    /// # Errors
    /// Bytes that lie outside of either, a device that fails.
    pub fn copy_from(&self, at: usize, source: &Memory, from: Range<usize>) -> Result<()> {
        let inside = |end: Option<usize>, memory: &Memory| end.is_some_and(|end| end <= memory.bytes());
        let to = from.len().checked_add(at);
        if from.start > from.end || !inside(Some(from.end), source) || !inside(to, self) {
            let (has, wants) = (source.bytes(), self.bytes());
            return Err(Error::shape(format!("bytes {from:?} of {has} cannot be copied to {at} of {wants}")));
        }
        if Arc::ptr_eq(&self.0, &source.0) {
            return if at == from.start { Ok(()) } else { self.through_host(at, source, from) };
        }
        match self.0.copy_from(at, &*source.0, from.clone())? {
            true => Ok(()),
            false => self.through_host(at, source, from),
        }
    }

    fn through_host(&self, at: usize, source: &Memory, from: Range<usize>) -> Result<()> {
        let len = from.len();
        let from = &source.download()?[from];
        if len == self.bytes() { self.upload(from) } else { self.overwrite(at, from) }
    }

    /// Writes some of its bytes, by way of the host.
    pub(crate) fn overwrite(&self, at: usize, bytes: &[u8]) -> Result<()> {
        let mut all = self.download()?;
        all[at..at + bytes.len()].copy_from_slice(bytes);
        self.upload(&all)
    }

    fn downcast<T: 'static>(&self) -> Result<&T> {
        self.0.as_any().downcast_ref().ok_or_else(|| {
            Error::device("a state lives on another device than the program; allocate it on the program's device")
        })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.bytes())
    }
}

/// The memory that was given for a plan's state, which must be there and as large as the plan has it.
fn state<'a>(states: &'a [Memory], index: usize, buffer: &Buffer) -> Result<&'a Memory> {
    let missing = || Error::device(format!("no memory was given for state `{}`", buffer.name));
    let memory = states.get(index).ok_or_else(missing)?;
    if memory.bytes() != buffer.bytes() {
        let (name, wants, has) = (&buffer.name, buffer.bytes(), memory.bytes());
        return Err(Error::device(format!("state `{name}` takes {wants} bytes but was given {has}")));
    }
    Ok(memory)
}

/// Refuses bytes that are not what an input takes.
fn check_input(index: usize, ty: &Type, bytes: &[u8]) -> Result<()> {
    let (wants, has) = (ty.bytes(), bytes.len());
    match wants == has {
        true => Ok(()),
        false => Err(Error::shape(format!("input {index} is {ty} and takes {wants} bytes, not {has}"))),
    }
}

/// Refuses bytes that are not a whole state.
fn check_state(wants: usize, bytes: &[u8]) -> Result<()> {
    match wants == bytes.len() {
        true => Ok(()),
        false => Err(Error::shape(format!("a state of {wants} bytes was given {}", bytes.len()))),
    }
}

/// A device handle; cloning it is cheap.
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn Backend>,
    tf32: bool,
}

impl Device {
    /// Wraps a backend.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Device { backend: Arc::new(backend), tf32: false }
    }

    /// The CPU with one thread for each core.
    pub fn cpu() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Device::cpu_with_threads(threads)
    }

    /// The CPU with a number of threads (at least one). Results do not depend on it.
    pub fn cpu_with_threads(threads: usize) -> Self {
        Device::new(cpu::Cpu::new(threads))
    }

    /// The reference interpreter in f64: the judge of every other backend, and slow.
    pub fn reference() -> Self {
        Device::new(reference::Reference)
    }

    /// An NVIDIA GPU by its number, counted from 0. An error says what is missing: the driver, the compiler of
    /// kernels, the GPU.
    pub fn cuda(ordinal: usize) -> Result<Self> {
        #[cfg(not(target_os = "macos"))]
        return Ok(Device::new(cuda::Cuda::open(ordinal)?));
        #[cfg(target_os = "macos")]
        Err(Error::device(format!(
            "there is no cuda:{ordinal} here: CUDA does not exist for macOS; use `--device cpu`"
        )))
    }

    /// A GPU through Vulkan, Metal or DX12: the best of one (`vulkan`, `metal`, `dx12`) or of all (`wgpu`), or one by its
    /// number, counted from 0 (`vulkan:1`). An adapter that computes on the CPU is chosen where there is no other. An
    /// error says what is missing.
    pub fn graphics(name: &str) -> Result<Self> {
        Ok(Device::new(wgpu::Wgpu::open(name)?))
    }

    /// The fastest device there is: the first NVIDIA GPU if it can be used, else the best GPU through Vulkan, Metal or
    /// DX12, else the CPU.
    pub fn best() -> Result<Self> {
        Device::named("best", None)
    }

    /// Every device that can be used here, best first.
    pub fn list() -> Vec<Device> {
        let gpus = (0..).map_while(|i| Device::cuda(i).ok());
        let graphics = wgpu::Wgpu::all().into_iter().map(Device::new);
        gpus.chain(graphics).chain([Device::cpu(), Device::reference()]).collect()
    }

    /// The device of a name: `best`, `cpu`, `cuda` (the first), `cuda:1`, those of [`Device::graphics`] or `reference`;
    /// `threads` is for the CPU.
    pub fn named(name: &str, threads: Option<usize>) -> Result<Self> {
        let cpu = || threads.map_or_else(Device::cpu, Device::cpu_with_threads);
        if let Some(ordinal) = name.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
            return Device::cuda(ordinal);
        }
        match name {
            "best" => {
                let graphics = || wgpu::Wgpu::hardware().map(Device::new);
                Ok(Device::cuda(0).ok().or_else(graphics).unwrap_or_else(cpu))
            }
            name if wgpu::is_name(name) => Device::graphics(name),
            "cpu" => Ok(cpu()),
            "cuda" => Device::cuda(0),
            "reference" => Ok(Device::reference()),
            _ => {
                let names: Vec<String> = Device::list().iter().map(Device::name).collect();
                Err(Error::device(format!(
                    "there is no device `{name}` here; `onestep devices` lists what can be used: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// The name people use.
    pub fn name(&self) -> String {
        self.backend.name()
    }

    /// One line about it.
    pub fn description(&self) -> String {
        self.backend.description()
    }

    /// The same device, whose products and convolutions of f32 may round their operands to TF32 (10 bits of mantissa
    /// instead of 23) from now on: several times as fast on the tensor cores of NVIDIA's Ampere and later. Sums stay in
    /// f32. Devices without TF32 compute as before. Off by default.
    pub fn allow_tf32(self, allowed: bool) -> Self {
        Device { tf32: allowed, ..self }
    }

    /// What passes may know of it.
    pub fn target(&self) -> Target {
        let target = self.backend.target();
        Target { tf32: target.tf32 && self.tf32, ..target }
    }

    /// What it can do at most by its data sheet; `None` where nothing tells (the CPU, whose clock and memory nobody
    /// names, and the reference).
    pub fn peaks(&self) -> Option<Peaks> {
        self.backend.peaks()
    }

    /// Memory for a state, zeroed.
    pub fn allocate(&self, dtype: DType, elements: usize) -> Result<Memory> {
        self.backend.allocate(dtype, elements)
    }

    /// The device, of whose memory this handle and its clones then hold at most so many bytes, states and programs
    /// together. The CPU counts what it allocates for them; other memory of the process is not its matter.
    ///
    /// # Errors
    /// The reference, which does not count.
    pub fn with_memory_limit(self, bytes: usize) -> Result<Self> {
        self.backend.limit_memory(bytes)?;
        Ok(self)
    }

    /// Who uses how much of the device's memory through this handle and its clones; `None` for the reference, which
    /// does not count.
    pub fn statistics(&self) -> Option<Statistics> {
        self.backend.statistics()
    }

    /// Bytes that could still be allocated through this handle: what a GPU has free, within the limit if there is
    /// one; `None` where nothing tells before it is tried.
    pub fn available(&self) -> Option<usize> {
        self.backend.available()
    }

    /// Whether its memory is the host's.
    pub fn shares_host_memory(&self) -> bool {
        self.backend.shares_host_memory()
    }

    /// Who lends host memory for tensors on their way to it (batches), from which it copies while it computes, a step
    /// ahead; `None` where any memory is as good. A lender keeps what comes back for tensors of the same size, as long
    /// as it lives.
    pub fn lender(&self) -> Option<Arc<dyn Lender>> {
        self.backend.lender()
    }

    /// Device memory that a compiled program would hold besides its states, see [`Backend::program_bytes`].
    pub fn program_bytes(&self, graph: &Graph, plan: &Plan) -> Result<usize> {
        self.backend.program_bytes(graph, plan)
    }

    /// Asks for the bytes of some states without waiting, see [`Backend::download_later`].
    pub fn download_later(&self, memory: &[&Memory]) -> Result<Box<dyn Pending>> {
        self.backend.download_later(memory)
    }

    /// Compiles a program, see [`Backend::compile`].
    pub fn compile(&self, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Box<dyn Executable>> {
        self.backend.compile(graph, plan, states)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
