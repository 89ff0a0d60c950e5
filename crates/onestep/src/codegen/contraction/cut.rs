//! How a contraction is cut: the tile of a block, the steps of the sum it stages at once, how threads and blocks
//! share the sum. Decided by extents and the device's numbers.

use super::Tiling;
use crate::ir::DType;
use crate::plan::{Axis, Contraction};

/// Threads of a block.
pub(super) const THREADS: usize = 256;
/// Rows and columns of results that a thread holds where threads multiply.
pub(super) const OWN: usize = 4;
/// Elements of f32 that a thread moves at once where they lie together.
pub(super) const VECTOR: usize = 4;
/// Bytes of an operand's tile that are staged at once, at most, and at least.
const STAGED: usize = 16 << 10;
const LEAST_STAGED: usize = 4 << 10;
/// How much more than these two operands take in shared memory, rows that begin in different banks counted in: in
/// eighths.
const PADDED_EIGHTHS: usize = 10;
/// Steps of the sum that one block walks at least before others share it, and most blocks that do.
const WORTH_PARTS: usize = 128;
const MOST_PARTS: usize = 256;
/// Up to so many blocks for each multiprocessor's work, smaller tiles cost less than partial sums and a kernel that adds
/// them.
const CHEAPER_SMALL: usize = 9;
/// Warps of a block, and columns of results that one of them has at most where matrix units multiply.
const WARPS: usize = 8;
const WARP_COLUMNS: usize = 32;

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Math {
    /// Each thread for itself, in f32.
    Scalar,
    /// Matrix units, with operands rounded to TF32.
    Tf32,
    /// Matrix units, with operands of this narrow dtype.
    Half(DType),
}

impl Math {
    /// The type of an element in shared memory, and its size.
    pub(super) fn cell(self) -> &'static str {
        if self.bytes() == 2 { "unsigned short" } else { "float" }
    }

    /// The size of an element in shared memory.
    pub(super) fn bytes(self) -> usize {
        match self {
            Math::Scalar | Math::Tf32 => 4,
            Math::Half(_) => 2,
        }
    }

    /// Steps of the sum that one instruction of a matrix unit takes.
    pub(super) fn depth(self) -> usize {
        32 / self.bytes()
    }
}

/// How the work is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) math: Math,
    /// Rows and columns of a block's tile.
    pub(super) m: usize,
    pub(super) n: usize,
    /// Steps of the sum staged at once.
    pub(super) k: usize,
    /// Warps along rows and columns of the tile, where matrix units multiply.
    pub(super) warps: [usize; 2],
    /// Groups of threads that share the steps.
    pub(super) groups: usize,
    /// Blocks that share the sum.
    pub(super) parts: usize,
    /// Whether operands go from device memory to matrix units without being staged.
    pub(super) direct: bool,
}

impl Cut {
    pub(super) fn choose(product: &Contraction, math: Math, tiling: Tiling) -> Self {
        let [batch, m, n, k] = [&product.batch, &product.m, &product.n, &product.k].map(Axis::extent);
        let blocks = |tm: usize, tn: usize| m.div_ceil(tm) * n.div_ceil(tn) * batch;
        let most_rows = if math == Math::Scalar { 64 } else { 128 };
        let side = |extent: usize, most: usize| extent.next_power_of_two().clamp(16, most);
        let (mut tm, mut tn) = (side(m, most_rows), side(n, 64));
        let most = if k >= 4 * WORTH_PARTS { k.div_ceil(WORTH_PARTS).min(MOST_PARTS) } else { 1 };
        // Where large tiles leave multiprocessors without work: smaller ones, or blocks that share the sum.
        let all = tiling.multiprocessors;
        let (least, enough) = if blocks(tm, tn) * CHEAPER_SMALL >= all { (32, 1) } else { (16, most) };
        while blocks(tm, tn) * enough < all && (tm > least || tn > least) {
            if tm >= tn { tm /= 2 } else { tn /= 2 }
        }
        let wn = (tn / WARP_COLUMNS).max(1);
        let warps = [(WARPS / wn).min(tm / 16), wn];
        let groups = match math {
            Math::Scalar => THREADS / (tm * tn / (OWN * OWN)),
            Math::Tf32 | Math::Half(_) => WARPS / (warps[0] * warps[1]),
        };
        // No more than run at once: one block beyond would be a round of its own.
        let parts = if 2 * blocks(tm, tn) > all { 1 } else { (2 * all / blocks(tm, tn)).clamp(1, most) };
        let mut cut = Cut { math, m: tm, n: tn, k: 0, warps, groups, parts, direct: false };
        let fits = |bytes: &usize| 2 * bytes * PADDED_EIGHTHS / 8 <= tiling.shared_bytes;
        let staged = [STAGED, STAGED / 2].into_iter().find(fits).unwrap_or(LEAST_STAGED);
        let most_steps = staged / math.bytes() / tm.max(tn);
        cut.k = most_steps.min(cut.chunk(k)).next_multiple_of(cut.together());
        cut
    }

    /// What one instruction of a matrix unit gives, its steps shared by so many warps.
    pub(super) fn direct(math: Math, groups: usize) -> Self {
        Cut { math, m: 16, n: 8, k: 0, warps: [1, 1], groups, parts: 1, direct: true }
    }

    /// Threads of a block.
    pub(super) fn threads(&self) -> usize {
        if self.direct { self.groups * 32 } else { THREADS }
    }

    /// Steps that all groups together take at once.
    pub(super) fn together(&self) -> usize {
        match self.math {
            Math::Scalar => self.groups.max(VECTOR),
            Math::Tf32 | Math::Half(_) => self.groups * self.math.depth(),
        }
    }

    /// Tiles along rows and columns.
    pub(super) fn tiles(&self, product: &Contraction) -> [usize; 2] {
        [product.m.extent().div_ceil(self.m), product.n.extent().div_ceil(self.n)]
    }

    /// Steps of the sum that a block walks.
    pub(super) fn chunk(&self, k: usize) -> usize {
        let whole = if self.math.bytes() == 2 { 2 * VECTOR } else { VECTOR };
        k.div_ceil(self.parts).next_multiple_of(whole)
    }

    /// Whether the steps of the sum fill what is staged every time.
    pub(super) fn is_whole(&self, k: usize) -> bool {
        let chunk = self.chunk(k);
        chunk.is_multiple_of(self.k) && chunk * self.parts == k
    }

    /// The distance of rows where the groups put their results together, in shared memory.
    pub(super) fn row(&self) -> usize {
        if self.math == Math::Scalar { self.n } else { self.n + 8 }
    }

    /// Rows and columns of results that a warp has, where matrix units multiply.
    pub(super) fn of_warp(&self) -> [usize; 2] {
        [self.m / self.warps[0], self.n / self.warps[1]]
    }
}
