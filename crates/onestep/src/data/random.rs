//! The host's random numbers: they order samples and nothing else (a step's numbers are made on the device).

/// SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"): a counter by the
/// golden ratio behind a mixing function. Small, fast and the same on every machine.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        SplitMix64 { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (which is not 0), each as likely: Lemire 2019, "Fast random integer generation in
    /// an interval".
    pub fn below(&mut self, bound: u32) -> u32 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = (self.next_u64() >> 32) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }
}

/// The numbers below `n` in an order that is a function of `(n, seed, stream)` alone: a Fisher–Yates shuffle.
/// An epoch's order uses its number as the stream.
pub fn permutation(n: u32, seed: u64, stream: u64) -> Vec<u32> {
    // The seed is mixed before the stream joins it, so that (seed, stream + 1) and (seed + 1, stream) differ.
    let mut random = SplitMix64::new(SplitMix64::new(seed).next_u64() ^ stream);
    let mut order: Vec<u32> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last as usize, random.below(last + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_sequence() {
        let mut random = SplitMix64::new(1234567);
        let first = [6457827717110365317u64, 3203168211198807973, 9817491932198370423];
        assert_eq!(first, [(); 3].map(|()| random.next_u64()));
    }

    #[test]
    fn is_even_below_a_bound() {
        let mut random = SplitMix64::new(0);
        let mut counts = [0u32; 6];
        (0..60_000).for_each(|_| counts[random.below(6) as usize] += 1);
        assert!(counts.iter().all(|c| c.abs_diff(10_000) < 400), "{counts:?}");
        assert_eq!(random.below(1), 0);
        assert!(random.below(u32::MAX) < u32::MAX);
    }

    #[test]
    fn permutations_are_complete_and_differ_by_seed_and_stream() {
        for n in [0, 1, 2, 97] {
            let mut sorted = permutation(n, 3, 4);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }
        let orders = [(7, 0), (7, 1), (8, 0), (0, 7)].map(|(seed, stream)| permutation(97, seed, stream));
        for (i, a) in orders.iter().enumerate() {
            assert!(orders[..i].iter().all(|b| a != b));
        }
        assert_eq!(permutation(5, 42, 0), permutation(5, 42, 0));
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [[0u32; 4]; 4];
        for stream in 0..40_000 {
            permutation(4, 1, stream).iter().enumerate().for_each(|(place, &v)| counts[place][v as usize] += 1);
        }
        assert!(counts.iter().flatten().all(|c| c.abs_diff(10_000) < 400), "{counts:?}");
    }
}
