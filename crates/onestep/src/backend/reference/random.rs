//! Philox 4x32-10: counter-based random bits (Salmon et al. 2011, "Parallel random numbers: as easy as
//! 1, 2, 3"), checked against the known answers of the authors' Random123 library.

use super::Value;
use crate::ir::{DType, Shape};

/// The block of four words that a counter and a key give.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let product = |a: u32, b: u32| {
        let p = a as u64 * b as u64;
        ((p >> 32) as u32, p as u32)
    };
    for _ in 0..10 {
        let (high0, low0) = product(0xD251_1F53, counter[0]);
        let (high1, low1) = product(0xCD9E_8D57, counter[2]);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// Random bits (u32), or their upper 24 as a number in [0, 1).
pub(super) fn random(shape: &Shape, dtype: DType, stream: u32, seed: &Value, step: &Value) -> Vec<f64> {
    let key = [seed.data[0] as u32, seed.data[1] as u32];
    let step = step.data[0] as u32;
    let word = |i: usize| {
        let bits = philox([(i / 4) as u32, stream, step, 0], key)[i % 4];
        if dtype.is_float() { (bits >> 8) as f64 / (1 << 24) as f64 } else { bits as f64 }
    };
    (0..shape.elements()).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{run, value};
    use super::*;
    use crate::ir::Op;

    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let got = philox(pi, [0xa409_3822, 0x299f_31d0]);
        assert_eq!(got, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn elements_are_words_of_blocks() {
        let seed = value(DType::U32, [2], &[7.0, u32::MAX as f64]);
        let inputs = [seed, value(DType::U32, [], &[5.0])];
        let op = |dtype| Op::Random { shape: [2, 3].into(), dtype, stream: 9 };
        let blocks = [philox([0, 9, 5, 0], [7, u32::MAX]), philox([1, 9, 5, 0], [7, u32::MAX])];
        let words = &blocks.as_flattened()[..6];
        let bits = run(op(DType::U32), &inputs);
        assert!(bits.data.iter().zip(words).all(|(&a, &b)| a == b as f64));
        let uniform = run(op(DType::F32), &inputs);
        assert!(uniform.data.iter().zip(words).all(|(&a, &b)| a == (b >> 8) as f64 / 16777216.0 && a < 1.0));
    }
}
