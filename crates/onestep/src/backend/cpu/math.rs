//! Elementary functions of f32 without branches or calls, so that the lane loops that use them become vector
//! code: both sides of every case are computed and one is selected. No fused multiply-add is used, so a value
//! gives the same bits on every instruction set, wherever in a block it stands.
//!
//! Each states its largest error in units in the last place (ULP) of the exact result, which the tests hold.
//! Coefficients are minimax fits of our own; the reductions are the usual ones (Cody and Waite 1980). NaN,
//! infinities, signed zeros and subnormal numbers are as IEEE 754 and C say.

/// 1.5 · 2^23: adding it rounds a small float to an integer, which the low bits of the sum then hold.
const ROUND: f32 = 12_582_912.0;
/// 1.5 · 2^52, the same for f64.
const ROUND_WIDE: f64 = 6_755_399_441_055_744.0;
/// ln 2 in 16 bits, whose products with exponents are exact, and the rest of it.
const LN_2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);
/// π/2 in 33 bits, whose products with up to 20 bits are exact in f64, and the rest of it.
const HALF_PI: (f64, f64) = (1.570_796_326_734_125_6, 6.077_100_506_506_192e-11);
/// The bits of √½, where logarithms cut their octaves.
const SQRT_HALF: u32 = 0x3f35_04f3;

/// [`sin`] and [`cos`] hold their bounds up to this magnitude.
pub(super) const TURNS_LIMIT: f32 = 1e6;

/// Σ `c[k]` · x^k.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for k in (0..N - 1).rev() {
        sum = sum * x + c[k];
    }
    sum
}

/// As [`polynomial`], in f64.
#[inline(always)]
fn polynomial_wide<const N: usize>(x: f64, c: [f64; N]) -> f64 {
    let mut sum = c[N - 1];
    for k in (0..N - 1).rev() {
        sum = sum * x + c[k];
    }
    sum
}

/// `x` between two bounds; NaN stays.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// 2^n for a normal result.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// (n, eʳ − 1) with x = n · ln 2 + r and |r| at most half of ln 2, for moderate x.
#[inline(always)]
fn exp_parts(x: f32) -> (i32, f32) {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let (high, low) = (x - n * LN_2.0, n * LN_2.1);
    let r = high - low;
    let p = polynomial(r, [0.499_999_94, 0.166_665_17, 0.041_668_106, 0.008_369_139, 0.001_383_668_6]);
    (shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32, high + (p * (r * r) - low))
}

/// eˣ, within 1 ULP.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let (n, p) = exp_parts(clamp(x, -104.0, 89.0));
    // In two steps, for 2ⁿ may lie beyond f32 where the result does not.
    let half = n >> 1;
    (p + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// As [`exp`], for x from −80 to 80.
#[inline(always)]
fn moderate_exp(x: f32) -> f32 {
    let (n, p) = exp_parts(x);
    (p + 1.0) * power_of_two(n)
}

/// eˣ − 1, within 2 ULP.
#[inline(always)]
pub(super) fn expm1(x: f32) -> f32 {
    let (n, p) = exp_parts(clamp(x, -20.0, 90.0));
    let half = n >> 1;
    let rest = n.wrapping_sub(half);
    let scale = power_of_two(half);
    let value = (p * scale + (scale - power_of_two(rest.wrapping_neg()))) * power_of_two(rest);
    if x == 0.0 { x } else { value }
}

/// 1 / (1 + e⁻ˣ), within 2 ULP.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let sum = 1.0 + e;
    let value = (if x < 0.0 { e } else { 1.0 }) / sum;
    // Without most of what the sum lost.
    value - value * ((1.0 - sum) + e)
}

/// The hyperbolic tangent, within 2 ULP.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let p = polynomial(z, [-0.333_332_63, 0.133_308_98, -0.053_692_81, 0.020_482_855, -0.005_528_175]);
    let small = a + a * (z * p);
    // From 10 on the result is 1.
    let large = 1.0 - 2.0 / (moderate_exp(2.0 * if a > 10.0 { 10.0 } else { a }) + 1.0);
    (if a < 0.625 { small } else { large }).copysign(x)
}

/// The error function, within 2 ULP.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let small =
        [0.128_379_17, -0.376_126_3, 0.112_836_18, -0.026_855_126, 0.005_190_733_4, -0.000_803_075, 7.920_303e-5];
    let small = a + a * polynomial(a * a, small);
    // −ln(1 − erf) is smooth; from 4 on the result is 1.
    let large =
        [0.000_341_588_4, 1.127_088_9, 0.638_145_3, 0.103_106_32, -0.021_837_86, 0.002_947_611, -0.000_186_375_05];
    let large = 1.0 - moderate_exp(-polynomial(if a > 4.0 { 4.0 } else { a }, large));
    (if a < 1.0 { small } else { large }).copysign(x)
}

/// (n, m) with x = 2ⁿ · m and m from √½ to √2, for a positive finite x.
#[inline(always)]
fn log_parts(x: f32) -> (f32, f32) {
    let subnormal = x < f32::MIN_POSITIVE;
    let bits = (if subnormal { x * 33_554_432.0 } else { x }).to_bits();
    let n = (bits.wrapping_sub(SQRT_HALF) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((n << 23) as u32));
    (n as f32 - if subnormal { 25.0 } else { 0.0 }, m)
}

/// n · ln 2 + ln(1 + f) + c, for f from √½ − 1 to √2 − 1 and a small c.
#[inline(always)]
fn log_of_parts(n: f32, f: f32, c: f32) -> f32 {
    let p = [
        0.333_333_3,
        -0.250_008_2,
        0.200_012_42,
        -0.166_234_12,
        0.142_015_96,
        -0.131_596_31,
        0.127_621_67,
        -0.076_362_856,
    ];
    let z = f * f;
    let small = (f * z * polynomial(f, p) + (n * LN_2.1 + c)) - 0.5 * z;
    (f + small) + n * LN_2.0
}

/// The natural logarithm, within 1 ULP.
#[inline(always)]
pub(super) fn log(x: f32) -> f32 {
    let (n, m) = log_parts(x);
    let value = log_of_parts(n, m - 1.0, 0.0);
    let edge = if x > 0.0 { x } else { f32::NAN };
    let edge = if x == 0.0 { f32::NEG_INFINITY } else { edge };
    if (x > 0.0) & (x < f32::INFINITY) { value } else { edge }
}

/// ln(1 + x), within 2 ULP.
#[inline(always)]
pub(super) fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let (n, m) = log_parts(u);
    // What the sum lost (Knuth 1969).
    let whole = u - 1.0;
    let lost = ((1.0 - (u - whole)) + (x - whole)) / u;
    let near = n == 0.0;
    let value = log_of_parts(n, if near { x } else { m - 1.0 }, if near { 0.0 } else { lost });
    let edge = if x > 0.0 { x } else { f32::NAN };
    let edge = if x == -1.0 { f32::NEG_INFINITY } else { edge };
    let value = if (x > -1.0) & (x < f32::INFINITY) { value } else { edge };
    if x == 0.0 { x } else { value }
}

/// The sine of |x| moved on by quarter turns.
#[inline(always)]
fn turned(x: f32, quarters: u32) -> f32 {
    let y = x.abs() as f64;
    let shifted = y * std::f64::consts::FRAC_2_PI + ROUND_WIDE;
    let n = shifted - ROUND_WIDE;
    let r = ((y - n * HALF_PI.0) - n * HALF_PI.1) as f32;
    let z = r * r;
    let sin = r + r * (z * polynomial(z, [-0.166_666_55, 0.008_332_191, -0.000_195_186_05]));
    let cos = (1.0 - 0.5 * z) + (z * z) * polynomial(z, [0.041_666_646, -0.001_388_730_1, 2.443_067e-5]);
    let quadrant = (shifted.to_bits() as u32).wrapping_add(quarters);
    let magnitude = if quadrant & 1 == 0 { sin } else { cos };
    f32::from_bits(magnitude.to_bits() ^ ((quadrant & 2) << 30))
}

/// The sine, within 2 ULP up to [`TURNS_LIMIT`]; NaN for infinities.
#[inline(always)]
pub(super) fn sin(x: f32) -> f32 {
    f32::from_bits(turned(x, 0).to_bits() ^ (x.to_bits() & 0x8000_0000))
}

/// The cosine, within 2 ULP up to [`TURNS_LIMIT`]; NaN for infinities.
#[inline(always)]
pub(super) fn cos(x: f32) -> f32 {
    turned(x, 1)
}

/// aᵇ, within 1 ULP.
#[inline(always)]
pub(super) fn pow(a: f32, b: f32) -> f32 {
    let base = a.abs();
    let (n, m) = log_parts(base);
    let s = (m as f64 - 1.0) / (m as f64 + 1.0);
    let log2 = [
        2.885_390_081_791_008,
        0.961_796_672_893_601_6,
        0.577_083_642_072_267_7,
        0.411_670_066_778_987,
        0.340_770_778_141_479_4,
    ];
    let log2 = n as f64 + s * polynomial_wide(s * s, log2);
    let log2 = if base == 0.0 { f64::NEG_INFINITY } else { log2 };
    let log2 = if base == f32::INFINITY { f64::INFINITY } else { log2 };
    // Beyond these f32 ends.
    let y = b as f64 * log2;
    let y = if y < -200.0 { -200.0 } else { y };
    let y = if y > 200.0 { 200.0 } else { y };
    let shifted = y + ROUND_WIDE;
    let exp2 = [
        1.000_000_000_555_008,
        0.693_147_205_767_201_2,
        0.240_226_468_864_108_7,
        0.055_503_287_117_203_32,
        0.009_618_489_210_577_82,
        0.001_339_995_766_545_800_6,
        0.000_153_457_975_631_537_64,
    ];
    let p = polynomial_wide(y - (shifted - ROUND_WIDE), exp2);
    let power = (p * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)) as f32;
    let power = if base == 1.0 { 1.0 } else { power };

    // From 2^23 on every float is an integer, from 2^24 on an even one.
    let e = b.abs();
    let shifted = e + 8_388_608.0;
    let integer = (e >= 8_388_608.0) | (shifted - 8_388_608.0 == e);
    let last = (if e < 8_388_608.0 { shifted } else { e }).to_bits() & 1;
    let odd = integer & (e < 16_777_216.0) & (last == 1);
    let sign = a.to_bits() & 0x8000_0000;
    let power = if odd { f32::from_bits(power.to_bits() | sign) } else { power };
    let undefined = (a < 0.0) & (a > f32::NEG_INFINITY) & !integer;
    let power = if undefined | a.is_nan() | b.is_nan() { f32::NAN } else { power };
    if (b == 0.0) | (a == 1.0) { 1.0 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values worth a look besides a sweep: ends, thresholds and their neighbours.
    fn edges() -> Vec<f32> {
        let mut all = vec![0.0, f32::MIN_POSITIVE, f32::from_bits(1), f32::MAX, f32::INFINITY, f32::NAN];
        all.extend([
            0.25, 0.5, 0.625, 1.0, 1.5, 2.0, 3.0, 4.0, 16.0, 20.0, 64.0, 87.33, 88.722_84, 89.0, 90.0, 103.97, 104.0,
        ]);
        all.extend([
            std::f32::consts::FRAC_PI_4,
            std::f32::consts::FRAC_PI_2,
            std::f32::consts::PI,
            355.0,
            TURNS_LIMIT,
        ]);
        all.extend([
            std::f32::consts::LN_2,
            0.346_573_6,
            f32::from_bits(SQRT_HALF),
            std::f32::consts::SQRT_2,
            8_388_608.0,
        ]);
        let near = |x: f32| (-40..=40).map(move |d: i32| f32::from_bits(x.to_bits().saturating_add_signed(d)));
        all.iter().flat_map(|&x| near(x)).flat_map(|x| [x, -x]).collect()
    }

    /// Every 4099th float, the edges, and densely what lies around 0, ±1 and up to ±8.
    fn sweep() -> impl Iterator<Item = f32> {
        let strided = (0..=u32::MAX).step_by(4099).map(f32::from_bits);
        let dense = (-400_000..=400_000).map(|i| i as f32 * 2e-5 + 1e-9);
        strided.chain(dense).chain(edges())
    }

    /// How far a result is from the exact one, in units in the last place of the latter.
    fn ulps(got: f32, want: f64) -> f64 {
        let rounded = want as f32;
        if want.is_nan() || got.is_nan() || rounded.is_infinite() || got.is_infinite() {
            let almost =
                rounded.is_infinite() && got.abs() == f32::MAX || got.is_infinite() && rounded.abs() == f32::MAX;
            let same = got == rounded || want.is_nan() && got.is_nan() || almost && got.signum() == rounded.signum();
            return if same { 0.0 } else { f64::INFINITY };
        }
        if want == 0.0 && got.to_bits() != rounded.to_bits() {
            return f64::INFINITY;
        }
        let exponent = ((want.abs().to_bits() >> 52) as i32 - 1023).max(-126);
        (got as f64 - want).abs() / 2f64.powi(exponent - 23)
    }

    /// The largest error over a sweep of the arguments for which `of` is asked, held to a bound.
    fn holds(name: &str, bound: f64, of: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) {
        let mut worst = (0.0, 0.0);
        for x in sweep() {
            let error = ulps(of(x), exact(x as f64));
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{name}: {:.3} ULP at {:e}", worst.0, worst.1);
        assert!(
            worst.0 <= bound,
            "{name}: {} ULP at {:e}: {:e}, not {:e}",
            worst.0,
            worst.1,
            of(worst.1),
            exact(worst.1 as f64)
        );
    }

    #[test]
    fn exponentials_keep_their_bounds() {
        holds("exp", 1.0, exp, f64::exp);
        holds("expm1", 2.0, expm1, f64::exp_m1);
        holds("sigmoid", 2.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
        holds("tanh", 2.0, tanh, f64::tanh);
        holds("erf", 2.0, erf, libm::erf);
    }

    #[test]
    fn logarithms_keep_their_bounds() {
        holds("log", 1.0, log, f64::ln);
        holds("log1p", 2.0, log1p, f64::ln_1p);
    }

    #[test]
    fn sine_and_cosine_keep_their_bounds() {
        // Beyond the limit the caller asks elsewhere.
        let far = |x: f32| x.abs() > TURNS_LIMIT && x.is_finite();
        holds("sin", 2.0, |x| if far(x) { 0.0 } else { sin(x) }, |x| if far(x as f32) { 0.0 } else { x.sin() });
        holds("cos", 2.0, |x| if far(x) { 0.0 } else { cos(x) }, |x| if far(x as f32) { 0.0 } else { x.cos() });
    }

    #[test]
    fn power_keeps_its_bound() {
        for b in [0.5, 2.0, 3.0, -1.0, -2.5, 0.1, 10.0, 1e-3, 37.7, 0.999, 1.0, -0.5, 1e4, -3e-7] {
            holds(&format!("pow {b}"), 1.0, |a| pow(a, b), |a| a.powf(b as f64));
        }
        for a in [
            0.5,
            2.0,
            10.0,
            0.9,
            1.000_1,
            1e-40,
            1e30,
            -1.0,
            -3.0,
            -0.0,
            0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1.0,
            f32::NAN,
        ] {
            holds(&format!("{a} pow"), 1.0, |b| pow(a, b), |b| (a as f64).powf(b));
        }
        let mut special = edges();
        special.extend([-1.0, -2.0, -3.0, 8_388_607.0, 16_777_215.0, -16_777_217.0]);
        for &a in special.iter().step_by(7) {
            for &b in &special {
                let (got, want) = (pow(a, b), (a as f64).powf(b as f64));
                assert!(ulps(got, want) <= 1.0, "{a:e} ^ {b:e}: {got:e}, not {want:e}");
            }
        }
    }
}
