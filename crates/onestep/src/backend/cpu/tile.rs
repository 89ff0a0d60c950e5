//! The inner kernel of products and convolutions: a small tile of results held in vector registers while
//! the contracted axis is walked. One text for every instruction set, chosen at run time.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::vector::{Four, Vector};
use crate::error::{Error, Result};

/// Columns of a tile at most, over all instruction sets.
pub(super) const MAX_COLUMNS: usize = 32;

/// Rows and columns of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub rows: usize,
    pub columns: usize,
}

impl Shape {
    /// Multiply-adds that tiles do for a product of these extents, those of idle columns included.
    pub(super) fn work(self, rows: usize, columns: usize) -> usize {
        rows * columns.next_multiple_of(self.columns)
    }
}

/// The instruction sets a tile is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    /// 512-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 128-bit vectors with fused multiply-add, which every CPU of the architecture has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// What the compiler makes of plain Rust for any CPU of the architecture.
    Plain,
}

/// The environment variable that forces a lesser instruction set than the CPU has.
const FORCED: &str = "ONESTEP_ISA";

impl Isa {
    /// Every set there is for this architecture, widest first.
    const ALL: &[Isa] = &[
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon,
        Isa::Plain,
    ];

    /// The set that `ONESTEP_ISA` asks for, or the widest this CPU has.
    pub(super) fn detect() -> Result<Self> {
        match std::env::var_os(FORCED) {
            Some(name) => Isa::named(&name.to_string_lossy()),
            None => Ok(Isa::widest()),
        }
    }

    /// The widest this CPU has.
    pub(super) fn widest() -> Self {
        Isa::ALL.iter().copied().find(|isa| isa.is_here()).unwrap_or(Isa::Plain)
    }

    /// The set of a name, if this CPU has it.
    fn named(name: &str) -> Result<Self> {
        let here = || {
            let keys: Vec<&str> = Isa::ALL.iter().filter(|isa| isa.is_here()).map(|isa| isa.key()).collect();
            keys.join(", ")
        };
        match (Isa::ALL.iter().find(|isa| isa.key() == name), ["avx512", "avx2", "neon"].contains(&name)) {
            (Some(isa), _) if isa.is_here() => Ok(*isa),
            (Some(_), _) | (None, true) => Err(Error::device(format!(
                "{FORCED} asks for `{name}`, which this CPU does not have; unset it, or choose of {}",
                here()
            ))),
            (None, false) => Err(Error::device(format!(
                "{FORCED} names no instruction set: `{name}`; unset it, or choose of {}",
                here()
            ))),
        }
    }

    /// Whether this CPU has it.
    fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && Isa::Avx2.is_here()
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => true,
            Isa::Plain => true,
        }
    }

    /// Its name in `ONESTEP_ISA`.
    fn key(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            Isa::Plain => "plain",
        }
    }

    /// The tile for a product of that many columns: one vector wide where two would stand half empty.
    pub(super) fn shape(self, columns: usize) -> Shape {
        let (lanes, wide, narrow) = match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => (16, 12, 12),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => (8, 6, 8),
            // 24 sums, two right vectors and one left in 32 registers.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => (4, 12, 12),
            Isa::Plain => (4, 4, 8),
        };
        if columns <= lanes { Shape { rows: narrow, columns: lanes } } else { Shape { rows: wide, columns: 2 * lanes } }
    }

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "NEON",
            Isa::Plain => "baseline vectors",
        }
    }
}

/// A stretch of the contracted axis: steps whose left elements lie evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Offset of the first left element from the row's pointer.
    pub offset: isize,
    /// Offset of the first right row from the tile's pointer.
    pub right: isize,
    /// Steps.
    pub len: usize,
}

/// A block of tiles: `out[i][j] = start + Σ left[i][k] · right[k][j]`, or `left[i][k][j]` where left elements are
/// of each column. Tiles of the same rows are computed one after the other, so all panels of the right operand
/// should stay in the cache.
pub(super) struct Tiles<'a> {
    /// Rows and columns of a tile, as [`Isa::shape`] gave them.
    pub shape: Shape,
    /// Where left elements are counted from.
    pub left: *const f32,
    /// The first left element of each row.
    pub left_rows: &'a [isize],
    /// Distance of left elements from step to step.
    pub left_step: isize,
    /// Whether each column has left elements of its own, side by side, so that no columns are summed up; all of a
    /// tile's columns can be read.
    pub columnwise: bool,
    /// The contracted axis.
    pub runs: &'a [Run],
    /// The first right row; columns of a tile lie side by side, and all of them can be read.
    pub right: *const f32,
    /// Distance of right rows.
    pub right_step: isize,
    /// Distance of a tile's right rows from those of the tile beside it.
    pub panel_step: isize,
    /// Where results are counted from.
    pub out: *mut f32,
    /// The first result of each row; as many as there are left rows.
    pub out_rows: &'a [isize],
    /// Distance of results from column to column.
    pub out_step: isize,
    /// Columns that are stored.
    pub columns: usize,
    /// What sums start from.
    pub start: Start,
    /// Whether results that are not above 0 become 0.
    pub relu: bool,
}

/// What the sums of a block of tiles start from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    Zero,
    /// The results that are there.
    Out,
    /// An element for each column.
    Columns(*const f32),
    /// An element for each row.
    Rows(*const f32),
}

/// What happens to results before they are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct After {
    pub bias: Bias,
    /// Whether what is not above 0 becomes 0.
    pub relu: bool,
}

/// What is added to results.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bias {
    None,
    /// An element for each column.
    Columns(*const f32),
    /// An element for each row.
    Rows(*const f32),
}

impl After {
    /// What the sums of results from a row and column on start from.
    ///
    /// # Safety
    /// The bias must have an element for each row or column.
    pub(super) unsafe fn start(self, row: usize, column: usize) -> Start {
        // SAFETY: promised by the caller.
        unsafe {
            match self.bias {
                Bias::None => Start::Zero,
                Bias::Columns(bias) => Start::Columns(bias.add(column)),
                Bias::Rows(bias) => Start::Rows(bias.add(row)),
            }
        }
    }

    /// The same for the transposed results.
    pub(super) fn transposed(self) -> Self {
        let bias = match self.bias {
            Bias::None => Bias::None,
            Bias::Columns(bias) => Bias::Rows(bias),
            Bias::Rows(bias) => Bias::Columns(bias),
        };
        After { bias, ..self }
    }
}

impl Start {
    /// Whether vectors cannot start from it where results end within the tile.
    fn is_late(self) -> bool {
        matches!(self, Start::Out | Start::Columns(_))
    }
}

/// A matrix that is packed into panels: its rows one after the other, as wide as a tile. What is beyond the last
/// column stays as it is.
pub(super) struct Packing {
    /// The first element, and distances of rows and columns.
    pub from: *const f32,
    pub row: isize,
    pub column: isize,
    pub rows: usize,
    pub columns: usize,
    /// The first panel, of `rows` times `width` elements.
    pub to: *mut f32,
    pub width: usize,
}

/// Packs a matrix into panels.
///
/// # Safety
/// Every pointer must reach what its field describes and the CPU must have `isa`.
pub(super) unsafe fn pack(isa: Isa, packing: &Packing) {
    // SAFETY: passed on from the caller.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2 => pack_avx2(packing),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => pack_here(packing),
            Isa::Plain => pack_here(packing),
        }
    }
}

/// # Safety
/// As [`pack`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn pack_avx2(packing: &Packing) {
    // SAFETY: passed on from the caller.
    unsafe { pack_here(packing) }
}

/// # Safety
/// As [`pack`].
#[inline(always)]
unsafe fn pack_here(p: &Packing) {
    // SAFETY: promised by the caller.
    unsafe {
        let panels = || (0..p.columns).step_by(p.width).map(|c| (c, p.to.add(c * p.rows), p.width.min(p.columns - c)));
        if p.column == 1 {
            for k in 0..p.rows {
                for (first, to, columns) in panels() {
                    let (from, to) = (p.from.offset(k as isize * p.row).add(first), to.add(k * p.width));
                    let whole = columns / 8 * 8;
                    (0..whole).step_by(8).for_each(|j| copy::<8>(from.add(j), to.add(j)));
                    (whole..columns).for_each(|j| *to.add(j) = *from.add(j));
                }
            }
            return;
        }
        for (first, to, columns) in panels() {
            let from = p.from.offset(first as isize * p.column);
            // Small squares, so that both sides stay in the cache.
            for k in (0..p.rows).step_by(SQUARE) {
                for j in (0..columns).step_by(SQUARE) {
                    let from = from.offset(k as isize * p.row + j as isize * p.column);
                    let to = to.add(k * p.width + j);
                    let (rows, columns) = (SQUARE.min(p.rows - k), SQUARE.min(columns - j));
                    if p.row == 1 && rows == SQUARE && columns == SQUARE {
                        transpose(from, p.column, to, p.width as isize);
                        continue;
                    }
                    for j in 0..columns {
                        (0..rows).for_each(|k| {
                            *to.add(k * p.width + j) = *from.offset(k as isize * p.row + j as isize * p.column);
                        });
                    }
                }
            }
        }
    }
}

/// Side of the squares that are transposed in registers.
const SQUARE: usize = 4;

/// # Safety
/// Both pointers must be to `N` elements.
#[inline(always)]
unsafe fn copy<const N: usize>(from: *const f32, to: *mut f32) {
    // SAFETY: promised by the caller.
    unsafe { to.cast::<[f32; N]>().write_unaligned(from.cast::<[f32; N]>().read_unaligned()) }
}

/// Transposes a square of rows `from_row` and `to_row` apart.
///
/// # Safety
/// Both pointers must be to such squares.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
unsafe fn transpose(from: *const f32, from_row: isize, to: *mut f32, to_row: isize) {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    // SAFETY: promised by the caller; every CPU of the architecture has SSE.
    unsafe {
        let row = |j: isize| _mm_loadu_ps(from.offset(j * from_row));
        let (mut a, mut b, mut c, mut d) = (row(0), row(1), row(2), row(3));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        [a, b, c, d]
            .into_iter()
            .enumerate()
            .for_each(|(k, column)| _mm_storeu_ps(to.offset(k as isize * to_row), column));
    }
}

/// Transposes a square of rows `from_row` and `to_row` apart.
///
/// # Safety
/// Both pointers must be to such squares.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
unsafe fn transpose(from: *const f32, from_row: isize, to: *mut f32, to_row: isize) {
    // SAFETY: promised by the caller.
    unsafe {
        let row = |j: isize| from.offset(j * from_row).cast::<[f32; SQUARE]>().read_unaligned();
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        for k in 0..SQUARE {
            to.offset(k as isize * to_row).cast::<[f32; SQUARE]>().write_unaligned([a[k], b[k], c[k], d[k]]);
        }
    }
}

/// Computes a block of tiles.
///
/// # Safety
/// Every pointer and offset must reach what its field describes, the CPU must have `isa` and the shape must be
/// one of its shapes.
pub(super) unsafe fn compute(isa: Isa, tiles: &Tiles) {
    // SAFETY: passed on from the caller.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(tiles),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(tiles),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon(tiles),
            Isa::Plain => plain(tiles),
        }
    }
}

/// The block for an instruction set. Tiles are of equal height as far as possible, for an idle row costs as much as
/// any: each height up to the shape's is compiled.
macro_rules! compiled_for {
    ($name:ident, $vector:ty, $($features:literal)?, [$($narrow:literal)*], [$($wide:literal)*]) => {
        /// # Safety
        /// As [`compute`].
        $(#[target_feature(enable = $features)])?
        unsafe fn $name(tiles: &Tiles) {
            let rows = tiles.left_rows.len();
            let count = rows.div_ceil(tiles.shape.rows).max(1);
            let (height, higher) = (rows / count, rows % count);
            let narrow = tiles.shape.columns == <$vector as Vector>::LANES;
            let mut first = 0;
            for tile in 0..count {
                let height = height + usize::from(tile < higher);
                // SAFETY: passed on from the caller.
                unsafe {
                    match (height, narrow, tiles.columnwise) {
                        $(($narrow, true, false) => row_of_tiles::<$vector, $narrow, 1, false>(tiles, first),)*
                        $(($wide, false, false) => row_of_tiles::<$vector, $wide, 2, false>(tiles, first),)*
                        $(($narrow, true, true) => row_of_tiles::<$vector, $narrow, 1, true>(tiles, first),)*
                        $(($wide, false, true) => row_of_tiles::<$vector, $wide, 2, true>(tiles, first),)*
                        _ => {}
                    }
                }
                first += height;
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compiled_for!(avx512, std::arch::x86_64::__m512, "avx512f", [1 2 3 4 5 6 7 8 9 10 11 12], [1 2 3 4 5 6 7 8 9 10 11 12]);
#[cfg(target_arch = "x86_64")]
compiled_for!(avx2, std::arch::x86_64::__m256, "avx2,fma", [1 2 3 4 5 6 7 8], [1 2 3 4 5 6]);
#[cfg(target_arch = "aarch64")]
compiled_for!(neon, std::arch::aarch64::float32x4_t, , [1 2 3 4 5 6 7 8 9 10 11 12], [1 2 3 4 5 6 7 8 9 10 11 12]);
compiled_for!(plain, Four, , [1 2 3 4 5 6 7 8], [1 2 3 4]);

/// The tiles of `ROWS` rows from `first` on.
///
/// # Safety
/// As [`compute`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "an iterator over the sums puts them on the stack for good")]
unsafe fn row_of_tiles<V: Vector, const ROWS: usize, const WIDE: usize, const COLUMNWISE: bool>(
    tiles: &Tiles,
    first: usize,
) {
    // SAFETY: the caller vouches for the instruction set and for every pointer.
    unsafe {
        let left: [*const f32; ROWS] =
            std::array::from_fn(|i| tiles.left.offset(*tiles.left_rows.get_unchecked(first + i)));
        let out = |i: usize, column: usize| tiles.out.offset(*tiles.out_rows.get_unchecked(first + i)).add(column);
        let width = WIDE * V::LANES;
        let mut panel = tiles.right;
        for column in (0..tiles.columns).step_by(width) {
            let whole = tiles.columns - column >= width && tiles.out_step == 1;
            // Sums are only indexed by constants and in short loops, otherwise they would live on the stack.
            let mut sums = [[V::zero(); WIDE]; ROWS];
            match tiles.start {
                Start::Out if whole => {
                    for i in 0..ROWS {
                        for j in 0..WIDE {
                            sums[i][j] = V::load(out(i, column).add(j * V::LANES));
                        }
                    }
                }
                Start::Columns(bias) if whole => {
                    for i in 0..ROWS {
                        for j in 0..WIDE {
                            sums[i][j] = V::load(bias.add(column + j * V::LANES));
                        }
                    }
                }
                Start::Rows(bias) => {
                    for i in 0..ROWS {
                        for j in 0..WIDE {
                            sums[i][j] = V::splat(*bias.add(first + i));
                        }
                    }
                }
                _ => {}
            }
            for run in tiles.runs {
                let mut right = panel.offset(run.right);
                let mut at = run.offset + if COLUMNWISE { column as isize } else { 0 };
                for _ in 0..run.len {
                    let b: [V; WIDE] = std::array::from_fn(|j| V::load(right.add(j * V::LANES)));
                    for i in 0..ROWS {
                        let left = left[i].offset(at);
                        for j in 0..WIDE {
                            let a = if COLUMNWISE { V::load(left.add(j * V::LANES)) } else { V::splat(*left) };
                            sums[i][j] = a.times_plus(b[j], sums[i][j]);
                        }
                    }
                    at += tiles.left_step;
                    right = right.offset(tiles.right_step);
                }
            }
            panel = panel.wrapping_offset(tiles.panel_step);
            if tiles.relu && (whole || !tiles.start.is_late()) {
                for i in 0..ROWS {
                    for j in 0..WIDE {
                        sums[i][j] = sums[i][j].positive();
                    }
                }
            }
            if whole {
                for i in 0..ROWS {
                    for j in 0..WIDE {
                        sums[i][j].store(out(i, column).add(j * V::LANES));
                    }
                }
            } else {
                let mut done = [MaybeUninit::<[f32; MAX_COLUMNS]>::uninit(); ROWS];
                for i in 0..ROWS {
                    for j in 0..WIDE {
                        sums[i][j].store(done[i].as_mut_ptr().cast::<f32>().add(j * V::LANES));
                    }
                }
                let columns = column..(column + width).min(tiles.columns);
                store_each(tiles, done.as_ptr().cast(), first..first + ROWS, columns);
            }
        }
    }
}

/// Stores sums where vectors of a row do not fit: results lie in columns, or end within the tile.
///
/// # Safety
/// As [`compute`]; `sums` has a row of [`MAX_COLUMNS`] for each row.
#[inline(never)]
unsafe fn store_each(tiles: &Tiles, sums: *const f32, rows: Range<usize>, columns: Range<usize>) {
    let (start, relu, step) = (tiles.start, tiles.relu, tiles.out_step);
    let out_rows = &tiles.out_rows[rows];
    // SAFETY: promised by the caller.
    unsafe {
        let out = tiles.out.offset(columns.start as isize * step);
        let adjacent = || out_rows.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let columns_lie_whole = step != 1 && !start.is_late() && adjacent();
        let squares =
            if columns_lie_whole { [out_rows.len(), columns.len()].map(|n| n / SQUARE * SQUARE) } else { [0; 2] };
        for i in (0..squares[0]).step_by(SQUARE) {
            for j in (0..squares[1]).step_by(SQUARE) {
                let to = out.offset(out_rows[i] + j as isize * step);
                transpose(sums.add(i * MAX_COLUMNS + j), MAX_COLUMNS as isize, to, step);
            }
        }
        for (i, row) in out_rows.iter().enumerate() {
            let out = out.offset(*row);
            let first = if i < squares[0] { squares[1] } else { 0 };
            for j in first..columns.len() {
                let out = out.offset(j as isize * step);
                let mut sum = *sums.add(i * MAX_COLUMNS + j);
                match start {
                    Start::Zero | Start::Rows(_) => {}
                    Start::Out => sum += *out,
                    Start::Columns(bias) => sum += *bias.add(columns.start + j),
                }
                *out = if relu && sum <= 0.0 { 0.0 } else { sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesser_set_can_be_forced_and_a_foreign_one_is_told() {
        let named = |name: &str| Isa::named(name).map_err(|e| e.to_string());
        assert_eq!(named("plain"), Ok(Isa::Plain));
        assert_eq!(named(Isa::widest().key()), Ok(Isa::widest()));
        let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        let told = named(foreign).unwrap_err();
        assert!(told.starts_with(&format!("ONESTEP_ISA asks for `{foreign}`, which this CPU does not have")), "{told}");
        let told = named("AVX9").unwrap_err();
        assert!(told.contains("names no instruction set: `AVX9`") && told.ends_with("plain"), "{told}");
    }
}
