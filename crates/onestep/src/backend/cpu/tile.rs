//! The inner kernel of products and convolutions: a small tile of results held in vector registers while
//! the contracted axis is walked. One text for every instruction set, chosen at run time.

use std::mem::MaybeUninit;

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
    /// Multiply-adds that tiles do for a product of these extents, the idle ones included.
    pub(super) fn work(self, rows: usize, columns: usize) -> usize {
        rows.next_multiple_of(self.rows) * columns.next_multiple_of(self.columns)
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

/// A column of tiles: `out[i][j] (+)= Σ left[i][k] · right[k][j]` for as many rows as there are and the
/// columns of one tile.
pub(super) struct Tiles<'a> {
    /// Rows and columns of a tile, as [`Isa::shape`] gave them.
    pub shape: Shape,
    /// Where left elements are counted from.
    pub left: *const f32,
    /// The first left element of each row.
    pub left_rows: &'a [isize],
    /// Distance of left elements from step to step.
    pub left_step: isize,
    /// The contracted axis.
    pub runs: &'a [Run],
    /// The first right row; columns lie side by side, and all of a tile's columns can be read.
    pub right: *const f32,
    /// Distance of right rows.
    pub right_step: isize,
    /// Where results are counted from.
    pub out: *mut f32,
    /// The first result of each row; as many as there are left rows.
    pub out_rows: &'a [isize],
    /// Distance of results from column to column.
    pub out_step: isize,
    /// Columns that are stored.
    pub columns: usize,
    /// Whether results are added to what is there.
    pub add: bool,
    /// What happens to them then.
    pub after: After,
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
    pub(super) fn nothing() -> Self {
        After { bias: Bias::None, relu: false }
    }

    /// The same for results from a row and column on.
    ///
    /// # Safety
    /// The bias must have an element for each row or column.
    pub(super) unsafe fn from(self, row: usize, column: usize) -> Self {
        // SAFETY: promised by the caller.
        let bias = unsafe {
            match self.bias {
                Bias::None => Bias::None,
                Bias::Columns(bias) => Bias::Columns(bias.add(column)),
                Bias::Rows(bias) => Bias::Rows(bias.add(row)),
            }
        };
        After { bias, ..self }
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

/// Computes a column of tiles.
///
/// # Safety
/// Every pointer and offset must reach what its field describes, the CPU must have `isa`, the shape must be
/// one of its shapes, and `columns` must not exceed it.
pub(super) unsafe fn compute(isa: Isa, tiles: &Tiles) {
    // SAFETY: passed on from the caller.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(tiles),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(tiles),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon if tiles.shape.columns == 4 => run::<std::arch::aarch64::float32x4_t, 12, 1>(tiles),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => run::<std::arch::aarch64::float32x4_t, 12, 2>(tiles),
            Isa::Plain if tiles.shape.columns == 4 => run::<Four, 8, 1>(tiles),
            Isa::Plain => run::<Four, 4, 2>(tiles),
        }
    }
}

/// # Safety
/// As [`compute`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(tiles: &Tiles) {
    // SAFETY: passed on from the caller.
    unsafe {
        match tiles.shape.columns {
            16 => run::<std::arch::x86_64::__m512, 12, 1>(tiles),
            _ => run::<std::arch::x86_64::__m512, 12, 2>(tiles),
        }
    }
}

/// # Safety
/// As [`compute`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(tiles: &Tiles) {
    // SAFETY: passed on from the caller.
    unsafe {
        match tiles.shape.columns {
            8 => run::<std::arch::x86_64::__m256, 8, 1>(tiles),
            _ => run::<std::arch::x86_64::__m256, 6, 2>(tiles),
        }
    }
}

/// # Safety
/// As [`compute`], with tiles of `ROWS` rows and `WIDE` vectors.
#[inline(always)]
unsafe fn run<V: Vector, const ROWS: usize, const WIDE: usize>(tiles: &Tiles) {
    let mut first = 0;
    while first + ROWS <= tiles.left_rows.len() {
        // SAFETY: passed on from the caller.
        unsafe { one::<V, ROWS, WIDE>(tiles, first, ROWS) };
        first += ROWS;
    }
    if first < tiles.left_rows.len() {
        // SAFETY: passed on from the caller.
        unsafe { one::<V, ROWS, WIDE>(tiles, first, tiles.left_rows.len() - first) };
    }
}

/// One tile of the column, from row `first` on, of which `rows` are stored.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn one<V: Vector, const ROWS: usize, const WIDE: usize>(tiles: &Tiles, first: usize, rows: usize) {
    // SAFETY: the caller vouches for the instruction set and for every pointer.
    unsafe {
        let mut sums = [[V::zero(); WIDE]; ROWS];
        // Rows beyond the last compute it again.
        let left: [*const f32; ROWS] =
            std::array::from_fn(|i| tiles.left.offset(tiles.left_rows[first + i.min(rows - 1)]));
        for run in tiles.runs {
            let mut right = tiles.right.offset(run.right);
            let mut at = run.offset;
            for _ in 0..run.len {
                let b: [V; WIDE] = std::array::from_fn(|j| V::load(right.add(j * V::LANES)));
                for i in 0..ROWS {
                    let a = V::splat(*left[i].offset(at));
                    for j in 0..WIDE {
                        sums[i][j] = a.times_plus(b[j], sums[i][j]);
                    }
                }
                at += tiles.left_step;
                right = right.offset(tiles.right_step);
            }
        }
        // Sums go to memory by constant places alone, so that they stay in registers until here.
        let mut done = [MaybeUninit::<[f32; MAX_COLUMNS]>::uninit(); ROWS];
        #[allow(clippy::needless_range_loop, reason = "an iterator over the sums puts them on the stack for good")]
        for i in 0..ROWS {
            for j in 0..WIDE {
                sums[i][j].store(done[i].as_mut_ptr().cast::<f32>().add(j * V::LANES));
            }
        }
        let whole_columns = tiles.columns == WIDE * V::LANES && tiles.out_step == 1;
        for (i, (done, &out)) in done.iter().zip(&tiles.out_rows[first..first + rows]).enumerate() {
            let (done, out) = (done.as_ptr().cast::<f32>(), tiles.out.offset(out));
            if whole_columns {
                for j in 0..WIDE {
                    let out = out.add(j * V::LANES);
                    let mut sum = V::load(done.add(j * V::LANES));
                    if tiles.add {
                        sum = V::load(out).plus(sum);
                    }
                    match tiles.after.bias {
                        Bias::None => {}
                        Bias::Columns(bias) => sum = sum.plus(V::load(bias.add(j * V::LANES))),
                        Bias::Rows(bias) => sum = sum.plus(V::splat(*bias.add(first + i))),
                    }
                    if tiles.after.relu {
                        sum = sum.positive();
                    }
                    sum.store(out);
                }
            } else {
                for j in 0..tiles.columns {
                    let out = out.offset(j as isize * tiles.out_step);
                    let mut sum = *done.add(j);
                    if tiles.add {
                        sum += *out;
                    }
                    match tiles.after.bias {
                        Bias::None => {}
                        Bias::Columns(bias) => sum += *bias.add(j),
                        Bias::Rows(bias) => sum += *bias.add(first + i),
                    }
                    *out = if tiles.after.relu && sum <= 0.0 { 0.0 } else { sum };
                }
            }
        }
    }
}

/// A vector of f32. All functions want the instruction set, and pointers to as many elements as lanes.
trait Vector: Copy {
    const LANES: usize;
    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn splat(x: f32) -> Self;
    /// self · b + c
    unsafe fn times_plus(self, b: Self, c: Self) -> Self;
    unsafe fn plus(self, b: Self) -> Self;
    /// What is above 0 or NaN; 0 for the rest.
    unsafe fn positive(self) -> Self;
    unsafe fn store(self, to: *mut f32);
}

macro_rules! x86_vector {
    ($vector:ident, $lanes:literal, $zero:ident, $load:ident, $splat:ident, $fma:ident, $add:ident, $max:ident, $store:ident) => {
        #[cfg(target_arch = "x86_64")]
        impl Vector for std::arch::x86_64::$vector {
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$zero() }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller vouches for the instruction set and the pointer.
                unsafe { std::arch::x86_64::$load(from) }
            }
            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$splat(x) }
            }
            #[inline(always)]
            unsafe fn times_plus(self, b: Self, c: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$fma(self, b, c) }
            }
            #[inline(always)]
            unsafe fn plus(self, b: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$add(self, b) }
            }
            #[inline(always)]
            unsafe fn positive(self) -> Self {
                // SAFETY: the caller vouches for the instruction set. The second operand is what a NaN gives; adding
                // 0 makes 0 of -0.
                unsafe {
                    let zero = std::arch::x86_64::$zero();
                    std::arch::x86_64::$add(std::arch::x86_64::$max(zero, self), zero)
                }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller vouches for the instruction set and the pointer.
                unsafe { std::arch::x86_64::$store(to, self) }
            }
        }
    };
}

x86_vector!(
    __m512,
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_max_ps,
    _mm512_storeu_ps
);
x86_vector!(
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_max_ps,
    _mm256_storeu_ps
);

#[cfg(target_arch = "aarch64")]
impl Vector for std::arch::aarch64::float32x4_t {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: every CPU of the architecture has NEON.
        unsafe { std::arch::aarch64::vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as above; the caller vouches for the pointer.
        unsafe { std::arch::aarch64::vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: every CPU of the architecture has NEON.
        unsafe { std::arch::aarch64::vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn times_plus(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vfmaq_f32(c, self, b) }
    }
    #[inline(always)]
    unsafe fn plus(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vaddq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn positive(self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vmaxq_f32(self, Self::zero()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above; the caller vouches for the pointer.
        unsafe { std::arch::aarch64::vst1q_f32(to, self) }
    }
}

/// Four lanes in plain Rust, which every compiler turns into 128-bit vectors.
#[derive(Clone, Copy)]
struct Four([f32; 4]);

impl Vector for Four {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Four([0.0; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        Four(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Four([x; 4])
    }
    #[inline(always)]
    unsafe fn times_plus(self, b: Self, c: Self) -> Self {
        Four(std::array::from_fn(|i| self.0[i] * b.0[i] + c.0[i]))
    }
    #[inline(always)]
    unsafe fn plus(self, b: Self) -> Self {
        Four(std::array::from_fn(|i| self.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn positive(self) -> Self {
        Four(self.0.map(|x| if x <= 0.0 { 0.0 } else { x }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
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
