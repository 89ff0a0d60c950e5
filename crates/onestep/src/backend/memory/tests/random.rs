//! Random allocations and drops against a model of the pool that keeps plain lists.

use proptest::prelude::*;

use super::Fake;
use crate::backend::memory::pool::rounded;
use crate::backend::memory::{Block, Pool, Purpose, Usage};

#[derive(Clone, Debug)]
enum Step {
    Allocate { bytes: usize, purpose: usize, zeroed: bool },
    Drop(prop::sample::Index),
    Trim,
    ResetPeak,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![0..3000_usize, 0..40_000_usize];
    prop_oneof![
        6 => (bytes, 0..7_usize, any::<bool>())
            .prop_map(|(bytes, purpose, zeroed)| Step::Allocate { bytes, purpose, zeroed }),
        5 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => Just(Step::Trim),
        1 => Just(Step::ResetPeak),
    ]
}

/// What the pool should be like: all blocks and all counts, without any cleverness.
struct Model {
    memory: usize,
    limit: usize,
    /// Requested bytes, occupied bytes, purpose.
    live: Vec<(usize, usize, usize)>,
    cached: Vec<usize>,
    peaks: [usize; 7],
    peak: usize,
    from_device: [u64; 7],
    from_pool: [u64; 7],
}

impl Model {
    fn in_use(&self, purpose: Option<usize>) -> usize {
        self.live.iter().filter(|b| purpose.is_none_or(|p| p == b.2)).map(|b| b.0).sum()
    }

    fn occupied(&self) -> usize {
        self.live.iter().map(|b| b.1).sum()
    }

    fn held(&self) -> usize {
        self.occupied() + self.cached.iter().sum::<usize>()
    }

    /// The size of the new block, or `None` if there is no memory for it.
    fn allocate(&mut self, bytes: usize, purpose: usize) -> Option<usize> {
        let size = rounded(bytes).unwrap();
        self.cached.sort_unstable();
        let fits = |&kept: &usize| kept >= size && kept <= size.max(bytes + bytes / 4);
        let occupied = match self.cached.iter().position(fits) {
            Some(i) => {
                self.from_pool[purpose] += 1;
                self.cached.remove(i)
            }
            None => {
                if self.occupied() + size > self.limit {
                    return None;
                }
                if self.held() + size > self.limit || self.held() + size > self.memory {
                    self.cached.clear();
                }
                if self.held() + size > self.memory {
                    return None;
                }
                self.from_device[purpose] += 1;
                size
            }
        };
        self.live.push((bytes, occupied, purpose));
        self.peak = self.peak.max(self.in_use(None));
        self.peaks[purpose] = self.peaks[purpose].max(self.in_use(Some(purpose)));
        Some(occupied)
    }

    fn reset_peak(&mut self) {
        self.peak = self.in_use(None);
        self.peaks = std::array::from_fn(|p| self.in_use(Some(p)));
    }

    fn usage(&self, purpose: Option<usize>) -> Usage {
        let of = |block: &&(usize, usize, usize)| purpose.is_none_or(|p| p == block.2);
        let count = |counts: &[u64; 7]| purpose.map_or(counts.iter().sum(), |p| counts[p]);
        Usage {
            blocks: self.live.iter().filter(of).count(),
            in_use: self.in_use(purpose),
            occupied: self.live.iter().filter(of).map(|b| b.1).sum(),
            peak: purpose.map_or(self.peak, |p| self.peaks[p]),
            from_device: count(&self.from_device),
            from_pool: count(&self.from_pool),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_pool_is_its_model(
        steps in prop::collection::vec(step(), 1..120),
        memory in 20_000..200_000_usize,
        limit in prop::option::of(10_000..200_000_usize),
    ) {
        let fake = Fake::new(memory);
        let pool = Pool::new(fake.clone(), limit);
        let mut blocks: Vec<Block<Fake>> = Vec::new();
        let mut model = Model {
            memory,
            limit: limit.unwrap_or(usize::MAX),
            live: Vec::new(),
            cached: Vec::new(),
            peaks: [0; 7],
            peak: 0,
            from_device: [0; 7],
            from_pool: [0; 7],
        };
        for step in steps {
            match step {
                Step::Allocate { bytes, purpose, zeroed } => {
                    let name = Purpose::ALL[purpose];
                    let made = if zeroed { pool.zeroed(bytes, name) } else { pool.uninitialised(bytes, name) };
                    prop_assert_eq!(made.as_ref().ok().map(Block::occupied), model.allocate(bytes, purpose));
                    blocks.extend(made);
                }
                Step::Drop(index) if !blocks.is_empty() => {
                    let i = index.index(blocks.len());
                    blocks.swap_remove(i);
                    let (_, occupied, _) = model.live.swap_remove(i);
                    model.cached.push(occupied);
                }
                Step::Drop(_) => {}
                Step::Trim => {
                    prop_assert_eq!(pool.trim(), model.cached.drain(..).sum::<usize>());
                }
                Step::ResetPeak => {
                    pool.reset_peak();
                    model.reset_peak();
                }
            }
            let statistics = pool.statistics();
            prop_assert_eq!(statistics.total, model.usage(None));
            for (i, purpose) in Purpose::ALL.into_iter().enumerate() {
                prop_assert_eq!(statistics.of(purpose), model.usage(Some(i)));
            }
            prop_assert_eq!(statistics.held(), model.held());
            prop_assert_eq!(fake.outstanding(), model.held());
            let mut numbers: Vec<usize> = blocks.iter().map(|b| b.raw().0).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), blocks.len(), "no block belongs to two");
        }
        drop(pool);
        prop_assert_eq!(fake.outstanding(), model.occupied());
        blocks.clear();
        prop_assert_eq!(fake.outstanding(), 0);
    }
}
