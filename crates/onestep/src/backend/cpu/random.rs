//! Philox 4x32-10 (Salmon et al. 2011), as [`Op::Random`](crate::ir::Op::Random) describes it.

/// Counters that are worked on at once.
const COUNTERS: usize = 4;

/// The words of the blocks with `N` counters under one key, each an array over the counters. Words are held
/// in 64 bits, where the products are formed.
#[inline(always)]
fn blocks<const N: usize>(mut counter: [[u64; N]; 4], mut key: [u32; 2]) -> [[u64; N]; 4] {
    for round in 0..10 {
        if round > 0 {
            key[0] = key[0].wrapping_add(0x9e37_79b9);
            key[1] = key[1].wrapping_add(0xbb67_ae85);
        }
        let [c0, c1, c2, c3] = &mut counter;
        for (((c0, c1), c2), c3) in c0.iter_mut().zip(c1).zip(c2).zip(c3) {
            let a = (*c0 & 0xffff_ffff) * 0xd251_1f53;
            let b = (*c2 & 0xffff_ffff) * 0xcd9e_8d57;
            *c0 = (b >> 32) ^ *c1 ^ key[0] as u64;
            *c1 = b & 0xffff_ffff;
            *c2 = (a >> 32) ^ *c3 ^ key[1] as u64;
            *c3 = a & 0xffff_ffff;
        }
    }
    counter
}

/// The four words of the block with a counter under a key.
pub(super) fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    blocks(counter.map(|c| [c as u64]), key).map(|[word]| word as u32)
}

/// The words of elements `first`, `first + 1`, …: four to a block, whose counter starts with the element's
/// number divided by four.
#[inline(always)]
pub(super) fn words(first: i64, [stream, step]: [u32; 2], key: [u32; 2], mut to: &mut [u32]) {
    let mut counter = (first >> 2) as u32;
    let mut skip = (first & 3) as usize;
    while !to.is_empty() {
        let counters = std::array::from_fn(|i| counter.wrapping_add(i as u32) as u64);
        let words =
            blocks::<COUNTERS>([counters, [stream as u64; COUNTERS], [step as u64; COUNTERS], [0; COUNTERS]], key);
        let mut ordered = [0; 4 * COUNTERS];
        for (i, four) in ordered.chunks_exact_mut(4).enumerate() {
            four.copy_from_slice(&words.map(|word| word[i] as u32));
        }
        let (now, later) = to.split_at_mut(to.len().min(ordered.len() - skip));
        now.copy_from_slice(&ordered[skip..skip + now.len()]);
        (to, counter, skip) = (later, counter.wrapping_add(COUNTERS as u32), 0);
    }
}

/// The number in 0 ≤ u < 1 that a word stands for.
#[inline(always)]
pub(super) fn uniform(word: u32) -> f32 {
    (word >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn words_come_in_order_from_any_element_on() {
        let word = |i: i64| philox([(i >> 2) as u32, 7, 9, 0], [1, 2])[(i & 3) as usize];
        for first in [0, 1, 2, 3, 257, (1 << 34) - 70] {
            for len in [0, 1, 3, 61, 64, 256] {
                let mut to = vec![0; len];
                words(first, [7, 9], [1, 2], &mut to);
                assert!(to.iter().zip(first..).all(|(&to, i)| to == word(i)), "{len} from {first}");
            }
        }
        assert_eq!(uniform(u32::MAX), 1.0 - 1.0 / 16_777_216.0);
    }
}
