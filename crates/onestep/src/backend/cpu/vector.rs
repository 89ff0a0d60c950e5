//! Vectors of f32 for each instruction set, under one set of names.

/// A vector of f32. All functions want the instruction set, and pointers to as many elements as lanes.
pub(super) trait Vector: Copy {
    const LANES: usize;
    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn splat(x: f32) -> Self;
    unsafe fn plus(self, b: Self) -> Self;
    unsafe fn minus(self, b: Self) -> Self;
    unsafe fn times(self, b: Self) -> Self;
    unsafe fn over(self, b: Self) -> Self;
    unsafe fn root(self) -> Self;
    /// self · b + c, rounded once where there is an instruction for it.
    unsafe fn times_plus(self, b: Self, c: Self) -> Self;
    /// What is above 0 or NaN; 0 for the rest.
    unsafe fn positive(self) -> Self;
    unsafe fn store(self, to: *mut f32);
}

macro_rules! x86_vector {
    ($vector:ident, $lanes:literal, $zero:ident, $load:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $div:ident,
     $sqrt:ident, $fma:ident, $max:ident, $store:ident) => {
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
            unsafe fn plus(self, b: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$add(self, b) }
            }
            #[inline(always)]
            unsafe fn minus(self, b: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$sub(self, b) }
            }
            #[inline(always)]
            unsafe fn times(self, b: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$mul(self, b) }
            }
            #[inline(always)]
            unsafe fn over(self, b: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$div(self, b) }
            }
            #[inline(always)]
            unsafe fn root(self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$sqrt(self) }
            }
            #[inline(always)]
            unsafe fn times_plus(self, b: Self, c: Self) -> Self {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { std::arch::x86_64::$fma(self, b, c) }
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
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_div_ps,
    _mm512_sqrt_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps,
    _mm512_storeu_ps
);
x86_vector!(
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_div_ps,
    _mm256_sqrt_ps,
    _mm256_fmadd_ps,
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
    unsafe fn plus(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vaddq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn minus(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vsubq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn times(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vmulq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn over(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vdivq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn root(self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vsqrtq_f32(self) }
    }
    #[inline(always)]
    unsafe fn times_plus(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { std::arch::aarch64::vfmaq_f32(c, self, b) }
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

/// Lanes in plain Rust.
#[derive(Clone, Copy)]
pub(super) struct Plain<const N: usize>([f32; N]);

/// Four lanes, which every compiler turns into 128-bit vectors.
pub(super) type Four = Plain<4>;

/// A single lane, for what is left of a row.
pub(super) type One = Plain<1>;

impl<const N: usize> Vector for Plain<N> {
    const LANES: usize = N;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Plain([0.0; N])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        Plain(unsafe { from.cast::<[f32; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Plain([x; N])
    }
    #[inline(always)]
    unsafe fn plus(self, b: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn minus(self, b: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] - b.0[i]))
    }
    #[inline(always)]
    unsafe fn times(self, b: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn over(self, b: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] / b.0[i]))
    }
    #[inline(always)]
    unsafe fn root(self) -> Self {
        Plain(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    unsafe fn times_plus(self, b: Self, c: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] * b.0[i] + c.0[i]))
    }
    #[inline(always)]
    unsafe fn positive(self) -> Self {
        Plain(self.0.map(|x| if x <= 0.0 { 0.0 } else { x }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { to.cast::<[f32; N]>().write_unaligned(self.0) }
    }
}
