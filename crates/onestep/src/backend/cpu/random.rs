//! Philox 4x32-10 (Salmon et al. 2011), as [`Op::Random`](crate::ir::Op::Random) describes it.

/// The four words of the block with a counter under a key.
#[inline(always)]
pub(super) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key[0] = key[0].wrapping_add(0x9e37_79b9);
            key[1] = key[1].wrapping_add(0xbb67_ae85);
        }
        let a = counter[0] as u64 * 0xd251_1f53;
        let b = counter[2] as u64 * 0xcd9e_8d57;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
    }
    counter
}

/// The words of elements `first`, `first + 1`, …: four to a block, whose counter starts with the element's
/// number divided by four.
#[inline(always)]
pub(super) fn words(first: i64, [stream, step]: [u32; 2], key: [u32; 2], to: &mut [u32]) {
    let block = |number: u32| philox([number, stream, step, 0], key);
    let skip = (first & 3) as usize;
    let (head, whole) = to.split_at_mut(((4 - skip) % 4).min(to.len()));
    if !head.is_empty() {
        head.copy_from_slice(&block((first >> 2) as u32)[skip..skip + head.len()]);
    }
    // A loop over blocks alone, which becomes vector code.
    let number = ((first + 3) >> 2) as u32;
    let (blocks, tail) = whole.as_chunks_mut::<4>();
    for (i, words) in (0..).zip(&mut *blocks) {
        *words = block(number.wrapping_add(i));
    }
    if !tail.is_empty() {
        tail.copy_from_slice(&block(number.wrapping_add(blocks.len() as u32))[..tail.len()]);
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
