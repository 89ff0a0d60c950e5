//! What a pool knows about its memory: who uses how much of it, how much at most, and where it came from.

use std::fmt;

use super::size::Size;

/// What a block of memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// What lives from step to step: parameters, an optimizer's moments, running statistics.
    State,
    /// The one buffer in which a program's intermediates lie.
    Arena,
    /// A program's inputs.
    Input,
    /// A program's outputs.
    Output,
    /// Constants of a program.
    Constant,
    /// Scratch memory of library kernels.
    Workspace,
    /// Host-visible memory for uploads and read-backs.
    Staging,
}

impl Purpose {
    /// All of them, in the order of tables.
    pub const ALL: [Purpose; 7] = [
        Purpose::State,
        Purpose::Arena,
        Purpose::Input,
        Purpose::Output,
        Purpose::Constant,
        Purpose::Workspace,
        Purpose::Staging,
    ];
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Purpose::State => "state",
            Purpose::Arena => "arena",
            Purpose::Input => "input",
            Purpose::Output => "output",
            Purpose::Constant => "constant",
            Purpose::Workspace => "workspace",
            Purpose::Staging => "staging",
        })
    }
}

/// Memory in use for one purpose, or for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks in use.
    pub blocks: usize,
    /// Bytes in use, as they were asked for.
    pub in_use: usize,
    /// Bytes that the blocks in use occupy on the device.
    pub occupied: usize,
    /// The most bytes that were in use at once, as they were asked for.
    pub peak: usize,
    /// Blocks that the device was asked for.
    pub from_device: u64,
    /// Blocks that the pool had already.
    pub from_pool: u64,
}

impl Usage {
    fn take(&mut self, bytes: usize, occupied: usize, new: bool) {
        self.blocks += 1;
        self.in_use += bytes;
        self.occupied += occupied;
        self.peak = self.peak.max(self.in_use);
        *(if new { &mut self.from_device } else { &mut self.from_pool }) += 1;
    }

    fn give_back(&mut self, bytes: usize, occupied: usize) {
        self.blocks -= 1;
        self.in_use -= bytes;
        self.occupied -= occupied;
    }
}

/// A pool's memory at one moment. Prints as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// All purposes together. Its peak is that of the sum, not the sum of the peaks.
    pub total: Usage,
    /// Bytes of freed blocks that the pool keeps for reuse.
    pub cached: usize,
    /// The most bytes that the pool may hold, in use and cached; `None` for as much as the device has.
    pub limit: Option<usize>,
    purposes: [Usage; Purpose::ALL.len()],
}

impl Statistics {
    /// Nothing used yet.
    pub(super) fn with_limit(limit: Option<usize>) -> Self {
        Statistics { limit, ..Statistics::default() }
    }

    /// The memory of one purpose.
    pub fn of(&self, purpose: Purpose) -> Usage {
        self.purposes[purpose as usize]
    }

    /// Bytes held of the device: what blocks in use occupy, and what is cached.
    pub fn held(&self) -> usize {
        self.total.occupied + self.cached
    }

    /// Counts a block that comes into use, new from the device or from the pool.
    pub(super) fn take(&mut self, purpose: Purpose, bytes: usize, occupied: usize, new: bool) {
        self.total.take(bytes, occupied, new);
        self.purposes[purpose as usize].take(bytes, occupied, new);
    }

    /// Counts a block that is no longer in use.
    pub(super) fn give_back(&mut self, purpose: Purpose, bytes: usize, occupied: usize) {
        self.total.give_back(bytes, occupied);
        self.purposes[purpose as usize].give_back(bytes, occupied);
    }

    /// Peaks begin again at what is in use now.
    pub(super) fn reset_peak(&mut self) {
        for usage in self.purposes.iter_mut().chain([&mut self.total]) {
            usage.peak = usage.in_use;
        }
    }
}

impl fmt::Display for Statistics {
    /// One line for each purpose that was ever used, and two for all of them together.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &dyn fmt::Display, cells: [String; 6]| {
            write!(f, "{name:<9}")?;
            cells.iter().zip([6, 10, 10, 10, 11, 9]).try_for_each(|(cell, width)| write!(f, "  {cell:>width$}"))?;
            writeln!(f)
        };
        let cells = |usage: &Usage| {
            let sizes = [usage.in_use, usage.occupied, usage.peak].map(|n| Size(n).to_string());
            let [in_use, occupied, peak] = sizes;
            [
                usage.blocks.to_string(),
                in_use,
                occupied,
                peak,
                usage.from_device.to_string(),
                usage.from_pool.to_string(),
            ]
        };
        row(&"memory", ["blocks", "in use", "occupied", "peak", "from device", "from pool"].map(String::from))?;
        for purpose in Purpose::ALL {
            let usage = self.of(purpose);
            if usage.from_device + usage.from_pool > 0 {
                row(&purpose, cells(&usage))?;
            }
        }
        row(&"total", cells(&self.total))?;
        write!(f, "cached {}, held {}", Size(self.cached), Size(self.held()))?;
        match self.limit {
            Some(limit) => write!(f, " of at most {}", Size(limit)),
            None => Ok(()),
        }
    }
}
