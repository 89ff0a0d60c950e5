//! State memory in the host's RAM, for backends that run there.

use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::memory::{Account, Charge, Purpose};
use super::{StateMemory, check_state};
use crate::error::{Error, Result};

/// A cache line: what buffers are made of, so that they are aligned for every vector width.
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Zeroed, aligned bytes at a fixed address.
pub(super) struct Bytes {
    lines: Box<[UnsafeCell<Line>]>,
    len: usize,
}

// SAFETY: the cells are reached through `pointer` alone, whose callers hold a `Lease` or own the buffer
// exclusively, so no two threads touch it at once without dividing it up among themselves.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// Allocates, without touching the memory where the system gives it zeroed; an impossible size is an error.
    pub(super) fn zeroed(len: usize) -> Result<Self> {
        let lines = len.div_ceil(64);
        let refused = || Error::memory(format!("the host cannot give {len} bytes; use a smaller batch or model"));
        if lines == 0 {
            return Ok(Bytes { lines: Box::default(), len });
        }
        let layout = Layout::array::<UnsafeCell<Line>>(lines).map_err(|e| refused().with_source(e))?;
        // SAFETY: the layout is not empty.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<UnsafeCell<Line>>();
        if memory.is_null() {
            return Err(refused());
        }
        // SAFETY: the global allocator gave memory of the layout of so many lines, for which zeros are a value.
        let lines = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(memory, lines)) };
        Ok(Bytes { lines, len })
    }

    /// The first byte. Who writes through it must be the only one to touch those bytes meanwhile.
    pub(super) fn pointer(&self) -> *mut u8 {
        self.lines.as_ptr().cast::<u8>().cast_mut()
    }

    /// The size in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// A state of the CPU or the reference backend.
pub(super) struct HostMemory {
    pub(super) bytes: Bytes,
    busy: AtomicBool,
    /// Counts it as long as it is there.
    _charge: Option<Charge>,
}

/// Exclusive use of a [`HostMemory`] until it is dropped.
pub(super) struct Lease<'a>(&'a HostMemory);

impl HostMemory {
    pub(super) fn zeroed(len: usize) -> Result<Self> {
        Ok(HostMemory { bytes: Bytes::zeroed(len)?, busy: AtomicBool::new(false), _charge: None })
    }

    /// As [`HostMemory::zeroed`], counted by an account.
    pub(super) fn charged(len: usize, account: &Account) -> Result<Self> {
        let charge = account.charge(len, Purpose::State)?;
        Ok(HostMemory { _charge: Some(charge), ..HostMemory::zeroed(len)? })
    }

    /// Takes the memory for exclusive use; an error if another step is using it.
    pub(super) fn lease(&self) -> Result<Lease<'_>> {
        self.acquire()?;
        Ok(Lease(self))
    }

    /// As [`HostMemory::lease`], given back by [`HostMemory::release`]: for steps, which must not allocate a
    /// list of leases.
    pub(super) fn acquire(&self) -> Result<()> {
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(Error::device(
                "a state is in use by another step; run steps that share states one after another",
            ));
        }
        Ok(())
    }

    pub(super) fn release(&self) {
        self.busy.store(false, Ordering::Release);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl StateMemory for HostMemory {
    fn upload(&self, bytes: &[u8]) -> Result<()> {
        check_state(self.bytes.len(), bytes)?;
        let _lease = self.lease()?;
        // SAFETY: the lease makes this the only access, and both ranges are `bytes.len()` long and distinct.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.bytes.pointer(), bytes.len()) };
        Ok(())
    }

    fn download(&self) -> Result<Vec<u8>> {
        let _lease = self.lease()?;
        // SAFETY: the lease makes this the only access, and the range is the whole allocation's length.
        Ok(unsafe { std::slice::from_raw_parts(self.bytes.pointer(), self.bytes.len()) }.to_vec())
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn copy_from(&self, at: usize, source: &dyn StateMemory, from: Range<usize>) -> Result<bool> {
        let Some(source) = source.as_any().downcast_ref::<HostMemory>() else { return Ok(false) };
        assert!(from.end <= source.bytes.len() && at + from.len() <= self.bytes.len(), "onestep bug: bytes {from:?}");
        let _leases = (self.lease()?, source.lease()?);
        // SAFETY: both ranges lie inside, the memories are two since both could be leased, and the leases make this
        // the only access to either.
        unsafe {
            let to = self.bytes.pointer().add(at);
            std::ptr::copy_nonoverlapping(source.bytes.pointer().add(from.start), to, from.len());
        }
        Ok(true)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_what_it_downloads_and_refuses_other_sizes_and_double_use() {
        let memory = HostMemory::zeroed(70).unwrap();
        assert_eq!(memory.download().unwrap(), vec![0; 70]);
        let bytes: Vec<u8> = (0..70).collect();
        memory.upload(&bytes).unwrap();
        assert_eq!(memory.download().unwrap(), bytes);
        assert!(memory.upload(&bytes[1..]).is_err());
        let lease = memory.lease().unwrap();
        assert!(memory.download().is_err());
        drop(lease);
        assert!(memory.download().is_ok());
        assert!(Bytes::zeroed(usize::MAX / 2).is_err());
    }

    #[test]
    fn copies_ranges_and_refuses_itself() {
        let [a, b] = [[1; 70], [0; 70]].map(|bytes| {
            let memory = HostMemory::zeroed(70).unwrap();
            memory.upload(&bytes).unwrap();
            memory
        });
        assert!(b.copy_from(3, &a, 10..14).unwrap());
        let copied = b.download().unwrap();
        assert_eq!((copied.iter().sum::<u8>(), &copied[3..7]), (4, [1; 4].as_slice()));
        assert!(a.copy_from(0, &a, 0..1).is_err());
    }
}
