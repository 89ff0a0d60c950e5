//! States in the pool of a device: what backends share whose devices have memory of their own.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use super::memory::{Block, Pool, Purpose, RawMemory};
use super::{Memory, StateMemory, check_state, state};
use crate::error::{Error, Result};
use crate::ir::{DType, Literal, Type};
use crate::plan::Buffer;

/// A device's handle with its pool, and the way to its memory and back, in order with all other work.
pub(super) trait Pooled: Send + Sync + Sized + 'static {
    /// What the pool is made of.
    type Raw: RawMemory;

    /// The pool.
    fn pool(&self) -> &Pool<Self::Raw>;

    /// Writes the first bytes of a block.
    fn upload(&self, bytes: &[u8], block: &Block<Self::Raw>) -> Result<()>;

    /// Reads a whole block.
    fn download(&self, block: &Block<Self::Raw>) -> Result<Vec<u8>>;

    /// Overwrites bytes of a block from a position on with bytes of another; does nothing and says `false` if the device
    /// copies no such bytes.
    ///
    /// # Safety
    /// Both ranges must lie in their blocks, which must be distinct.
    unsafe fn copy(
        &self,
        onto: &Block<Self::Raw>,
        at: usize,
        from: &Block<Self::Raw>,
        range: Range<usize>,
    ) -> Result<bool>;

    /// An output of a program, behind all that was submitted.
    fn output(&self, outputs: &[(Type, Block<Self::Raw>)], index: usize) -> Result<Literal> {
        let output = outputs.get(index);
        let (ty, block) = output.ok_or_else(|| Error::graph(format!("there is no output {index}")))?;
        Literal::from_bytes(ty.dtype, &ty.shape, self.download(block)?)
    }
}

/// A state's block with the handle that it was allocated through.
pub(super) struct PooledMemory<P: Pooled> {
    pub(super) block: Block<P::Raw>,
    shared: Arc<P>,
}

/// Bytes of a state.
pub(super) fn state_bytes(dtype: DType, elements: usize) -> Result<usize> {
    let bytes = elements.checked_mul(dtype.size());
    bytes.ok_or_else(|| Error::memory(format!("no memory holds {elements} elements of {dtype}")))
}

impl<P: Pooled> PooledMemory<P> {
    /// So many bytes, zeroed.
    pub(super) fn zeroed(shared: &Arc<P>, bytes: usize) -> Result<Memory> {
        let block = shared.pool().zeroed(bytes, Purpose::State)?;
        Ok(Memory::new(PooledMemory { block, shared: shared.clone() }))
    }

    /// The memory that was given for a plan's state, of the handle that compiles the plan.
    pub(super) fn of_state<'a>(
        states: &'a [Memory],
        index: usize,
        buffer: &Buffer,
        shared: &Arc<P>,
    ) -> Result<&'a Self> {
        let memory = state(states, index, buffer)?.downcast::<Self>()?;
        match memory.is_of(shared) {
            true => Ok(memory),
            false => Err(Error::device(
                "a state was allocated through another handle of the device than the program; use one handle for both",
            )),
        }
    }

    /// Whether it was allocated through a handle.
    pub(super) fn is_of(&self, shared: &Arc<P>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }
}

impl<P: Pooled> StateMemory for PooledMemory<P> {
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

    fn copy_from(&self, at: usize, source: &dyn StateMemory, from: Range<usize>) -> Result<bool> {
        let source = source.as_any().downcast_ref::<Self>();
        let Some(source) = source.filter(|source| source.is_of(&self.shared)) else {
            return Ok(false);
        };
        assert!(from.end <= source.bytes() && at + from.len() <= self.bytes(), "onestep bug: bytes {from:?}");
        // SAFETY: both ranges lie in their blocks, as was just looked at; two memories have two blocks.
        unsafe { self.shared.copy(&self.block, at, &source.block, from) }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
