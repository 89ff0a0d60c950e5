//! How a contraction is cut: the tile of a block, the steps of the sum it stages at once, how threads and blocks
//! share the sum. Decided by extents and the device's numbers, or a [`Tile`] of a short list, of which a device that
//! can be asked measures the best.

use super::Tiling;
use super::staging::LISTS_BYTES;
use crate::ir::DType;
use crate::plan::{Axis, Contraction};

/// Threads of a block.
pub(super) const THREADS: usize = 256;
/// Rows and columns of results that a thread holds, where threads multiply and nothing else is measured; it holds a
/// multiple of both.
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
/// Bytes of shared memory from which there is room for lists.
const WITH_LISTS: usize = 32 << 10;
/// Multiply-adds from which the time that measuring takes comes back.
const WORTH_MEASURING: u64 = 1 << 24;
/// Bytes of results of a [`Tile`] that go through shared memory at once, at most.
const SUMS: usize = 18 << 10;
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
    /// Matrix units as WGSL has them, cooperative matrices of a subgroup, with operands of f16.
    Cooperative,
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
            Math::Half(_) | Math::Cooperative => 2,
        }
    }

    /// Steps of the sum that one instruction of a matrix unit takes.
    pub(super) fn depth(self) -> usize {
        32 / self.bytes()
    }
}

/// A tile that large products may take rather than the one that extents and a device's numbers suggest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    math: Math,
    /// Rows, columns, and steps of the sum staged at once.
    extents: [usize; 3],
    /// Rows and columns of a thread's results, or of a subgroup's where matrix units multiply.
    own: [usize; 2],
}

/// The tiles that are measured. With kernels like those that are printed a product of 4096³ reached, in this order, 35,
/// 37, 42, 127, 253 and 265 TFLOP/s on an H200 through Vulkan.
const TILES: [Tile; 6] = [
    Tile { math: Math::Scalar, extents: [64, 64, 16], own: [8, 8] },
    Tile { math: Math::Scalar, extents: [128, 128, 8], own: [8, 8] },
    Tile { math: Math::Scalar, extents: [128, 256, 8], own: [8, 16] },
    Tile { math: Math::Cooperative, extents: [64, 64, 32], own: [32, 32] },
    Tile { math: Math::Cooperative, extents: [128, 128, 32], own: [64, 64] },
    Tile { math: Math::Cooperative, extents: [128, 256, 32], own: [64, 64] },
];

impl Tile {
    /// All of them, whatever product and device.
    pub fn all() -> impl Iterator<Item = Tile> {
        TILES.into_iter()
    }

    /// Whether a product is large enough for it to be worth measuring.
    pub(super) fn suits(&self, product: &Contraction) -> bool {
        let [m, n, k] = [&product.m, &product.n, &product.k].map(Axis::extent);
        let [tm, tn, tk] = self.extents;
        product.work() >= WORTH_MEASURING && 2 * m > tm && 2 * n > tn && k >= tk
    }

    /// Whether cooperative matrices multiply.
    pub fn is_cooperative(&self) -> bool {
        self.math == Math::Cooperative
    }
}

/// How the work is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) math: Math,
    /// Rows and columns of a block's tile.
    pub(super) m: usize,
    pub(super) n: usize,
    /// Rows and columns of results that a thread holds, or a warp where matrix units multiply.
    pub(super) own: [usize; 2],
    /// Of these, the rows and columns whose results go through shared memory at once.
    pub(super) at_once: [usize; 2],
    /// Steps of the sum staged at once.
    pub(super) k: usize,
    /// Groups of threads that share the steps.
    pub(super) groups: usize,
    /// Blocks that share the sum.
    pub(super) parts: usize,
    /// Whether operands go from device memory to matrix units without being staged.
    pub(super) direct: bool,
    /// Whether shared memory has room for lists besides what is staged.
    pub(super) has_lists: bool,
}

impl Cut {
    pub(super) fn choose(product: &Contraction, math: Math, tiling: Tiling) -> Self {
        let [batch, m, n, k] = [&product.batch, &product.m, &product.n, &product.k].map(Axis::extent);
        let blocks = |tm: usize, tn: usize| m.div_ceil(tm) * n.div_ceil(tn) * batch;
        let most_rows = if math == Math::Scalar { 64 } else { 128 };
        let side = |extent: usize, most: usize| extent.next_power_of_two().clamp(16, most);
        let (mut tm, mut tn) = (side(m, most_rows), side(n, 64));
        let most = most_parts(k);
        // Where large tiles leave multiprocessors without work: smaller ones, or blocks that share the sum.
        let all = tiling.multiprocessors;
        let (least, enough) = if blocks(tm, tn) * CHEAPER_SMALL >= all { (32, 1) } else { (16, most) };
        while blocks(tm, tn) * enough < all && (tm > least || tn > least) {
            if tm >= tn { tm /= 2 } else { tn /= 2 }
        }
        let wn = (tn / WARP_COLUMNS).max(1);
        let own = if math == Math::Scalar { [OWN; 2] } else { [tm / (WARPS / wn).min(tm / 16), tn / wn] };
        let parts = parts(blocks(tm, tn), most, all);
        let has_lists = tiling.shared_bytes >= WITH_LISTS;
        let (groups, direct) = (1, false);
        let mut cut = Cut { math, m: tm, n: tn, own, at_once: own, k: 0, groups, parts, direct, has_lists };
        cut.groups = THREADS / cut.threads();
        let fits = |bytes: &usize| 2 * bytes * PADDED_EIGHTHS / 8 <= tiling.shared_bytes;
        let staged = [STAGED, STAGED / 2].into_iter().find(fits).unwrap_or(LEAST_STAGED);
        let most_steps = staged / math.bytes() / tm.max(tn);
        cut.k = most_steps.min(cut.chunk(k)).next_multiple_of(cut.together());
        cut
    }

    /// The cut of a product by a tile, where a block's memory holds it.
    pub(super) fn by(tile: &Tile, product: &Contraction, tiling: Tiling) -> Option<Self> {
        let Tile { math, extents: [tm, tn, tk], own } = *tile;
        let [batch, m, n, k] = [&product.batch, &product.m, &product.n, &product.k].map(Axis::extent);
        let parts = parts(m.div_ceil(tm) * n.div_ceil(tn) * batch, most_parts(k), tiling.multiprocessors);
        let (groups, direct) = (1, false);
        let mut cut = Cut { math, m: tm, n: tn, own, at_once: own, k: tk, groups, parts, direct, has_lists: false };
        while cut.sums() > SUMS {
            // Cooperative matrices are stored whole.
            let axis = usize::from(math == Math::Cooperative && cut.at_once[0] <= 16);
            cut.at_once[axis] /= 2;
        }
        let staged = (tk * (tm + tn + 16)).max((tm + tn) * (tk + 8)) * math.bytes();
        let taken = if math == Math::Cooperative { staged + cut.sums() } else { staged.max(cut.sums()) };
        cut.has_lists = taken + LISTS_BYTES <= tiling.shared_bytes;
        (taken <= tiling.shared_bytes).then_some(cut)
    }

    /// Bytes of the results that go through shared memory at once.
    fn sums(&self) -> usize {
        self.rows_of_round() * self.row() * 4
    }

    /// What one instruction of a matrix unit gives, its steps shared by so many warps.
    pub(super) fn direct(math: Math, groups: usize) -> Self {
        let own = [16, 8];
        Cut { math, m: 16, n: 8, own, at_once: own, k: 0, groups, parts: 1, direct: true, has_lists: false }
    }

    /// Threads of a block.
    pub(super) fn threads(&self) -> usize {
        let [down, across] = self.owners();
        down * across * self.groups * if self.math == Math::Scalar { 1 } else { 32 }
    }

    /// Threads, or warps where matrix units multiply, along rows and columns of the tile.
    pub(super) fn owners(&self) -> [usize; 2] {
        [self.m / self.own[0], self.n / self.own[1]]
    }

    /// Rounds in which results go through shared memory.
    pub(super) fn rounds(&self) -> usize {
        self.own[0] / self.at_once[0] * (self.own[1] / self.at_once[1])
    }

    /// The first row and column of a thread's or a warp's own that a round takes.
    pub(super) fn first_of_round(&self, round: usize) -> [usize; 2] {
        let across = self.own[1] / self.at_once[1];
        [round / across * self.at_once[0], round % across * self.at_once[1]]
    }

    /// The rows of a tile that go through shared memory in a round.
    pub(super) fn rows_of_round(&self) -> usize {
        self.owners()[0] * self.at_once[0]
    }

    /// The columns.
    pub(super) fn columns_of_round(&self) -> usize {
        self.owners()[1] * self.at_once[1]
    }

    /// The row of the tile that row `row` of a round is.
    pub(super) fn row_in_tile(&self, round: usize, row: &str) -> String {
        let ([own, _], [at_once, _], [first, _]) = (self.own, self.at_once, self.first_of_round(round));
        match self.math {
            Math::Scalar if own > OWN => {
                // Threads hold rows by fours.
                let (owner, at) = (format!("({row}) / {at_once}"), format!("(({row}) % {at_once} + {first})"));
                format!("{owner} * {OWN} + {at} / {OWN} * {} + {at} % {OWN}", self.fours_apart(0))
            }
            _ if at_once == own => row.into(),
            _ => format!("({row}) / {at_once} * {own} + ({row}) % {at_once} + {first}"),
        }
    }

    /// The column of the tile that column `column` of a round is.
    pub(super) fn column_in_tile(&self, round: usize, column: &str) -> String {
        let ([_, own], [_, at_once], [_, first]) = (self.own, self.at_once, self.first_of_round(round));
        match at_once == own {
            true => column.into(),
            false => format!("({column}) / {at_once} * {own} + ({column}) % {at_once} + {first}"),
        }
    }

    /// How far apart the fours of rows (axis 0) or columns (axis 1) are that a thread holds, so that neighbouring
    /// threads read neighbouring memory.
    pub(super) fn fours_apart(&self, axis: usize) -> usize {
        [self.m, self.n][axis] * OWN / self.own[axis]
    }

    /// Steps that all groups together take at once.
    pub(super) fn together(&self) -> usize {
        match self.math {
            Math::Scalar => self.groups.max(VECTOR),
            Math::Tf32 | Math::Half(_) | Math::Cooperative => self.groups * self.math.depth(),
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
        self.columns_of_round() + if self.math == Math::Scalar { 0 } else { 8 }
    }
}

/// Most blocks that share a sum of so many steps.
fn most_parts(k: usize) -> usize {
    if k >= 4 * WORTH_PARTS { k.div_ceil(WORTH_PARTS).min(MOST_PARTS) } else { 1 }
}

/// Blocks that share the sum, where there are so many without.
fn parts(blocks: usize, most: usize, multiprocessors: usize) -> usize {
    // No more than run at once: one block beyond would be a round of its own.
    if 2 * blocks > multiprocessors { 1 } else { (2 * multiprocessors / blocks).clamp(1, most) }
}
