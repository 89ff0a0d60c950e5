//! NVIDIA GPUs through the CUDA driver, found at run time: the program starts without it. Kernels are printed
//! by codegen and compiled on the spot; large products are cuBLASLt's and large convolutions cuDNN's, where these are
//! found. A step is one graph of them, submitted at once, and everything of a device goes through one queue in order.

mod blas;
mod compiler;
mod dnn;
mod driver;
mod lend;
mod peaks;
mod program;
#[cfg(test)]
mod tests;
mod tune;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::cache::Cache;
use super::memory::{Block, Pool, Ring, Statistics, rounded};
use super::pooled::{Pooled, PooledMemory, state_bytes};
use super::{Backend, Executable, Memory, Pending, download_now, planned_blocks};
use crate::codegen;
use crate::error::Result;
use crate::ir::{DType, Graph, Lender, Literal};
use crate::plan::{Buffer, Peaks, Place, Plan, Target};
use blas::Blas;
use dnn::Dnn;
use driver::{Event, Gpu, GpuMemory, Pinned, Queue};
use lend::{Loan, Pins};

/// Work up to which kernels join an island: at 16 times as much, one block took longer than all of them took apart.
const ISLAND_WORK: u64 = 1 << 14;
/// Multiply-adds from which a contraction is computed by tiles.
const TILE_WORK: u64 = 1 << 15;
/// Multiply-adds from which a product is cuBLASLt's.
const LIBRARY_DOTS: u64 = 1 << 24;
/// Multiply-adds from which a convolution is cuDNN's.
const LIBRARY_CONVS: u64 = 1 << 30;
/// Multiply-adds from which either is where operands of f32 are rounded to TF32: 512³ takes both ways equally long, 640³ a
/// third longer by tiles.
const LIBRARY_TF32: u64 = 3 << 26;
/// Filters times channels from which a filter's gradient is: few of its engines sum in f32, and those want wide filters.
const LIBRARY_FILTERS: usize = 1 << 11;
/// Slots of the staging ring, and bytes of each.
const SLOTS: usize = 4;
const SLOT_BYTES: usize = 4 << 20;
/// As many and as large for what is asked for and not waited for: a few numbers each time. Who holds them all does
/// not keep uploads waiting.
const ANSWERS: usize = 4;
const ANSWER_BYTES: usize = 4 << 10;

/// A GPU.
pub(super) struct Cuda(Arc<Shared>);

/// What programs and states of a GPU share.
struct Shared {
    gpu: Arc<Gpu>,
    pool: Pool<GpuMemory>,
    ring: OnceLock<Ring<Pinned>>,
    answers: OnceLock<Ring<Pinned>>,
    blas: OnceLock<Arc<Blas>>,
    dnn: OnceLock<Arc<Dnn>>,
    /// Whether convolutions may be cuDNN's.
    dnn_wanted: bool,
    cache: Cache,
}

impl Cuda {
    /// Opens a GPU by its number.
    pub(super) fn open(ordinal: usize) -> Result<Self> {
        let gpu = Arc::new(Gpu::open(ordinal)?);
        compiler::present()?;
        let pool = Pool::new(GpuMemory(gpu.clone()), None);
        let (ring, answers) = (OnceLock::new(), OnceLock::new());
        let (blas, dnn, dnn_wanted) = (OnceLock::new(), OnceLock::new(), dnn::wanted()?);
        Ok(Cuda(Arc::new(Shared { gpu, pool, ring, answers, blas, dnn, dnn_wanted, cache: Cache::of_user() })))
    }
}

impl Shared {
    /// The way there and back.
    fn ring(&self) -> Result<&Ring<Pinned>> {
        self.made(&self.ring, SLOTS, SLOT_BYTES)
    }

    /// A ring, made when it is first needed.
    fn made<'a>(&self, ring: &'a OnceLock<Ring<Pinned>>, slots: usize, bytes: usize) -> Result<&'a Ring<Pinned>> {
        if let Some(ring) = ring.get() {
            return Ok(ring);
        }
        let new = self.pool.staging(slots, bytes, |bytes| Pinned::new(&self.gpu, bytes))?;
        Ok(ring.get_or_init(|| new))
    }

    /// The library for products, opened when it is first needed.
    fn blas(&self) -> Result<&Arc<Blas>> {
        if let Some(blas) = self.blas.get() {
            return Ok(blas);
        }
        let blas = Arc::new(Blas::open(&self.gpu)?);
        Ok(self.blas.get_or_init(|| blas))
    }

    /// The library for convolutions, opened when it is first needed.
    fn dnn(&self) -> Result<&Arc<Dnn>> {
        if let Some(dnn) = self.dnn.get() {
            return Ok(dnn);
        }
        let dnn = Arc::new(Dnn::open(&self.gpu)?);
        Ok(self.dnn.get_or_init(|| dnn))
    }

    /// Writes the first bytes of a block, in order with a queue, and says when they are there; `None` where there is
    /// none.
    ///
    /// # Safety
    /// The pool must not hand the block out again before the copy is done.
    unsafe fn upload_in(&self, queue: Queue, bytes: &[u8], block: &Block<GpuMemory>) -> Result<Option<Arc<Event>>> {
        assert!(bytes.len() <= block.bytes(), "onestep bug: {} bytes into {block:?}", bytes.len());
        let (to, mut last) = (*block.raw(), None);
        self.ring()?.upload(bytes, |slot, range| {
            // SAFETY: the range lies in the block, for which the caller answers; the ring keeps the slot as it is.
            let fence = unsafe { slot.upload(range.len(), to + range.start as u64, queue) }?;
            last = Some(fence.clone());
            Ok(fence)
        })?;
        Ok(last)
    }

    /// The first bytes of a block, behind all work.
    fn first(&self, block: &Block<GpuMemory>, count: usize) -> Result<Vec<u8>> {
        assert!(count <= block.bytes(), "onestep bug: {count} bytes of {block:?}");
        let (mut bytes, from) = (vec![0; count], *block.raw());
        // SAFETY: the range lies in the block, which the pool does not hand out again before what is in the queue of work.
        let copy =
            |slot: &mut Pinned, range: Range<usize>| unsafe { slot.download(from + range.start as u64, range.len()) };
        self.ring()?.download(&mut bytes, copy)?;
        Ok(bytes)
    }

    /// Writes a block beside the work, and says when the bytes are there; `None` where there is none. What was lent
    /// for this device is copied from where it lies.
    ///
    /// # Safety
    /// As [`Shared::upload_in`].
    unsafe fn send(&self, value: &Literal, block: &Block<GpuMemory>) -> Result<Option<Arc<Event>>> {
        match value.host().lent::<Loan>().filter(|loan| loan.is_of(&self.gpu)) {
            // SAFETY: promised by the caller; the literal has as many bytes as the block.
            Some(loan) => unsafe { loan.upload(*block.raw()) }.map(Some),
            // SAFETY: promised by the caller.
            None => unsafe { self.upload_in(Queue::Copies, value.bytes(), block) },
        }
    }
}

impl Pooled for Shared {
    type Raw = GpuMemory;

    fn pool(&self) -> &Pool<GpuMemory> {
        &self.pool
    }

    fn upload(&self, bytes: &[u8], block: &Block<GpuMemory>) -> Result<()> {
        // SAFETY: the pool does not hand the block out again before what is in the queue of work.
        unsafe { self.upload_in(Queue::Work, bytes, block) }.map(|_| ())
    }

    fn download(&self, block: &Block<GpuMemory>) -> Result<Vec<u8>> {
        self.first(block, block.bytes())
    }

    unsafe fn copy(
        &self,
        onto: &Block<GpuMemory>,
        at: usize,
        from: &Block<GpuMemory>,
        range: Range<usize>,
    ) -> Result<bool> {
        let (first, to) = (*from.raw() + range.start as u64, *onto.raw() + at as u64);
        // SAFETY: the caller answers for the ranges, and the pool does not hand the blocks out again before the copy in
        // the queue.
        unsafe { self.gpu.copy(first, to, range.len()) }?;
        Ok(true)
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
        let dnn = match (self.0.dnn_wanted, dnn::present()) {
            (true, true) => "",
            (true, false) => "; large convolutions are slow without cuDNN 9 (libcudnn.so.9, NVIDIA's package cudnn)",
            (false, _) => "; cuDNN is switched off (ONESTEP_CUDNN)",
        };
        format!(
            "{name}, compute capability {major}.{minor}, {multiprocessors} multiprocessors, {gib:.0} GiB{blas}{dnn}"
        )
    }

    fn target(&self) -> Target {
        Target {
            name: "cuda".into(),
            alignment: 256,
            reduce_lanes: 256 * self.0.gpu.multiprocessors,
            epilogues: true,
            masks: self.0.dnn_wanted && dnn::takes_masks(&self.0.gpu),
            subgroup: 32,
            workgroup: 1024,
            shared_bytes: self.0.gpu.shared_bytes,
            vector_bytes: 16,
            island_work: ISLAND_WORK,
            nest_work: u64::MAX,
            side_by_side: true,
            library_dots: if blas::present() { LIBRARY_DOTS } else { 0 },
            library_convs: if self.0.dnn_wanted && dnn::present() { LIBRARY_CONVS } else { 0 },
            library_tf32: LIBRARY_TF32,
            library_filters: LIBRARY_FILTERS,
            tile_work: TILE_WORK,
            matrix_units: self.0.gpu.architecture >= 80,
            tf32: self.0.gpu.architecture >= 80,
            ..Target::default()
        }
    }

    fn peaks(&self) -> Option<Peaks> {
        self.0.gpu.peaks
    }

    fn allocate(&self, dtype: DType, elements: usize) -> Result<Memory> {
        PooledMemory::zeroed(&self.0, state_bytes(dtype, elements)?)
    }

    fn compile(&self, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Box<dyn Executable>> {
        Ok(Box::new(program::Program::new(&self.0, graph, plan, states)?))
    }

    fn program_bytes(&self, _: &Graph, plan: &Plan) -> Result<usize> {
        let scratch = |kernels| program::scratch_bytes(&self.0, plan, &kernels);
        let scratch = codegen::launches(plan).into_iter().map(scratch).collect::<Result<Vec<_>>>()?;
        // Each input twice: one is read while the other is written.
        let inputs = plan.buffers.iter().filter(|buffer| matches!(buffer.place, Place::Input(_))).map(Buffer::bytes);
        let blocks = planned_blocks(plan).chain(inputs).chain(scratch.into_iter().filter(|&bytes| bytes > 0));
        Ok(blocks.map(|bytes| rounded(bytes).unwrap_or(usize::MAX)).fold(0, usize::saturating_add))
    }

    fn download_later(&self, memory: &[&Memory]) -> Result<Box<dyn Pending>> {
        let states = memory.iter().map(|m| m.downcast::<PooledMemory<Shared>>()).collect::<Result<Vec<_>>>()?;
        if !states.iter().all(|state| state.is_of(&self.0)) {
            return download_now(memory);
        }
        let parts: Vec<(u64, usize)> = states.iter().map(|s| (*s.block.raw(), s.block.bytes())).collect();
        let bytes = parts.iter().map(|(_, bytes)| bytes).sum();
        let answers = self.0.made(&self.0.answers, ANSWERS, ANSWER_BYTES)?;
        // SAFETY: the parts are whole blocks, which the pool does not hand out again before the copies in the queue,
        // and fit into the slot, as `request` sees to.
        match answers.request(bytes, |slot| unsafe { slot.gather(&parts) })? {
            Some(answer) => Ok(Box::new(answer)),
            None => download_now(memory),
        }
    }

    fn lender(&self) -> Option<Arc<dyn Lender>> {
        Some(Arc::new(Pins::new(&self.0.gpu)))
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
