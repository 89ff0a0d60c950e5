// The larger of two; NaN if either is NaN.
__device__ inline float larger(float a, float b) {
  return a > b || a != a ? a : b;
}

// The smaller of two; NaN if either is NaN.
__device__ inline float smaller(float a, float b) {
  return a < b || a != a ? a : b;
}

// Whether a value takes the place of the largest so far: beyond it, or the first NaN.
__device__ inline bool is_first_largest(float value, float best) {
  return best == best && (value != value || value > best);
}

// Whether a value takes the place of the smallest so far: below it, or the first NaN.
__device__ inline bool is_first_smallest(float value, float best) {
  return best == best && (value != value || value < best);
}

// Neither NaN nor infinite.
__device__ inline bool is_finite(float x) {
  return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

// Truncates and saturates; NaN gives 0.
__device__ inline int to_int(float x) {
  if (x != x) return 0;
  if (x >= 2147483648.0f) return 2147483647;
  if (x <= -2147483648.0f) return -2147483647 - 1;
  return (int)x;
}

// Truncates and saturates; NaN gives 0.
__device__ inline unsigned to_uint(float x) {
  if (!(x > 0.0f)) return 0u;
  if (x >= 4294967296.0f) return 0xffffffffu;
  return (unsigned)x;
}

// Truncates and saturates; NaN gives 0.
__device__ inline unsigned to_byte(float x) {
  if (!(x > 0.0f)) return 0u;
  if (x >= 255.0f) return 255u;
  return (unsigned)x;
}

// Truncating quotient, wrapping; 0 when divided by 0.
__device__ inline int divide_int(int a, int b) {
  if (b == 0) return 0;
  if (b == -1) return (int)(0u - (unsigned)a);
  return a / b;
}

// Remainder with the sign of a; 0 when divided by 0.
__device__ inline int remainder_int(int a, int b) {
  if (b == 0 || b == -1) return 0;
  return a % b;
}

// Quotient; 0 when divided by 0.
__device__ inline unsigned divide_uint(unsigned a, unsigned b) {
  return b == 0u ? 0u : a / b;
}

// Remainder; 0 when divided by 0.
__device__ inline unsigned remainder_uint(unsigned a, unsigned b) {
  return b == 0u ? 0u : a % b;
}

// Quotient by a positive number, rounded down.
template <typename I> __device__ inline I floor_div(I a, I b) {
  return a / b - (a % b < 0);
}

// Remainder of the division by a positive number, never negative.
template <typename I> __device__ inline I floor_rem(I a, I b) {
  const I r = a % b;
  return r < 0 ? r + b : r;
}

// The float of a bfloat16.
__device__ inline float bf16_value(unsigned bits) {
  return __uint_as_float(bits << 16);
}

// The nearest bfloat16, ties to even; NaN stays NaN.
__device__ inline unsigned bf16_bits(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  unsigned short nearest;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(nearest) : "f"(x));
  return nearest;
#else
  const unsigned bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (bits >> 16) | 0x40u;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
#endif
}

// The float of an IEEE half.
__device__ inline float f16_value(unsigned bits) {
#ifdef __CUDA_ARCH__
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"((unsigned short)bits));
  return x;
#else
  const unsigned sign = (bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, mantissa = bits & 0x3ffu;
  if (exponent == 31u) return __uint_as_float(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0u) return __uint_as_float(sign | ((exponent + 112u) << 23) | (mantissa << 13));
  const float small = (float)mantissa * 5.9604645e-8f;
  return sign != 0u ? -small : small;
#endif
}

// The nearest IEEE half, ties to even; beyond the largest, infinity.
__device__ inline unsigned f16_bits(float x) {
#ifdef __CUDA_ARCH__
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  const unsigned all = __float_as_uint(x), sign = (all >> 16) & 0x8000u, bits = all & 0x7fffffffu;
  if (bits > 0x7f800000u) return sign | 0x7e00u;
  if (bits >= 0x477ff000u) return sign | 0x7c00u;
  // Below the least normal half: adding 1/2 rounds to its spacing of 2^-24.
  if (bits < 0x38800000u) return sign | (__float_as_uint(__uint_as_float(bits) + 0.5f) - 0x3f000000u);
  return sign | ((bits + 0xfffu + ((bits >> 13) & 1u) - 0x38000000u) >> 13);
#endif
}

struct Words {
  unsigned at[4];
};

// Philox 4x32-10 (Salmon et al. 2011).
__device__ inline Words philox(unsigned block, unsigned stream, unsigned step, unsigned key0, unsigned key1) {
  unsigned a = block, b = stream, c = step, d = 0u;
  for (int round = 0; round < 10; ++round) {
    const unsigned high0 = __umulhi(0xd2511f53u, a), low0 = 0xd2511f53u * a;
    const unsigned high1 = __umulhi(0xcd9e8d57u, c), low1 = 0xcd9e8d57u * c;
    a = high1 ^ b ^ key0;
    b = low1;
    c = high0 ^ d ^ key1;
    d = low0;
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  return Words{{a, b, c, d}};
}

// The upper 24 bits as a number in [0, 1).
__device__ inline float uniform(unsigned word) {
  return (float)(word >> 8) * (1.0f / 16777216.0f);
}

// Lets the kernels that depend on this one come to the device, and waits for what this one depends on.
__device__ inline void take_turn() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// A number next to x that becomes x in TF32 when its last 13 bits are dropped, as matrix units do by themselves: it grows
// by a third to two thirds of a unit in the last place of TF32, so that dropping rounds to either side alike, and leaves
// what TF32 has as it is. NaN and infinity stay. To the nearest takes four instructions, this takes one.
__device__ inline float tf32(float x) {
  return x * 1.000338f;
}

// Fragments of four matrices of 8 rows of 16 bytes; lane i gives row i % 8 of matrix i / 8.
__device__ inline void load_matrices(unsigned (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"((unsigned)__cvta_generic_to_shared(row))
               : "memory");
}

// The same of transposed matrices of 16-bit elements.
__device__ inline void load_transposed(unsigned (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"((unsigned)__cvta_generic_to_shared(row))
               : "memory");
}

// Adds the product of 16 x 8 by 8 x 8 elements to a warp's sums.
__device__ inline void multiply_tf32(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Adds the product of 16 x 16 by 16 x 8 elements to a warp's sums.
__device__ inline void multiply_bf16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Adds the product of 16 x 16 by 16 x 8 elements to a warp's sums.
__device__ inline void multiply_f16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
