//! The inner kernel of products and convolutions: a small tile of results held in vector registers while
//! the contracted axis is walked. One text for every instruction set, chosen at run time.

use crate::error::{Error, Result};

/// Rows of a tile at most, and columns at most, over all instruction sets.
pub(super) const MAX_ROWS: usize = 12;
/// See [`MAX_ROWS`].
pub(super) const MAX_COLUMNS: usize = 32;

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

    /// Rows and columns of a tile.
    pub(super) fn shape(self) -> (usize, usize) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => (12, 32),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => (6, 16),
            // 24 sums, two right vectors and one left in 32 registers.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => (12, 8),
            Isa::Plain => (4, 8),
        }
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

/// The work of one tile: `out[i][j] (+)= Σ left[i][k] · right[k][j]`.
pub(super) struct Tile<'a> {
    /// The first left element of each row; rows beyond `rows` repeat the last.
    pub left: [*const f32; MAX_ROWS],
    /// Distance of left elements from step to step.
    pub left_step: isize,
    /// The contracted axis.
    pub runs: &'a [Run],
    /// The first right row; columns lie side by side, and all of a tile's columns can be read.
    pub right: *const f32,
    /// Distance of right rows.
    pub right_step: isize,
    /// The first result of each row.
    pub out: [*mut f32; MAX_ROWS],
    /// Distance of results from column to column.
    pub out_step: isize,
    /// Rows that are stored.
    pub rows: usize,
    /// Columns that are stored.
    pub columns: usize,
    /// Whether results are added to what is there.
    pub add: bool,
}

/// Computes a tile.
///
/// # Safety
/// Every pointer must reach what its field describes, the CPU must have `isa`, and `rows` and `columns` must
/// not exceed [`Isa::shape`].
pub(super) unsafe fn compute(isa: Isa, tile: &Tile) {
    // SAFETY: passed on from the caller.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(tile),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(tile),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => run::<std::arch::aarch64::float32x4_t, 12>(tile),
            Isa::Plain => run::<Four, 4>(tile),
        }
    }
}

/// # Safety
/// As [`compute`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(tile: &Tile) {
    // SAFETY: passed on from the caller.
    unsafe { run::<std::arch::x86_64::__m512, 12>(tile) }
}

/// # Safety
/// As [`compute`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(tile: &Tile) {
    // SAFETY: passed on from the caller.
    unsafe { run::<std::arch::x86_64::__m256, 6>(tile) }
}

/// # Safety
/// As [`compute`], with tiles of `ROWS` rows and two vectors.
#[inline(always)]
unsafe fn run<V: Vector, const ROWS: usize>(tile: &Tile) {
    // SAFETY: the caller vouches for the instruction set and for every pointer.
    unsafe {
        let mut sums = [[V::zero(); 2]; ROWS];
        let mut left = [std::ptr::null(); ROWS];
        left.copy_from_slice(&tile.left[..ROWS]);
        for run in tile.runs {
            let mut right = tile.right.offset(run.right);
            let mut at = run.offset;
            for _ in 0..run.len {
                let (b0, b1) = (V::load(right), V::load(right.add(V::LANES)));
                for i in 0..ROWS {
                    let a = V::splat(*left[i].offset(at));
                    sums[i][0] = a.times_plus(b0, sums[i][0]);
                    sums[i][1] = a.times_plus(b1, sums[i][1]);
                }
                at += tile.left_step;
                right = right.offset(tile.right_step);
            }
        }
        for (i, sums) in sums.iter().enumerate().take(tile.rows) {
            let out = tile.out[i];
            if tile.columns == 2 * V::LANES && tile.out_step == 1 {
                for (half, &sum) in sums.iter().enumerate() {
                    let out = out.add(half * V::LANES);
                    let sum = if tile.add { V::load(out).plus(sum) } else { sum };
                    sum.store(out);
                }
            } else {
                let mut whole = [0f32; MAX_COLUMNS];
                sums[0].store(whole.as_mut_ptr());
                sums[1].store(whole.as_mut_ptr().add(V::LANES));
                for (j, &sum) in whole.iter().enumerate().take(tile.columns) {
                    let out = out.offset(j as isize * tile.out_step);
                    *out = if tile.add { *out + sum } else { sum };
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
    unsafe fn store(self, to: *mut f32);
}

macro_rules! x86_vector {
    ($vector:ident, $lanes:literal, $zero:ident, $load:ident, $splat:ident, $fma:ident, $add:ident, $store:ident) => {
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
