//! Initial values of parameters: a pure function of seed, full name and index, so that adding or removing
//! a layer leaves the values of the others alone, and every machine gets the same bits.
//!
//! The name's bytes (FNV-1a) and the seed are mixed into a 64-bit key; element i is drawn from the output
//! of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") at counter
//! `key + i`. Normal numbers are Box and Muller's transform of the two halves of one output.

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// One value everywhere.
    Constant(f64),
    /// Uniform in [low, high).
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
}

impl Init {
    /// Zeros.
    pub fn zeros() -> Self {
        Init::Constant(0.0)
    }

    /// Ones.
    pub fn ones() -> Self {
        Init::Constant(1.0)
    }

    /// Uniform in ±bound.
    pub fn symmetric(bound: f64) -> Self {
        Init::Uniform { low: -bound, high: bound }
    }

    /// U(±√(6 / fan_in)): He et al. 2015, "Delving deep into rectifiers", with ReLU's gain √2.
    pub fn kaiming_uniform(fan_in: usize) -> Self {
        Init::symmetric((6.0 / at_least_one(fan_in)).sqrt())
    }

    /// N(0, 2 / fan_in): He et al. 2015, with ReLU's gain √2.
    pub fn kaiming_normal(fan_in: usize) -> Self {
        Init::Normal { mean: 0.0, std: (2.0 / at_least_one(fan_in)).sqrt() }
    }

    /// U(±√(6 / (fan_in + fan_out))): Glorot and Bengio 2010.
    pub fn xavier_uniform(fan_in: usize, fan_out: usize) -> Self {
        Init::symmetric((6.0 / at_least_one(fan_in.saturating_add(fan_out))).sqrt())
    }

    /// N(0, 2 / (fan_in + fan_out)): Glorot and Bengio 2010.
    pub fn xavier_normal(fan_in: usize, fan_out: usize) -> Self {
        Init::Normal { mean: 0.0, std: (2.0 / at_least_one(fan_in.saturating_add(fan_out))).sqrt() }
    }

    /// U(±1 / √fan_in): what PyTorch's linear and convolution layers start from, weights and biases.
    pub fn torch_default(fan_in: usize) -> Self {
        Init::symmetric(1.0 / at_least_one(fan_in).sqrt())
    }

    /// The values of the `n` elements of the parameter with this full name.
    pub fn values(&self, seed: u64, name: &str, n: usize) -> Vec<f32> {
        let key = key(seed, name);
        let bits = |i: usize| mix(key.wrapping_add((i as u64).wrapping_mul(GOLDEN)));
        match *self {
            Init::Constant(value) => vec![value as f32; n],
            Init::Uniform { low, high } => (0..n)
                .map(|i| {
                    let u = (bits(i) >> 11) as f64 / (1u64 << 53) as f64;
                    (low + (high - low) * u) as f32
                })
                .collect(),
            Init::Normal { mean, std } => (0..n).map(|i| (mean + std * standard_normal(bits(i))) as f32).collect(),
        }
    }
}

/// 2^64 / φ, odd: SplitMix64's distance between counters.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn key(seed: u64, name: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    mix(name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv) ^ mix(seed.wrapping_add(GOLDEN)))
}

/// SplitMix64's finaliser.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Box and Muller's transform of the two halves of 64 random bits. `libm` gives the same bits everywhere.
fn standard_normal(bits: u64) -> f64 {
    let scale = (1u64 << 32) as f64;
    let (u, v) = (((bits >> 32) + 1) as f64 / scale, (bits & 0xFFFF_FFFF) as f64 / scale);
    libm::sqrt(-2.0 * libm::log(u)) * libm::cos(2.0 * std::f64::consts::PI * v)
}

fn at_least_one(fan: usize) -> f64 {
    fan.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| v as f64).sum::<f64>() / n;
        (mean, values.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn follows_from_seed_name_and_index_alone() {
        let init = Init::kaiming_normal(8);
        let a = init.values(1, "fc1.weight", 100);
        assert_eq!(a[..10], init.values(1, "fc1.weight", 10));
        assert_ne!(a, init.values(2, "fc1.weight", 100));
        assert_ne!(a, init.values(1, "fc2.weight", 100));
    }

    #[test]
    fn distributions_have_their_moments() {
        let (mean, var) = moments(&Init::xavier_uniform(3, 3).values(7, "w", 100_000));
        assert!(mean.abs() < 0.01 && (var - 1.0 / 3.0).abs() < 0.01, "{mean} {var}");
        let (mean, var) = moments(&Init::Normal { mean: 2.0, std: 3.0 }.values(7, "w", 100_000));
        assert!((mean - 2.0).abs() < 0.05 && (var - 9.0).abs() < 0.2, "{mean} {var}");
        assert_eq!(Init::ones().values(0, "b", 3), [1.0; 3]);
        let bound = Init::torch_default(16).values(3, "b", 1000);
        assert!(bound.iter().all(|v| v.abs() <= 0.25));
    }
}
