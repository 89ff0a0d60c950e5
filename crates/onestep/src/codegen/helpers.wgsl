// A float from its bits, NaN and infinities too, which constants may not be.
fn from_bits(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}

fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// Neither NaN nor infinite.
fn is_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// A division whose divisor may be zero: compilers that know the divisor may leave open what comes of it.
fn quotient(a: f32, b: f32) -> f32 {
  if (b == 0.0f) {
    let infinity: u32 = ((bitcast<u32>(a) ^ bitcast<u32>(b)) & 0x80000000u) | 0x7f800000u;
    return from_bits(select(infinity, 0x7fc00000u, a == 0.0f || is_nan(a)));
  }
  return a / b;
}

// Whether two are not the same number; NaN is not the same as anything.
fn differ(a: f32, b: f32) -> bool {
  return a != b || is_nan(a) || is_nan(b);
}

// The larger of two; NaN if either is NaN.
fn larger(a: f32, b: f32) -> f32 {
  if (is_nan(a)) {
    return a;
  }
  if (is_nan(b)) {
    return b;
  }
  return max(a, b);
}

// The smaller of two; NaN if either is NaN.
fn smaller(a: f32, b: f32) -> f32 {
  if (is_nan(a)) {
    return a;
  }
  if (is_nan(b)) {
    return b;
  }
  return min(a, b);
}

// Whether a value takes the place of the largest so far: beyond it, or the first NaN.
fn is_first_largest(value: f32, best: f32) -> bool {
  return !is_nan(best) && (is_nan(value) || value > best);
}

// Whether a value takes the place of the smallest so far: below it, or the first NaN.
fn is_first_smallest(value: f32, best: f32) -> bool {
  return !is_nan(best) && (is_nan(value) || value < best);
}

// -1, 0 or 1; NaN stays NaN.
fn sign_of(x: f32) -> f32 {
  if (is_nan(x)) {
    return x;
  }
  return sign(x);
}

// e^x - 1: the series near 0, where a difference would lose digits.
fn expm1(x: f32) -> f32 {
  if (abs(x) > 0.5f) {
    return exp(x) - 1.0f;
  }
  var sum: f32 = 2.7557319e-6f;
  sum = sum * x + 2.4801587e-5f;
  sum = sum * x + 1.984127e-4f;
  sum = sum * x + 1.3888889e-3f;
  sum = sum * x + 8.333334e-3f;
  sum = sum * x + 4.1666668e-2f;
  sum = sum * x + 1.6666667e-1f;
  sum = sum * x + 0.5f;
  return sum * x * x + x;
}

// log(1 + x): near 0 from s = x / (2 + x) as 2 (s + s^3 / 3 + s^5 / 5 + ...).
fn log1p(x: f32) -> f32 {
  if (abs(x) > 0.5f) {
    return log(1.0f + x);
  }
  let s: f32 = x / (2.0f + x);
  let z: f32 = s * s;
  var sum: f32 = 7.6923077e-2f;
  sum = sum * z + 9.090909e-2f;
  sum = sum * z + 1.1111111e-1f;
  sum = sum * z + 1.4285715e-1f;
  sum = sum * z + 0.2f;
  sum = sum * z + 3.3333334e-1f;
  return 2.0f * (s * z * sum + s);
}

// Some devices overflow far from 0, where the answer is 1.
fn bounded_tanh(x: f32) -> f32 {
  if (is_nan(x)) {
    return x;
  }
  return tanh(clamp(x, -10.0f, 10.0f));
}

// Below 1 its power series; from there on formula 7.1.26 of Abramowitz and Stegun. Error below 2e-7.
fn erf(x: f32) -> f32 {
  let z: f32 = x * x;
  if (z < 1.0f) {
    var sum: f32 = -1.0892221e-9f;
    sum = sum * z + 1.3122532e-8f;
    sum = sum * z - 1.4503852e-7f;
    sum = sum * z + 1.4589169e-6f;
    sum = sum * z - 1.3227513e-5f;
    sum = sum * z + 1.0683761e-4f;
    sum = sum * z - 7.575758e-4f;
    sum = sum * z + 4.6296297e-3f;
    sum = sum * z - 2.3809524e-2f;
    sum = sum * z + 0.1f;
    sum = sum * z - 3.3333334e-1f;
    return 1.1283792f * (x * z * sum + x);
  }
  if (is_nan(x)) {
    return x;
  }
  let a: f32 = min(abs(x), 10.0f);
  let t: f32 = 1.0f / (1.0f + 0.3275911f * a);
  let p: f32 = t * (0.25482959f + t * (-0.28449673f + t * (1.4214137f + t * (-1.4531521f + t * 1.0614054f))));
  return sign(x) * (1.0f - p * exp(-a * a));
}

// a^b, also of negative a where b is whole.
fn power(a: f32, b: f32) -> f32 {
  if (b == 0.0f || a == 1.0f) {
    return 1.0f;
  }
  if (is_nan(a) || is_nan(b)) {
    return from_bits(0x7fc00000u);
  }
  let size: f32 = pow(abs(a), b);
  if (a >= 0.0f) {
    return size;
  }
  if (floor(b) != b) {
    return from_bits(0x7fc00000u);
  }
  let half: f32 = 0.5f * b;
  return select(-size, size, floor(half) == half);
}

// Truncates and saturates; NaN gives 0.
fn to_int(x: f32) -> i32 {
  if (is_nan(x)) {
    return 0;
  }
  if (x >= 2147483648.0f) {
    return 2147483647;
  }
  return i32(max(x, -2147483648.0f));
}

// Truncates and saturates; NaN gives 0.
fn to_uint(x: f32) -> u32 {
  if (is_nan(x)) {
    return 0u;
  }
  if (x >= 4294967296.0f) {
    return 0xffffffffu;
  }
  return u32(max(x, 0.0f));
}

// Truncates and saturates; NaN gives 0.
fn to_byte(x: f32) -> u32 {
  if (is_nan(x)) {
    return 0u;
  }
  return u32(clamp(x, 0.0f, 255.0f));
}

// Truncating quotient, wrapping; 0 when divided by 0.
fn divide_int(a: i32, b: i32) -> i32 {
  if (b == 0) {
    return 0;
  }
  if (b == -1) {
    return -a;
  }
  return a / b;
}

// Remainder with the sign of a; 0 when divided by 0.
fn remainder_int(a: i32, b: i32) -> i32 {
  if (b == 0 || b == -1) {
    return 0;
  }
  return a % b;
}

// Quotient; 0 when divided by 0.
fn divide_uint(a: u32, b: u32) -> u32 {
  if (b == 0u) {
    return 0u;
  }
  return a / b;
}

// Remainder; 0 when divided by 0.
fn remainder_uint(a: u32, b: u32) -> u32 {
  if (b == 0u) {
    return 0u;
  }
  return a % b;
}

// Quotient by a positive number, rounded down.
fn floor_div(a: i32, b: i32) -> i32 {
  return a / b - select(0, 1, a % b < 0);
}

// Remainder of the division by a positive number, never negative.
fn floor_rem(a: i32, b: i32) -> i32 {
  let r: i32 = a % b;
  return select(r, r + b, r < 0);
}

// The float of a bfloat16.
fn bf16_value(bits: u32) -> f32 {
  return bitcast<f32>(bits << 16u);
}

// The nearest bfloat16, ties to even; NaN stays NaN.
fn bf16_bits(x: f32) -> u32 {
  let bits: u32 = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (bits >> 16u) | 0x40u;
  }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

// The float of an IEEE half.
fn f16_value(bits: u32) -> f32 {
  let sign: u32 = (bits & 0x8000u) << 16u;
  let exponent: u32 = (bits >> 10u) & 31u;
  let mantissa: u32 = bits & 0x3ffu;
  if (exponent == 31u) {
    return bitcast<f32>(sign | 0x7f800000u | (mantissa << 13u));
  }
  if (exponent != 0u) {
    return bitcast<f32>(sign | ((exponent + 112u) << 23u) | (mantissa << 13u));
  }
  let small: f32 = f32(mantissa) * 5.9604645e-8f;
  return select(small, -small, sign != 0u);
}

// The nearest IEEE half, ties to even; beyond the largest, infinity.
fn f16_bits(x: f32) -> u32 {
  let all: u32 = bitcast<u32>(x);
  let sign: u32 = (all >> 16u) & 0x8000u;
  let bits: u32 = all & 0x7fffffffu;
  if (bits > 0x7f800000u) {
    return sign | 0x7e00u;
  }
  if (bits >= 0x477ff000u) {
    return sign | 0x7c00u;
  }
  // Below the least normal half: adding 1/2 rounds to its spacing of 2^-24.
  if (bits < 0x38800000u) {
    return sign | (bitcast<u32>(bitcast<f32>(bits) + 0.5f) - 0x3f000000u);
  }
  return sign | ((bits + 0xfffu + ((bits >> 13u) & 1u) - 0x38000000u) >> 13u);
}

// The upper 32 bits of a product.
fn multiply_high(a: u32, b: u32) -> u32 {
  let low: u32 = (a & 0xffffu) * (b & 0xffffu);
  let left: u32 = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let right: u32 = (a & 0xffffu) * (b >> 16u) + (left & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (left >> 16u) + (right >> 16u);
}

// Philox 4x32-10 (Salmon et al. 2011).
fn philox(block: u32, stream: u32, step: u32, key0: u32, key1: u32) -> vec4<u32> {
  var counter: vec4<u32> = vec4<u32>(block, stream, step, 0u);
  var key: vec2<u32> = vec2<u32>(key0, key1);
  for (var round: i32 = 0; round < 10; round += 1) {
    counter = vec4<u32>(
      multiply_high(0xcd9e8d57u, counter.z) ^ counter.y ^ key.x,
      0xcd9e8d57u * counter.z,
      multiply_high(0xd2511f53u, counter.x) ^ counter.w ^ key.y,
      0xd2511f53u * counter.x,
    );
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return counter;
}

// The upper 24 bits as a number in [0, 1).
fn unit(word: u32) -> f32 {
  return f32(word >> 8u) * (1.0f / 16777216.0f);
}
