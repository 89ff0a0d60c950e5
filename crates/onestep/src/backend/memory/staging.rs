//! A ring of equally sized slots of host-visible memory, through which bytes go to a device and come back
//! while it works. A slot that the device still uses is waited for, not written over.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::backend::Pending;
use crate::error::Result;

/// Says when the device has done what was submitted up to a point.
pub trait Fence: Send {
    /// Whether it is done, without waiting. Fails if the device did.
    fn is_done(&self) -> Result<bool>;

    /// Waits until it is done. Fails if the device did.
    fn wait(&self) -> Result<()>;
}

/// Host-visible memory that the device copies from and to: pinned with CUDA, mapped with wgpu. Freed when it
/// is dropped.
pub trait Slot: Send + 'static {
    /// What tells that the device is done with it.
    type Fence: Fence + 'static;

    /// Writes bytes from a position on; they fit.
    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<()>;

    /// Reads bytes from a position on; there are so many.
    fn read(&self, at: usize, bytes: &mut [u8]) -> Result<()>;
}

/// A fixed number of slots, given out in the order in which they came back. Cloning shares the ring. Slots are
/// freed with it, after the device is done with them.
pub struct Ring<S: Slot>(Arc<Shared<S>>);

struct Shared<S: Slot> {
    free: Mutex<VecDeque<Entry<S>>>,
    /// Told when a slot comes back.
    back: Condvar,
    slot_bytes: usize,
}

/// A slot, the fence to wait for before it is touched, and what is dropped after it.
struct Entry<S: Slot> {
    memory: S,
    fence: Option<S::Fence>,
    _keep: Keep,
}

/// Something to drop with a slot.
pub(in crate::backend) type Keep = Box<dyn Send + Sync>;

impl<S: Slot> Entry<S> {
    /// Waits until the device is done with the slot.
    fn wait(&mut self) -> Result<()> {
        if let Some(fence) = &self.fence {
            fence.wait()?;
        }
        self.fence = None;
        Ok(())
    }
}

impl<S: Slot> Drop for Entry<S> {
    fn drop(&mut self) {
        // A device that failed no longer touches the slot, so an error changes nothing here.
        let _ = self.wait();
    }
}

impl<S: Slot> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry<S>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Slot> Ring<S> {
    /// A ring of `slots` slots of `slot_bytes` bytes, neither of them zero; `make` makes one, and what to drop
    /// with it. Fails if `make` does.
    pub(in crate::backend) fn new(
        slots: usize,
        slot_bytes: usize,
        mut make: impl FnMut() -> Result<(S, Keep)>,
    ) -> Result<Self> {
        assert!(slots > 0 && slot_bytes > 0, "onestep bug: a staging ring of {slots} slots of {slot_bytes} bytes");
        let entry = |(memory, keep)| Entry { memory, fence: None, _keep: keep };
        let free = (0..slots).map(|_| make().map(entry)).collect::<Result<_>>()?;
        Ok(Ring(Arc::new(Shared { free: Mutex::new(free), back: Condvar::new(), slot_bytes })))
    }

    /// The size of a slot in bytes.
    pub fn slot_bytes(&self) -> usize {
        self.0.slot_bytes
    }

    /// The next slot, once the device is done with it. Waits while others hold all slots: who asks for one
    /// while holding all waits for ever. Fails if the device did.
    pub fn acquire(&self) -> Result<Lease<S>> {
        let mut free = self.0.lock();
        let entry = loop {
            match free.pop_front() {
                Some(entry) => break entry,
                None => free = self.0.back.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(free);
        self.lend(entry)
    }

    /// The next slot, once the device is done with it, or `None` while others hold all. Fails if the device did.
    pub fn acquire_unheld(&self) -> Result<Option<Lease<S>>> {
        let entry = self.0.lock().pop_front();
        entry.map(|entry| self.lend(entry)).transpose()
    }

    fn lend(&self, entry: Entry<S>) -> Result<Lease<S>> {
        let mut lease = Lease { ring: Arc::clone(&self.0), entry: Some(entry) };
        lease.wait()?;
        Ok(lease)
    }

    /// The next slot, or `None` if it would have to be waited for. Fails if the device did.
    pub fn try_acquire(&self) -> Result<Option<Lease<S>>> {
        let mut free = self.0.lock();
        let ready = match free.front() {
            Some(Entry { fence: Some(fence), .. }) => fence.is_done()?,
            Some(_) => true,
            None => false,
        };
        let entry = free.pop_front_if(|_| ready);
        drop(free);
        Ok(entry.map(|mut entry| {
            entry.fence = None;
            Lease { ring: Arc::clone(&self.0), entry: Some(entry) }
        }))
    }

    /// Sends bytes to the device, cut into pieces of a slot's size. For each piece, `copy` submits the copy from
    /// the beginning of the slot to a range of the destination, and gives the fence after it; if it fails, it
    /// leaves nothing under way. Returns when the last copy is submitted.
    pub fn upload(&self, bytes: &[u8], mut copy: impl FnMut(&mut S, Range<usize>) -> Result<S::Fence>) -> Result<()> {
        for piece in pieces(bytes.len(), self.slot_bytes()) {
            let mut lease = self.acquire()?;
            lease.write(0, &bytes[piece.clone()])?;
            let fence = copy(lease.memory(), piece)?;
            lease.submit(fence);
        }
        Ok(())
    }

    /// Reads bytes back from the device, cut into pieces of a slot's size. For each piece, `copy` submits the
    /// copy from a range of the source to the beginning of the slot, and gives the fence after it; if it fails,
    /// it leaves nothing under way. Copies run while earlier pieces are read. Returns when all bytes are there.
    pub fn download(
        &self,
        bytes: &mut [u8],
        mut copy: impl FnMut(&mut S, Range<usize>) -> Result<S::Fence>,
    ) -> Result<()> {
        let mut under_way: VecDeque<(Lease<S>, Range<usize>)> = VecDeque::new();
        for piece in pieces(bytes.len(), self.slot_bytes()) {
            // Waits for others only while holding nothing, so that two downloads cannot wait for each other.
            let mut lease = loop {
                if let Some(lease) = self.try_acquire()? {
                    break lease;
                }
                match under_way.pop_front() {
                    Some((mut lease, piece)) => lease.read(0, &mut bytes[piece])?,
                    None => break self.acquire()?,
                }
            };
            let fence = copy(lease.memory(), piece.clone())?;
            lease.attach(fence);
            under_way.push_back((lease, piece));
        }
        under_way.into_iter().try_for_each(|(mut lease, piece)| lease.read(0, &mut bytes[piece]))
    }
}

impl<S: Slot> Ring<S> {
    /// Asks the device for bytes that fit into a slot, and does not wait for them: `copy` submits the copies to the
    /// beginning of the slot, and gives the fence after them; if it fails, it leaves nothing under way. `None`
    /// without a copy if no slot is free now, or none is large enough.
    pub fn request(&self, bytes: usize, copy: impl FnOnce(&mut S) -> Result<S::Fence>) -> Result<Option<Answer<S>>> {
        if bytes > self.slot_bytes() {
            return Ok(None);
        }
        let Some(mut lease) = self.try_acquire()? else { return Ok(None) };
        let fence = copy(lease.memory())?;
        lease.attach(fence);
        Ok(Some(Answer { lease, bytes }))
    }
}

/// Bytes on their way into a slot of a ring, which has it back when this is dropped.
pub struct Answer<S: Slot> {
    lease: Lease<S>,
    bytes: usize,
}

impl<S: Slot> Pending for Answer<S> {
    fn is_done(&self) -> Result<bool> {
        self.lease.is_done()
    }

    fn wait(mut self: Box<Self>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.bytes];
        self.lease.read(0, &mut bytes)?;
        Ok(bytes)
    }
}

impl<S: Slot> Clone for Ring<S> {
    fn clone(&self) -> Self {
        Ring(Arc::clone(&self.0))
    }
}

impl<S: Slot> fmt::Debug for Ring<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring(slots of {} bytes)", self.slot_bytes())
    }
}

/// A slot of a ring for one's own use. Dropping it gives it back, with the fence that is attached to it.
pub struct Lease<S: Slot> {
    ring: Arc<Shared<S>>,
    /// `None` only while it is dropped.
    entry: Option<Entry<S>>,
}

impl<S: Slot> Lease<S> {
    fn entry(&mut self) -> &mut Entry<S> {
        self.entry.as_mut().expect("onestep bug: a lease without its slot")
    }

    fn check(&self, at: usize, bytes: usize) {
        let fits = at.checked_add(bytes).is_some_and(|end| end <= self.ring.slot_bytes);
        assert!(fits, "onestep bug: bytes {at}..+{bytes} of a slot of {}", self.ring.slot_bytes);
    }

    /// Writes bytes that fit into the slot, from a position on, once the device is done with it.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        self.check(at, bytes.len());
        self.wait()?;
        self.entry().memory.write(at, bytes)
    }

    /// Reads bytes of the slot, from a position on, once the device is done with it.
    pub fn read(&mut self, at: usize, bytes: &mut [u8]) -> Result<()> {
        self.check(at, bytes.len());
        self.wait()?;
        self.entry().memory.read(at, bytes)
    }

    /// The slot's memory, to look at.
    pub fn slot(&self) -> &S {
        &self.entry.as_ref().expect("onestep bug: a lease without its slot").memory
    }

    /// The slot's memory, for the device to copy from or to.
    pub fn memory(&mut self) -> &mut S {
        &mut self.entry().memory
    }

    /// Says that the device uses the slot until a fence is done. A later fence stands for those before it.
    pub fn attach(&mut self, fence: S::Fence) {
        self.entry().fence = Some(fence);
    }

    /// Gives the slot back, to be used again once a fence is done.
    pub fn submit(mut self, fence: S::Fence) {
        self.attach(fence);
    }

    /// Waits until the device is done with the slot.
    pub fn wait(&mut self) -> Result<()> {
        self.entry().wait()
    }

    /// Whether the device is done with the slot, without waiting. Fails if the device did.
    pub fn is_done(&self) -> Result<bool> {
        match self.entry.as_ref().and_then(|entry| entry.fence.as_ref()) {
            Some(fence) => fence.is_done(),
            None => Ok(true),
        }
    }
}

impl<S: Slot> Drop for Lease<S> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let mut free = self.ring.lock();
            match entry.fence {
                Some(_) => free.push_back(entry),
                None => free.push_front(entry),
            }
            drop(free);
            self.ring.back.notify_one();
        }
    }
}

/// Cuts `bytes` bytes into consecutive pieces of `size` bytes; the last one may be smaller.
pub fn pieces(bytes: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..bytes).step_by(size).map(move |start| start..bytes.min(start.saturating_add(size)))
}
