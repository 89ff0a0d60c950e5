//! A program's inputs. A device with memory of its own has a block for each, to which what is written is copied. Where
//! its memory is the host's, the host writes where the step reads: into one of two sets of mapped memory, that take
//! turns.

use wgpu::Buffer;

use super::Shared;
use super::gpu::Gpu;
use super::memory::{GpuMemory, Mapped, in_words};
use crate::backend::check_input;
use crate::backend::memory::{Block, Fence, Keep, Purpose, Slot};
use crate::backend::pooled::Pooled;
use crate::backend::turns::Turns;
use crate::error::{Error, Result};
use crate::ir::{Graph, Literal, Type};

/// A program's inputs, zeros before they are written.
pub(super) struct Inputs {
    types: Vec<Type>,
    place: Place,
}

enum Place {
    /// Beside the arena.
    Copied(Vec<Block<GpuMemory>>),
    /// Where the host writes.
    Mapped { sets: [Set; 2], turns: Turns },
}

/// A set of all inputs: mapped while it is written, the device's while steps read it.
struct Set {
    memory: Vec<(Mapped, Keep)>,
    /// Whether it is the device's.
    given: bool,
    /// The number of the last submission that reads it, if one does that nobody has waited for.
    read: u64,
}

impl Set {
    fn new(shared: &Shared, types: &[Type]) -> Result<Self> {
        let make = |bytes| Mapped::for_inputs(&shared.gpu, bytes);
        let memory = types.iter().map(|ty| shared.pool.beside(size(ty) as usize, Purpose::Input, make));
        Ok(Set { memory: memory.collect::<Result<_>>()?, given: false, read: 0 })
    }

    /// Makes it the host's again, when the device is done with it.
    fn take_back(&mut self, gpu: &Gpu) -> Result<()> {
        if !std::mem::replace(&mut self.given, false) {
            return Ok(());
        }
        // wgpu does not know what recorded steps use.
        gpu.wait_for(self.read)?;
        let arrivals: Vec<_> = self.memory.iter().map(|(memory, _)| memory.ask_back(self.read)).collect();
        arrivals.iter().try_for_each(Fence::wait)
    }
}

/// Bytes of an input's memory: whole words, and something to bind even where nothing is read.
fn size(ty: &Type) -> u64 {
    in_words(ty.bytes().max(1))
}

impl Inputs {
    pub(super) fn new(shared: &Shared, graph: &Graph) -> Result<Self> {
        let types: Vec<Type> = graph.inputs().iter().map(|input| input.ty.clone()).collect();
        let place = match shared.gpu.reads_in_place() && !types.is_empty() {
            true => {
                let sets = [Set::new(shared, &types)?, Set::new(shared, &types)?];
                Place::Mapped { sets, turns: Turns::new(types.len()) }
            }
            false => {
                let block = |ty: &Type| shared.pool.zeroed(ty.bytes(), Purpose::Input);
                Place::Copied(types.iter().map(block).collect::<Result<_>>()?)
            }
        };
        Ok(Inputs { types, place })
    }

    /// The number of sets, each of which a step may read.
    pub(super) fn sets(&self) -> usize {
        match &self.place {
            Place::Copied(_) => 1,
            Place::Mapped { sets, .. } => sets.len(),
        }
    }

    /// What an input lies in, in each set.
    pub(super) fn buffers(&self, input: usize) -> Vec<Buffer> {
        match &self.place {
            Place::Copied(blocks) => vec![blocks[input].raw().clone()],
            Place::Mapped { sets, .. } => sets.iter().map(|set| set.memory[input].0.buffer().clone()).collect(),
        }
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> usize {
        match &self.place {
            Place::Copied(blocks) => blocks.iter().map(Block::bytes).sum(),
            Place::Mapped { sets, .. } => self.types.iter().map(|ty| size(ty) as usize).sum::<usize>() * sets.len(),
        }
    }

    /// Sets an input for the runs that follow.
    pub(super) fn write(&mut self, shared: &Shared, index: usize, value: &Literal) -> Result<()> {
        let ty = self.types.get(index).ok_or_else(|| Error::graph(format!("there is no input {index}")))?;
        check_input(index, ty, value.bytes())?;
        match &mut self.place {
            Place::Copied(blocks) => shared.upload(value.bytes(), &blocks[index]),
            Place::Mapped { sets, turns } => {
                if turns.is_read() {
                    sets[turns.other()].take_back(&shared.gpu)?;
                    turns.change_over();
                }
                // Of a device that is lost no memory is left to write.
                shared.gpu.check()?;
                sets[turns.current()].memory[index].0.write(0, value.bytes())?;
                turns.wrote(index);
                Ok(())
            }
        }
    }

    /// Completes the set that was written last, and gives it to the device: its number. Who submits a step that reads it
    /// says so.
    pub(super) fn give(&mut self, gpu: &Gpu) -> Result<usize> {
        let Place::Mapped { sets, turns } = &mut self.place else { return Ok(0) };
        let (current, other) = (turns.current(), turns.other());
        sets[current].given = true;
        sets[current].memory.iter().for_each(|(memory, _)| memory.give());
        for input in turns.lacking() {
            let [from, to] = [other, current].map(|set| sets[set].memory[input].0.buffer());
            let bytes = size(&self.types[input]);
            sets[other].read = gpu.record(|list| list.copy_buffer_to_buffer(from, 0, to, 0, bytes))?;
        }
        turns.ran();
        Ok(current)
    }

    /// Says that the set which was given last is read by a submission.
    pub(super) fn are_read_by(&mut self, number: u64) {
        if let Place::Mapped { sets, turns } = &mut self.place {
            sets[turns.current()].read = number;
        }
    }
}
