//! Pinned memory lent for batches: worker threads fill it, the device copies from it, and no byte is moved twice on
//! the host.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::driver::{Event, Gpu, Pinned, Queue};
use crate::backend::memory::{Lease, Ring};
use crate::error::Result;
use crate::ir::{Lender, Lent};

/// Tensors of one size that are lent at once: a few that are being filled or wait for their step, and a few that are on
/// their way.
const SLOTS: usize = 16;
/// The most bytes that are pinned for one size.
const MOST_BYTES: usize = 512 << 20;
/// With fewer slots filling and copying would wait for each other.
const LEAST_SLOTS: usize = 3;

/// A ring of pinned memory for each size that was asked for.
pub(super) struct Pins {
    gpu: Arc<Gpu>,
    /// `None` for a size that could not be pinned.
    rings: Mutex<BTreeMap<usize, Option<Ring<Pinned>>>>,
}

impl Pins {
    pub(super) fn new(gpu: &Arc<Gpu>) -> Self {
        Pins { gpu: gpu.clone(), rings: Mutex::default() }
    }

    fn pin(&self, bytes: usize) -> Option<Ring<Pinned>> {
        let slots = (MOST_BYTES / bytes).min(SLOTS);
        if slots < LEAST_SLOTS {
            return None;
        }
        // The host's memory, which no limit on the device's counts. What cannot be pinned is streamed from ordinary
        // memory.
        Ring::new(slots, bytes, || Ok((Pinned::new(&self.gpu, bytes)?, Box::new(())))).ok()
    }
}

impl Lender for Pins {
    fn lend(&self, bytes: usize) -> Option<Box<dyn Lent>> {
        if bytes == 0 {
            return None;
        }
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry(bytes).or_insert_with(|| self.pin(bytes)).clone()?;
        drop(rings);
        // What a failed device would have to say comes with the next step.
        let lease = ring.acquire_unheld().ok()??;
        Some(Box::new(Loan { lease, sent: Mutex::new(None) }))
    }
}

/// Pinned memory of a ring, which has it back when this is dropped.
pub(super) struct Loan {
    lease: Lease<Pinned>,
    /// The point behind the last copy.
    sent: Mutex<Option<Arc<Event>>>,
}

impl Loan {
    /// Whether it is for copies to this GPU handle.
    pub(super) fn is_of(&self, gpu: &Arc<Gpu>) -> bool {
        self.lease.slot().is_of(gpu)
    }

    /// Queues a copy of all to the device, beside its work, and says when it is done.
    ///
    /// # Safety
    /// So many bytes must lie at `to` until it is.
    pub(super) unsafe fn upload(&self, to: u64) -> Result<Arc<Event>> {
        let slot = self.lease.slot();
        // SAFETY: promised by the caller. The bytes are written through `&mut self` alone, before the first copy, and
        // by the next to borrow them after the last.
        let event = unsafe { slot.upload(slot.bytes().len(), to, Queue::Copies) }?;
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(event.clone());
        Ok(event)
    }
}

impl Lent for Loan {
    fn bytes(&self) -> &[u8] {
        self.lease.slot().bytes()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.lease.memory().bytes_mut()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(event) = self.sent.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            self.lease.attach(event);
        }
    }
}
