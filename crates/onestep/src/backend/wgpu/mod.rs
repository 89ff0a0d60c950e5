//! GPUs through Vulkan, Metal and DX12, by way of the crate wgpu: whatever of these is there is found at run time.
//! Kernels are printed by codegen as WGSL. A step is one list of commands, submitted at once; everything of a device
//! goes through one queue in order.

mod adapters;
mod choice;
#[cfg(test)]
mod emulated;
mod gpu;
mod inputs;
mod memory;
mod pipelines;
mod program;
mod step;
#[cfg(test)]
mod tests;
#[cfg(not(target_os = "macos"))]
mod vulkan;
#[cfg(target_os = "macos")]
#[path = "vulkan/absent.rs"]
mod vulkan;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::memory::{Block, Pool, Ring, Statistics, rounded};
use super::pooled::{Pooled, PooledMemory, state_bytes};
use super::{Backend, Executable, Memory, Pending, download_now, planned_blocks};
use crate::codegen::{self, Tile, Tiling};
use crate::error::Result;
use crate::ir::{DType, Graph};
use crate::plan::{Buffer, Place, Plan, Target};
use choice::Choices;
use gpu::Gpu;
use memory::{GpuMemory, Mapped};
use wgpu::DeviceType;

pub(in crate::backend) use adapters::is_name;

/// Work up to which kernels join an island.
const ISLAND_WORK: u64 = 1 << 14;
/// Threads that share rows: the same for all adapters, whose subgroups differ in size.
const SUBGROUP: usize = 32;
/// Multiply-adds from which a contraction is computed by tiles.
const TILE_WORK: u64 = 1 << 15;
/// Workgroups that run side by side, which no graphics interface tells: on a GPU of its own memory, on others, and on a
/// CPU.
const MULTIPROCESSORS: [usize; 3] = [128, 16, 4];
/// Points over which a large reduction is spread on a GPU of its own memory, and on others.
const REDUCE_LANES: usize = 1 << 15;
const FEW_REDUCE_LANES: usize = 1 << 12;
/// What arenas are aligned to at least.
const ALIGNMENT: usize = 256;
/// Slots of a staging ring, and bytes of each.
const SLOTS: usize = 4;
const SLOT_BYTES: usize = 4 << 20;
/// As many for what is asked for and not waited for: a few numbers each time. Who holds them all does not keep others
/// waiting.
const ANSWERS: usize = 4;
const ANSWER_BYTES: usize = 4 << 10;

/// An adapter.
pub(super) struct Wgpu(Arc<Shared>);

/// What programs and states of an adapter share.
struct Shared {
    gpu: Arc<Gpu>,
    pool: Pool<GpuMemory>,
    uploads: OnceLock<Ring<Mapped>>,
    downloads: OnceLock<Ring<Mapped>>,
    answers: OnceLock<Ring<Mapped>>,
    choices: Choices,
    /// A tile that all products take: tests ask for it.
    tile: Option<Tile>,
}

impl Wgpu {
    /// Opens the adapter of a name: `vulkan`, `vulkan:1`, `metal`, `dx12`, `wgpu`.
    pub(super) fn open(name: &str) -> Result<Self> {
        Wgpu::new(adapters::named(name)?)
    }

    fn new(found: adapters::Found) -> Result<Self> {
        Gpu::open(found).map(Wgpu::of)
    }

    fn of(gpu: Gpu) -> Self {
        let gpu = Arc::new(gpu);
        let pool = Pool::new(GpuMemory(gpu.clone()), None);
        let (uploads, downloads, answers) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let choices = Choices::of_user(&gpu.info);
        Wgpu(Arc::new(Shared { gpu, pool, uploads, downloads, answers, choices, tile: None }))
    }

    /// Every adapter that opens, best first.
    pub(super) fn all() -> Vec<Self> {
        adapters::all().into_iter().filter_map(|found| Wgpu::new(found).ok()).collect()
    }

    /// The best that does not compute on the CPU.
    pub(super) fn hardware() -> Option<Self> {
        let mut real = adapters::all().into_iter().filter(|found| !adapters::is_software(&found.info));
        real.find_map(|found| Wgpu::new(found).ok())
    }
}

impl Shared {
    /// What tile kernels may use.
    fn tiling(&self) -> Tiling {
        let Gpu { limits, info, cooperative, .. } = &*self.gpu;
        let multiprocessors = match info.device_type {
            DeviceType::DiscreteGpu => MULTIPROCESSORS[0],
            DeviceType::IntegratedGpu | DeviceType::VirtualGpu | DeviceType::Other => MULTIPROCESSORS[1],
            DeviceType::Cpu => MULTIPROCESSORS[2],
        };
        let bytes = limits.max_compute_workgroup_storage_size as usize;
        let cooperative = *cooperative || self.tile.is_some_and(|tile| tile.is_cooperative());
        Tiling { cooperative, tile: self.tile, ..Tiling::new(multiprocessors, bytes) }
    }

    /// The tilings of a kernel that are measured, or the only one.
    fn tilings(&self, plan: &Plan, kernels: &Range<usize>) -> Vec<Tiling> {
        match self.choices.are_measured() {
            true => codegen::tilings(plan, kernels, self.tiling()),
            false => vec![self.tiling()],
        }
    }

    /// Whether its workgroups are large enough for tiles, as they are wherever WebGPU could run.
    fn has_tiles(&self) -> bool {
        let limits = &self.gpu.limits;
        let threads = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        threads >= 256 && limits.max_compute_workgroup_storage_size >= 16 << 10
    }

    /// A ring, made when it is first needed.
    fn made<'a>(
        &self,
        ring: &'a OnceLock<Ring<Mapped>>,
        slots: usize,
        bytes: usize,
        make: impl Fn(&Arc<Gpu>, usize) -> Result<Mapped>,
    ) -> Result<&'a Ring<Mapped>> {
        if let Some(ring) = ring.get() {
            return Ok(ring);
        }
        let new = self.pool.staging(slots, bytes, |bytes| make(&self.gpu, bytes))?;
        Ok(ring.get_or_init(|| new))
    }
}

impl Pooled for Shared {
    type Raw = GpuMemory;

    fn pool(&self) -> &Pool<GpuMemory> {
        &self.pool
    }

    fn upload(&self, bytes: &[u8], block: &Block<GpuMemory>) -> Result<()> {
        assert!(bytes.len() <= block.bytes(), "onestep bug: {} bytes into {block:?}", bytes.len());
        let ring = self.made(&self.uploads, SLOTS, SLOT_BYTES, Mapped::for_uploads)?;
        ring.upload(bytes, |slot, range| slot.upload(block.raw(), range))
    }

    fn download(&self, block: &Block<GpuMemory>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; block.bytes()];
        let ring = self.made(&self.downloads, SLOTS, SLOT_BYTES, Mapped::for_downloads)?;
        ring.download(&mut bytes, |slot, range| slot.download(&[(block.raw(), range)]))?;
        Ok(bytes)
    }

    unsafe fn copy(
        &self,
        onto: &Block<GpuMemory>,
        at: usize,
        from: &Block<GpuMemory>,
        range: Range<usize>,
    ) -> Result<bool> {
        // Copies take whole words.
        if [at, range.start, range.len()].iter().any(|&n| n as u64 != memory::in_words(n)) {
            return Ok(false);
        }
        let (first, to, len) = (range.start as u64, at as u64, range.len() as u64);
        self.gpu.record(|encoder| encoder.copy_buffer_to_buffer(from.raw(), first, onto.raw(), to, len))?;
        Ok(true)
    }
}

impl Backend for Wgpu {
    fn name(&self) -> String {
        self.0.gpu.name.clone()
    }

    fn description(&self) -> String {
        self.0.gpu.description.clone()
    }

    fn target(&self) -> Target {
        let Gpu { limits, info, .. } = &*self.0.gpu;
        let own_memory = info.device_type == DeviceType::DiscreteGpu;
        Target {
            name: "wgpu".into(),
            alignment: ALIGNMENT.max(limits.min_storage_buffer_offset_alignment as usize),
            reduce_lanes: if own_memory { REDUCE_LANES } else { FEW_REDUCE_LANES },
            epilogues: true,
            subgroup: SUBGROUP,
            workgroup: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x) as usize,
            shared_bytes: limits.max_compute_workgroup_storage_size as usize,
            vector_bytes: 16,
            island_work: ISLAND_WORK,
            side_by_side: self.0.gpu.vulkan.is_some(),
            nest_work: u64::MAX,
            tile_work: if self.0.has_tiles() { TILE_WORK } else { 0 },
            bindings: self.0.gpu.bindings(),
            ..Target::default()
        }
    }

    fn allocate(&self, dtype: DType, elements: usize) -> Result<Memory> {
        PooledMemory::zeroed(&self.0, state_bytes(dtype, elements)?)
    }

    fn compile(&self, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Box<dyn Executable>> {
        Ok(Box::new(program::Program::new(&self.0, graph, plan, states)?))
    }

    fn program_bytes(&self, _: &Graph, plan: &Plan) -> Result<usize> {
        // Whichever tile is chosen.
        let scratch = codegen::launches(plan).into_iter().map(|kernels| {
            let bytes = |tiling| codegen::scratch_bytes(plan, &kernels, tiling);
            self.0.tilings(plan, &kernels).into_iter().map(bytes).max().unwrap_or_default()
        });
        // Inputs twice where one is read while the other is written.
        let twice = |buffer: &&Buffer| self.0.gpu.reads_in_place() && matches!(buffer.place, Place::Input(_));
        let inputs = plan.buffers.iter().filter(twice).map(Buffer::bytes);
        let blocks = planned_blocks(plan).chain(inputs).chain(scratch.filter(|&bytes| bytes > 0));
        Ok(blocks.map(|bytes| rounded(bytes).unwrap_or(usize::MAX)).fold(0, usize::saturating_add))
    }

    fn download_later(&self, memory: &[&Memory]) -> Result<Box<dyn Pending>> {
        let states = memory.iter().map(|m| m.downcast::<PooledMemory<Shared>>()).collect::<Result<Vec<_>>>()?;
        let sizes = || states.iter().map(|state| state.block.bytes());
        let whole = sizes().all(|bytes| bytes as u64 == memory::in_words(bytes));
        if !whole || !states.iter().all(|state| state.is_of(&self.0)) {
            return download_now(memory);
        }
        let parts: Vec<_> = states.iter().zip(sizes()).map(|(state, bytes)| (state.block.raw(), 0..bytes)).collect();
        let answers = self.0.made(&self.0.answers, ANSWERS, ANSWER_BYTES, Mapped::for_downloads)?;
        match answers.request(sizes().sum(), |slot| slot.download(&parts))? {
            Some(answer) => {
                self.0.gpu.flush()?;
                Ok(Box::new(answer))
            }
            None => download_now(memory),
        }
    }

    fn shares_host_memory(&self) -> bool {
        false
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.0.pool.statistics())
    }

    fn available(&self) -> Option<usize> {
        self.0.pool.available()
    }

    fn limit_memory(&self, bytes: usize) -> Result<()> {
        self.0.pool.set_limit(Some(bytes));
        Ok(())
    }
}
