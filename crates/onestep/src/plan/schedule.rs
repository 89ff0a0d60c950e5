//! Who computes what of a loop kernel on a device of many threads: decided by a pass from extents and the
//! target's numbers, followed by the printers of source text. The CPU has its own way and ignores it.

use std::fmt;

use super::index::{Affine, Guard, Var};
use super::kernel::{LoopKernel, Phase};

/// Who computes a grid point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// One thread, which walks reduced spaces alone.
    #[default]
    Thread,
    /// So many neighbouring threads of a workgroup (a power of two), which share each reduced space.
    Warp(usize),
    /// All threads of a workgroup (a power of two).
    Block,
    /// Workgroups that each compute a tile of a [`Contraction`](super::Contraction), or some of a row's results of a
    /// [`Scatter`](super::Scatter); a language without a printer for them takes them as [`Workers::Thread`].
    Tiles,
    /// As [`Workers::Tiles`], by units that multiply small matrices (tensor cores): operands of bf16 or f16 as they
    /// are, those of f32 rounded to TF32.
    MatrixTiles,
}

/// How a loop kernel is spread over threads. The default is one thread that takes one element at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Who computes a grid point.
    pub workers: Workers,
    /// Threads in a workgroup.
    pub threads: usize,
    /// Neighbouring elements that a thread takes at once along [`LoopKernel::vector_axis`]; it divides that
    /// axis. 1 is plain code.
    pub vector: usize,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule { workers: Workers::Thread, threads: 1, vector: 1 }
    }
}

impl Workers {
    /// Whether one thread computes each point alone.
    pub fn are_alone(self) -> bool {
        matches!(self, Workers::Thread | Workers::Tiles | Workers::MatrixTiles)
    }

    /// Whether workgroups compute tiles.
    pub fn are_tiles(self) -> bool {
        matches!(self, Workers::Tiles | Workers::MatrixTiles)
    }
}

impl Schedule {
    /// Grid points that a workgroup computes in one go.
    pub fn points_at_once(&self) -> usize {
        match self.workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => self.threads * self.vector,
            Workers::Warp(lanes) => self.threads / lanes,
            Workers::Block => 1,
        }
    }
}

impl LoopKernel {
    /// The variable along which a phase is taken `schedule.vector` elements at a time: the innermost of the
    /// grid where a thread computes a point, the innermost of the reduced space where several do.
    pub fn vector_axis(&self, phase: &Phase) -> Option<Var> {
        let innermost = |extents: &[usize]| extents.len().checked_sub(1).map(|i| i as u32);
        match self.schedule.workers {
            _ if self.schedule.vector == 1 => None,
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => innermost(&self.grid).map(Var::Grid),
            Workers::Warp(_) | Workers::Block => innermost(&phase.reduce).map(Var::Reduce),
        }
    }
}

/// Whether `width` elements along `axis`, from a multiple of `width` on, lie together and aligned in a buffer,
/// all valid or none.
pub fn is_vector(index: &Affine, guards: &[Guard], axis: Var, width: usize) -> bool {
    let width = width as i64;
    let whole = |&(var, c): &(Var, i64)| !matches!(var, Var::Let(_)) && (var == axis || c % width == 0);
    let apart = |g: &Guard| g.expr.terms.iter().all(|t| t.0 != axis && !matches!(t.0, Var::Let(_)));
    index.coefficient(axis) == 1
        && index.offset % width == 0
        && index.terms.iter().all(whole)
        && guards.iter().all(apart)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.workers {
            Workers::Thread => write!(f, "by threads")?,
            Workers::Warp(lanes) => write!(f, "by warps of {lanes}")?,
            Workers::Block => write!(f, "by blocks")?,
            Workers::Tiles => write!(f, "by tiles")?,
            Workers::MatrixTiles => write!(f, "by matrix tiles")?,
        }
        write!(f, ", {} a workgroup", self.threads)?;
        if self.vector > 1 { write!(f, ", vectors of {}", self.vector) } else { Ok(()) }
    }
}
