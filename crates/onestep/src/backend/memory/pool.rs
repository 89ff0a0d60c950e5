//! A pool over a device's memory: blocks that are dropped are kept by size and given out again. It neither
//! cuts blocks up nor joins them: a program keeps its intermediates in one arena, which passes lay out, so
//! blocks are few and live long.
//!
//! Sizes are rounded up so that freed blocks fit what comes next: four steps between powers of two, from
//! 512 bytes on. A new block thus wastes less than a quarter of what was asked for, and less than 2 MiB: at
//! 8 MiB the steps reach 2 MiB, the pages of GPUs, and stay there. A block given out again wastes at most a
//! quarter.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::size::Size;
use super::staging::{Keep, Ring, Slot};
use super::statistics::{Purpose, Statistics};
use crate::error::{Error, ErrorKind, Result};

/// The smallest block.
const SMALLEST: usize = 512;

/// The largest step between sizes.
const LARGEST_STEP: usize = 2 << 20;

/// A device's memory as its driver hands it out, below the pool.
///
/// The pool gives memory out again while work submitted earlier may still use it. So all work on a pool's
/// blocks goes to one queue, in order; a backend with several queues orders them, or keeps a [`Block`] until
/// what uses it elsewhere is done. Calls may come with the pool locked and must not come back to it.
pub trait RawMemory: Send + Sync + 'static {
    /// A block of device memory: a pointer, a buffer. Not freed by being dropped, unless [`RawMemory::free`]
    /// does no more than that.
    type Raw: Send + Sync + 'static;

    /// What errors call the device.
    fn name(&self) -> String;

    /// A new block of so many bytes, never zero and a multiple of 128, with whatever content. An error of kind
    /// [`ErrorKind::Memory`] says that there is no such memory left; any other is handed on.
    fn allocate(&self, bytes: usize) -> Result<Self::Raw>;

    /// Gives a block back, after submitted work that uses it.
    fn free(&self, raw: Self::Raw);

    /// Zeroes bytes of a block, after the work submitted so far and before all that comes.
    fn zero(&self, raw: &Self::Raw, bytes: Range<usize>) -> Result<()>;

    /// The device's memory now, if it can tell.
    fn capacity(&self) -> Option<Capacity>;
}

/// A device's memory, whoever uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// All of it, in bytes.
    pub total: usize,
    /// What is free, in bytes.
    pub free: usize,
}

/// The memory manager of one device: hands out [`Block`]s and keeps dropped ones for reuse. Dropping it frees
/// what it keeps; blocks that outlive it free themselves.
pub struct Pool<D: RawMemory>(Arc<Shared<D>>);

struct Shared<D: RawMemory> {
    device: D,
    inner: Mutex<Inner<D::Raw>>,
}

struct Inner<R> {
    /// Freed blocks by size, the last freed last.
    cached: BTreeMap<usize, Vec<R>>,
    statistics: Statistics,
    /// Whether blocks still come back to stay: not after the pool is gone.
    open: bool,
}

impl<D: RawMemory> Pool<D> {
    /// A pool over a device that holds at most `limit` bytes, in use and cached.
    pub fn new(device: D, limit: Option<usize>) -> Self {
        let statistics = Statistics::with_limit(limit);
        let inner = Mutex::new(Inner { cached: BTreeMap::new(), statistics, open: true });
        Pool(Arc::new(Shared { device, inner }))
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.0.device
    }

    /// A block that is zero throughout, its padding included. Fails if neither pool nor device has the memory,
    /// or if it would exceed the limit.
    pub fn zeroed(&self, bytes: usize, purpose: Purpose) -> Result<Block<D>> {
        let block = self.uninitialised(bytes, purpose)?;
        self.0.device.zero(block.raw(), 0..block.occupied())?;
        Ok(block)
    }

    /// A block that holds whatever was there: for arenas and the like, of which nothing is read before it is
    /// written. Fails as [`Pool::zeroed`] does.
    pub fn uninitialised(&self, bytes: usize, purpose: Purpose) -> Result<Block<D>> {
        let (raw, occupied) = self.0.take(bytes, purpose)?;
        Ok(Block(Arc::new(Held { shared: Arc::clone(&self.0), raw: Some(raw), bytes, occupied, purpose })))
    }

    /// A ring of `slots` slots of `bytes` bytes that `make` makes, counted as [`Purpose::Staging`] while the ring
    /// lives. Fails if `make` does, or if the slots would exceed the limit.
    pub fn staging<S: Slot>(
        &self,
        slots: usize,
        bytes: usize,
        mut make: impl FnMut(usize) -> Result<S>,
    ) -> Result<Ring<S>> {
        Ring::new(slots, bytes, || self.beside(bytes, Purpose::Staging, &mut make))
    }

    /// Memory of so many bytes that `make` makes, and what counts it as in use until it is dropped. It does not come
    /// back to the pool. Fails if `make` does, or if it would exceed the limit.
    pub(in crate::backend) fn beside<S>(
        &self,
        bytes: usize,
        purpose: Purpose,
        make: impl FnOnce(usize) -> Result<S>,
    ) -> Result<(S, Keep)> {
        let held = self.0.charge(bytes, purpose)?;
        Ok((make(bytes)?, Box::new(held)))
    }

    /// Gives all cached blocks back to the device; the number of bytes they were.
    pub fn trim(&self) -> usize {
        self.0.trim(&mut self.0.lock())
    }

    /// Holds at most so many bytes from now on, in use and cached; `None` for as much as the device has. What is in
    /// use stays.
    pub fn set_limit(&self, limit: Option<usize>) {
        let mut inner = self.0.lock();
        inner.statistics.limit = limit;
        if limit.is_some_and(|limit| inner.statistics.held() > limit) {
            self.0.trim(&mut inner);
        }
    }

    /// What is in use, cached and counted now.
    pub fn statistics(&self) -> Statistics {
        self.0.lock().statistics.clone()
    }

    /// Peaks begin again at what is in use now.
    pub fn reset_peak(&self) {
        self.0.lock().statistics.reset_peak();
    }

    /// Bytes that could still come into use: what is cached and what the device has free, within the limit.
    /// `None` if there is no limit and the device cannot tell.
    pub fn available(&self) -> Option<usize> {
        let inner = self.0.lock();
        let statistics = &inner.statistics;
        let device = self.0.device.capacity().map(|c| c.free.saturating_add(statistics.cached));
        let limit = statistics.limit.map(|limit| limit.saturating_sub(statistics.total.occupied));
        device.into_iter().chain(limit).min()
    }
}

impl<D: RawMemory> Drop for Pool<D> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.open = false;
        self.0.trim(&mut inner);
    }
}

impl<D: RawMemory> Shared<D> {
    /// The state; it is whole even if a thread panicked in a call of the device.
    fn lock(&self) -> MutexGuard<'_, Inner<D::Raw>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for a block, and its size: from the pool, or from the device.
    fn take(&self, bytes: usize, purpose: Purpose) -> Result<(D::Raw, usize)> {
        let mut inner = self.lock();
        let Some(size) = rounded(bytes) else {
            return Err(self.out_of_memory(&inner.statistics, bytes, usize::MAX, purpose));
        };
        let (raw, size, new) = match inner.reuse(bytes, size) {
            Some((raw, size)) => (raw, size, false),
            None => (self.allocate(&mut inner, bytes, size, purpose)?, size, true),
        };
        inner.statistics.take(purpose, bytes, size, new);
        Ok((raw, size))
    }

    /// A new block of the device; what is cached goes back to it if it is in the way.
    fn allocate(&self, inner: &mut Inner<D::Raw>, bytes: usize, size: usize, purpose: Purpose) -> Result<D::Raw> {
        self.make_room(inner, bytes, size, purpose)?;
        let refused = |e: &Error| e.kind() == ErrorKind::Memory;
        match self.device.allocate(size) {
            Err(e) if refused(&e) && self.trim(inner) > 0 => self.device.allocate(size),
            answer => answer,
        }
        .map_err(|e| match refused(&e) {
            true => self.out_of_memory(&inner.statistics, bytes, size, purpose).with_source(e),
            false => e,
        })
    }

    /// Sees that `size` more bytes stay within the limit, if need be without what is cached.
    fn make_room(&self, inner: &mut Inner<D::Raw>, bytes: usize, size: usize, purpose: Purpose) -> Result<()> {
        let Some(limit) = inner.statistics.limit else {
            return Ok(());
        };
        if inner.statistics.total.occupied.saturating_add(size) > limit {
            return Err(self.out_of_memory(&inner.statistics, bytes, size, purpose));
        }
        if inner.statistics.held().saturating_add(size) > limit {
            self.trim(inner);
        }
        Ok(())
    }

    /// Counts memory that is not the pool's own as long as the answer lives.
    fn charge(self: &Arc<Self>, bytes: usize, purpose: Purpose) -> Result<Held<D>> {
        let mut inner = self.lock();
        self.make_room(&mut inner, bytes, bytes, purpose)?;
        inner.statistics.take(purpose, bytes, bytes, true);
        Ok(Held { shared: Arc::clone(self), raw: None, bytes, occupied: bytes, purpose })
    }

    /// Gives what is cached back to the device; the number of bytes.
    fn trim(&self, inner: &mut Inner<D::Raw>) -> usize {
        std::mem::take(&mut inner.cached).into_values().flatten().for_each(|raw| self.device.free(raw));
        std::mem::take(&mut inner.statistics.cached)
    }

    /// The error that says what was asked for, what there is, and what to do; `size` is what `bytes` would occupy.
    fn out_of_memory(&self, statistics: &Statistics, bytes: usize, size: usize, purpose: Purpose) -> Error {
        let occupied = statistics.total.occupied;
        let (within, mend) = match statistics.limit.filter(|limit| occupied.saturating_add(size) > *limit) {
            Some(limit) => (format!(" within the limit of {}", Size(limit)), "raise the limit"),
            None => (String::new(), "end other programs that use the device"),
        };
        let capacity = self.device.capacity().map(|c| format!(", {} of {} free", Size(c.free), Size(c.total)));
        Error::memory(format!(
            "{} is out of memory{within}: {} asked for ({purpose}), {} in use, {} cached{}; \
             use a smaller batch or model, or {mend}",
            self.device.name(),
            Size(bytes),
            Size(occupied),
            Size(statistics.cached),
            capacity.unwrap_or_default(),
        ))
    }
}

impl<R> Inner<R> {
    /// The smallest cached block that holds `bytes` without wasting more than rounding to `size` would, or a
    /// quarter.
    fn reuse(&mut self, bytes: usize, size: usize) -> Option<(R, usize)> {
        let largest = size.max(bytes.saturating_add(bytes / 4));
        let (&size, blocks) = self.cached.range_mut(size..=largest).next()?;
        let raw = blocks.pop()?;
        if blocks.is_empty() {
            self.cached.remove(&size);
        }
        self.statistics.cached -= size;
        Some((raw, size))
    }
}

/// Memory that counts as in use until it is dropped.
struct Held<D: RawMemory> {
    shared: Arc<Shared<D>>,
    /// `None` for memory that is counted only.
    raw: Option<D::Raw>,
    bytes: usize,
    occupied: usize,
    purpose: Purpose,
}

impl<D: RawMemory> Drop for Held<D> {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.statistics.give_back(self.purpose, self.bytes, self.occupied);
        match self.raw.take() {
            Some(raw) if inner.open => {
                inner.cached.entry(self.occupied).or_default().push(raw);
                inner.statistics.cached += self.occupied;
            }
            Some(raw) => self.shared.device.free(raw),
            None => {}
        }
    }
}

/// A block of device memory. Cloning shares it; the last drop, from whichever thread, gives it back to its pool.
pub struct Block<D: RawMemory>(Arc<Held<D>>);

impl<D: RawMemory> Block<D> {
    /// The size that was asked for, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// The size it has, in bytes: at least what was asked for.
    pub fn occupied(&self) -> usize {
        self.0.occupied
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.0.purpose
    }

    /// The device's own handle.
    pub fn raw(&self) -> &D::Raw {
        self.0.raw.as_ref().expect("onestep bug: a block without memory")
    }
}

impl<D: RawMemory> Clone for Block<D> {
    fn clone(&self) -> Self {
        Block(Arc::clone(&self.0))
    }
}

impl<D: RawMemory> fmt::Debug for Block<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}, {} bytes)", self.purpose(), self.bytes())
    }
}

/// The size of the block for a request; `None` if no number can say it.
pub fn rounded(bytes: usize) -> Option<usize> {
    let bytes = bytes.max(SMALLEST);
    bytes.checked_next_multiple_of(((1 << bytes.ilog2()) / 4).min(LARGEST_STEP))
}
