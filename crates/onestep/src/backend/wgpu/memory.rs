//! Memory of an adapter below the shared manager: buffers for the pool, and mapped slots for the way there and back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use wgpu::{Buffer, BufferDescriptor, BufferUsages, COPY_BUFFER_ALIGNMENT, Features, MapMode};

use super::gpu::Gpu;
use crate::backend::memory::{Capacity, Fence, RawMemory, Size, Slot};
use crate::error::{Error, ErrorKind, Result};

/// What copies count in.
const WORD: usize = COPY_BUFFER_ALIGNMENT as usize;

/// Bytes in whole words.
pub(super) fn in_words(bytes: usize) -> u64 {
    bytes.checked_next_multiple_of(WORD).map_or(u64::MAX, |bytes| bytes as u64)
}

/// Buffers of an adapter.
pub(super) struct GpuMemory(pub(super) Arc<Gpu>);

impl RawMemory for GpuMemory {
    type Raw = Buffer;

    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn allocate(&self, bytes: usize) -> Result<Buffer> {
        let most = self.0.limits.max_buffer_size;
        if bytes as u64 > most {
            return Err(Error::memory(format!(
                "a buffer of {} is more than the {} that {} allows",
                Size(bytes),
                Size(most as usize),
                self.0.name
            )));
        }
        let mut usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        usage.set(BufferUsages::QUERY_RESOLVE, self.0.features.contains(Features::TIMESTAMP_QUERY));
        let made = create(&self.0, bytes, usage, false);
        if !made.as_ref().is_err_and(|e| e.kind() == ErrorKind::Memory) {
            return made;
        }
        // What was given back is free when the commands that use it are done.
        self.0.wait()?;
        create(&self.0, bytes, usage, false)
    }

    fn free(&self, raw: Buffer) {
        // Commands that use it keep it as long as they need it.
        drop(raw);
    }

    fn zero(&self, raw: &Buffer, bytes: Range<usize>) -> Result<()> {
        let (start, len) = (bytes.start as u64, bytes.len() as u64);
        self.0.record(|encoder| encoder.clear_buffer(raw, start, Some(len))).map(|_| ())
    }

    fn capacity(&self) -> Option<Capacity> {
        // No graphics interface tells across all drivers.
        None
    }
}

fn create(gpu: &Gpu, bytes: usize, usage: BufferUsages, mapped: bool) -> Result<Buffer> {
    let size = bytes as u64;
    gpu.attempt(|| gpu.device.create_buffer(&BufferDescriptor { label: None, size, usage, mapped_at_creation: mapped }))
}

/// Where a slot's memory is.
const THERE: u8 = 0;
const HERE: u8 = 1;
const FAILED: u8 = 2;

/// Notes that a slot is the host's again, or that it is not to be had.
fn arrive(place: &AtomicU8, mapped: bool) {
    place.store(if mapped { HERE } else { FAILED }, Ordering::Release);
}

/// Host-visible memory: mapped while the host uses it, unmapped while the device does.
pub(super) struct Mapped {
    gpu: Arc<Gpu>,
    buffer: Buffer,
    mode: MapMode,
    place: Arc<AtomicU8>,
}

impl Mapped {
    /// Memory that the host writes.
    pub(super) fn for_uploads(gpu: &Arc<Gpu>, bytes: usize) -> Result<Self> {
        let buffer = create(gpu, bytes, BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC, true)?;
        Ok(Mapped { gpu: gpu.clone(), buffer, mode: MapMode::Write, place: Arc::new(AtomicU8::new(HERE)) })
    }

    /// Memory that the host reads.
    pub(super) fn for_downloads(gpu: &Arc<Gpu>, bytes: usize) -> Result<Self> {
        let buffer = create(gpu, bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST, false)?;
        Ok(Mapped { gpu: gpu.clone(), buffer, mode: MapMode::Read, place: Arc::new(AtomicU8::new(THERE)) })
    }

    /// Memory that the host writes and kernels read, zeroed: the host's to begin with.
    pub(super) fn for_inputs(gpu: &Arc<Gpu>, bytes: usize) -> Result<Self> {
        let usage = BufferUsages::MAP_WRITE | BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let buffer = create(gpu, bytes, usage, true)?;
        Ok(Mapped { gpu: gpu.clone(), buffer, mode: MapMode::Write, place: Arc::new(AtomicU8::new(HERE)) })
    }

    /// The buffer itself.
    pub(super) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Gives it to the device, for commands that are submitted from now on.
    pub(super) fn give(&self) {
        if self.place.swap(THERE, Ordering::Acquire) == HERE {
            self.buffer.unmap();
        }
    }

    /// Asks for it back from the device, which is done with it when a submission is that was waited for; says when it is
    /// the host's.
    pub(super) fn ask_back(&self, number: u64) -> Arrival {
        let place = self.place.clone();
        self.buffer.map_async(self.mode, .., move |mapped| arrive(&place, mapped.is_ok()));
        Arrival { gpu: self.gpu.clone(), place: self.place.clone(), number }
    }

    /// Records a copy from the beginning of the slot to a part of a buffer that starts at a whole word.
    pub(super) fn upload(&mut self, onto: &Buffer, to: Range<usize>) -> Result<Arrival> {
        self.lend(|slot, encoder| {
            encoder.copy_buffer_to_buffer(slot, 0, onto, to.start as u64, in_words(to.len()));
        })
    }

    /// Records copies of parts of buffers, whose starts are whole words, to the slot, one behind the other.
    pub(super) fn download(&mut self, parts: &[(&Buffer, Range<usize>)]) -> Result<Arrival> {
        self.lend(|slot, encoder| {
            let mut at = 0;
            for (from, range) in parts {
                encoder.copy_buffer_to_buffer(from, range.start as u64, slot, at, in_words(range.len()));
                at += in_words(range.len());
            }
        })
    }

    /// Gives the slot to the device for some commands.
    fn lend(&mut self, commands: impl FnOnce(&Buffer, &mut wgpu::CommandEncoder)) -> Result<Arrival> {
        self.give();
        let place = self.place.clone();
        let number = self.gpu.record(|encoder| {
            commands(&self.buffer, encoder);
            encoder.map_buffer_on_submit(&self.buffer, self.mode, .., move |mapped| arrive(&place, mapped.is_ok()));
        })?;
        Ok(Arrival { gpu: self.gpu.clone(), place: self.place.clone(), number })
    }

    fn unavailable(&self, e: wgpu::MapRangeError) -> Error {
        Error::device(format!("{} does not show its memory: {e}", self.gpu.name)).with_source(e)
    }
}

impl Slot for Mapped {
    type Fence = Arrival;

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Whole words, for copies take them whole.
        let whole = bytes.len() / WORD * WORD;
        let range = at as u64..at as u64 + in_words(bytes.len());
        let mut view = self.buffer.get_mapped_range_mut(range).map_err(|e| self.unavailable(e))?;
        view.slice(..whole).copy_from_slice(&bytes[..whole]);
        if whole < bytes.len() {
            let mut last = [0; WORD];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            view.slice(whole..).copy_from_slice(&last);
        }
        Ok(())
    }

    fn read(&self, at: usize, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let range = at as u64..at as u64 + in_words(bytes.len());
        let view = self.buffer.get_mapped_range(range).map_err(|e| self.unavailable(e))?;
        bytes.copy_from_slice(&view[..bytes.len()]);
        Ok(())
    }
}

/// Tells when a slot is the host's again.
pub(super) struct Arrival {
    gpu: Arc<Gpu>,
    place: Arc<AtomicU8>,
    number: u64,
}

impl Arrival {
    fn arrived(&self) -> Result<bool> {
        match self.place.load(Ordering::Acquire) {
            HERE => Ok(true),
            THERE => Ok(false),
            _ => {
                self.gpu.check()?;
                Err(Error::device(format!("{} does not give memory back to the host", self.gpu.name)))
            }
        }
    }
}

impl Fence for Arrival {
    fn is_done(&self) -> Result<bool> {
        if !self.arrived()? {
            self.gpu.look_at(self.number)?;
        }
        self.arrived()
    }

    fn wait(&self) -> Result<()> {
        while !self.arrived()? {
            // Another thread may have seen the end, and be about to say so.
            self.gpu.wait_for(self.number)?;
            std::thread::yield_now();
        }
        Ok(())
    }
}
