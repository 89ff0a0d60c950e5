//! NVIDIA GPUs through the CUDA driver, found at run time: the program starts without it. Kernels are printed
//! by codegen and compiled on the spot, and large products are cuBLASLt's, where that is found; a step is one graph
//! of them, submitted at once, and everything of a device goes through one queue in order.

mod blas;
mod cache;
mod compiler;
mod driver;
mod hazards;
mod program;

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::memory::{Block, Pool, Purpose, Ring};
use super::{Backend, Executable, Memory, StateMemory, check_state};
use crate::error::{Error, Result};
use crate::ir::{DType, Graph};
use crate::plan::{Plan, Target};
use blas::Blas;
use cache::Cache;
use driver::{Gpu, GpuMemory, Pinned};

/// Work up to which kernels join an island: at 16 times as much, one block took longer than all of them took apart.
const ISLAND_WORK: u64 = 1 << 14;
/// Multiply-adds from which a contraction is computed by tiles.
const TILE_WORK: u64 = 1 << 15;
/// Multiply-adds from which a product is cuBLASLt's.
const LIBRARY_DOTS: u64 = 1 << 24;
/// Slots of the staging ring, and bytes of each.
const SLOTS: usize = 4;
const SLOT_BYTES: usize = 4 << 20;

/// A GPU.
pub(super) struct Cuda(Arc<Shared>);

/// What programs and states of a GPU share.
struct Shared {
    gpu: Arc<Gpu>,
    pool: Pool<GpuMemory>,
    ring: OnceLock<Ring<Pinned>>,
    blas: OnceLock<Arc<Blas>>,
    cache: Cache,
}

impl Cuda {
    /// Opens a GPU by its number.
    pub(super) fn open(ordinal: usize) -> Result<Self> {
        let gpu = Arc::new(Gpu::open(ordinal)?);
        compiler::present()?;
        let pool = Pool::new(GpuMemory(gpu.clone()), None);
        let (ring, blas, cache) = (OnceLock::new(), OnceLock::new(), Cache::of_user());
        Ok(Cuda(Arc::new(Shared { gpu, pool, ring, blas, cache })))
    }
}

impl Shared {
    /// The way there and back, made when it is first needed.
    fn ring(&self) -> Result<&Ring<Pinned>> {
        if let Some(ring) = self.ring.get() {
            return Ok(ring);
        }
        let ring = self.pool.staging(SLOTS, SLOT_BYTES, |bytes| Pinned::new(&self.gpu, bytes))?;
        Ok(self.ring.get_or_init(|| ring))
    }

    /// The library for products, opened when it is first needed.
    fn blas(&self) -> Result<&Arc<Blas>> {
        if let Some(blas) = self.blas.get() {
            return Ok(blas);
        }
        let blas = Arc::new(Blas::open(&self.gpu)?);
        Ok(self.blas.get_or_init(|| blas))
    }

    /// Writes the first bytes of a block, in order with all other work.
    fn upload(&self, bytes: &[u8], block: &Block<GpuMemory>) -> Result<()> {
        assert!(bytes.len() <= block.bytes(), "onestep bug: {} bytes into {block:?}", bytes.len());
        let to = *block.raw();
        // SAFETY: the range lies in the block, which the pool does not hand out again before the copy in the queue.
        self.ring()?.upload(bytes, |slot, range| unsafe { slot.upload(range.len(), to + range.start as u64) })
    }

    /// Reads a whole block, after all other work.
    fn download(&self, block: &Block<GpuMemory>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; block.bytes()];
        let from = *block.raw();
        // SAFETY: as above.
        let copy = |slot: &mut Pinned, range: std::ops::Range<usize>| unsafe {
            slot.download(from + range.start as u64, range.len())
        };
        self.ring()?.download(&mut bytes, copy)?;
        Ok(bytes)
    }
}

impl Backend for Cuda {
    fn name(&self) -> String {
        format!("cuda:{}", self.0.gpu.ordinal)
    }

    fn description(&self) -> String {
        let Gpu { name, architecture, multiprocessors, .. } = &*self.0.gpu;
        let gib = self.0.gpu.memory_bytes() as f64 / (1u64 << 30) as f64;
        let (major, minor) = (architecture / 10, architecture % 10);
        let blas = match blas::present() {
            true => "",
            false => "; large products are slow without cuBLASLt (libcublasLt.so of the CUDA toolkit)",
        };
        format!("{name}, compute capability {major}.{minor}, {multiprocessors} multiprocessors, {gib:.0} GiB{blas}")
    }

    fn target(&self) -> Target {
        Target {
            name: "cuda".into(),
            alignment: 256,
            reduce_lanes: 256 * self.0.gpu.multiprocessors,
            epilogues: true,
            subgroup: 32,
            workgroup: 1024,
            shared_bytes: self.0.gpu.shared_bytes,
            vector_bytes: 16,
            island_work: ISLAND_WORK,
            nest_work: u64::MAX,
            library_dots: if blas::present() { LIBRARY_DOTS } else { 0 },
            tile_work: TILE_WORK,
            ..Target::default()
        }
    }

    fn allocate(&self, dtype: DType, elements: usize) -> Result<Memory> {
        let bytes = elements.checked_mul(dtype.size());
        let bytes = bytes.ok_or_else(|| Error::memory(format!("no memory holds {elements} elements of {dtype}")))?;
        let block = self.0.pool.zeroed(bytes, Purpose::State)?;
        Ok(Memory::new(CudaMemory { block, shared: self.0.clone() }))
    }

    fn compile(&self, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Box<dyn Executable>> {
        Ok(Box::new(program::Program::new(&self.0, graph, plan, states)?))
    }
}

/// A state on a GPU.
struct CudaMemory {
    block: Block<GpuMemory>,
    shared: Arc<Shared>,
}

impl StateMemory for CudaMemory {
    fn upload(&self, bytes: &[u8]) -> Result<()> {
        check_state(self.block.bytes(), bytes)?;
        self.shared.upload(bytes, &self.block)
    }

    fn download(&self) -> Result<Vec<u8>> {
        self.shared.download(&self.block)
    }

    fn bytes(&self) -> usize {
        self.block.bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
