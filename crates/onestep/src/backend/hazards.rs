//! Which launches of a plan must wait for which: those that touch memory that another writes. What does not
//! wait may run side by side.

use std::ops::Range;

/// Device memory that a launch touches.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub(super) reads: Vec<Range<u64>>,
    pub(super) writes: Vec<Range<u64>>,
}

impl Touched {
    /// Whether this must come after an earlier launch.
    fn waits_for(&self, earlier: &Touched) -> bool {
        meet(&self.reads, &earlier.writes) || meet(&self.writes, &earlier.writes) || meet(&self.writes, &earlier.reads)
    }
}

fn meet(a: &[Range<u64>], b: &[Range<u64>]) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.start < b.end && b.start < a.end))
}

/// For each launch, in order, the earlier ones it waits for, without those that these wait for themselves.
pub(super) fn dependencies(launches: &[Touched]) -> Vec<Vec<usize>> {
    // For each launch all that is done before it starts.
    let mut before: Vec<Vec<bool>> = Vec::new();
    let mut all = Vec::new();
    for (i, launch) in launches.iter().enumerate() {
        let mut done = vec![false; i];
        let mut direct = Vec::new();
        for j in (0..i).rev() {
            if !done[j] && launch.waits_for(&launches[j]) {
                direct.push(j);
                done[j] = true;
                done.iter_mut().zip(&before[j]).for_each(|(done, &earlier)| *done |= earlier);
            }
        }
        direct.reverse();
        all.push(direct);
        before.push(done);
    }
    all
}

/// For each launch, in order, its level: it waits for launches of lower levels alone.
pub(super) fn levels(launches: &[Touched]) -> Vec<usize> {
    let mut levels = Vec::with_capacity(launches.len());
    for before in dependencies(launches) {
        levels.push(before.into_iter().map(|earlier: usize| levels[earlier] + 1).max().unwrap_or(0));
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A launch that touches some bytes, each range as its first byte and the one after its last.
    fn launch(reads: &[(u64, u64)], writes: &[(u64, u64)]) -> Touched {
        let ranges = |list: &[(u64, u64)]| list.iter().map(|&(start, end)| start..end).collect();
        Touched { reads: ranges(reads), writes: ranges(writes) }
    }

    #[test]
    fn waits_for_writers_and_for_readers_of_what_it_writes() {
        let launches = [
            launch(&[], &[(0, 8)]),
            launch(&[], &[(8, 16)]),
            launch(&[(0, 4)], &[(16, 24)]),
            launch(&[(4, 12)], &[(24, 32)]),
            launch(&[], &[(0, 4)]),
            launch(&[(16, 32)], &[(32, 40)]),
            launch(&[(40, 48)], &[(48, 50)]),
        ];
        let want: [&[usize]; 7] = [&[], &[], &[0], &[0, 1], &[2], &[2, 3], &[]];
        assert_eq!(dependencies(&launches), want);
        assert_eq!(levels(&launches), [0, 0, 1, 1, 2, 2, 0]);
    }

    #[test]
    fn leaves_out_what_follows_from_others() {
        let launches = [launch(&[], &[(0, 4)]), launch(&[(0, 4)], &[(0, 4)]), launch(&[(0, 4)], &[(4, 8)])];
        assert_eq!(dependencies(&launches), [vec![], vec![0], vec![1]]);
    }
}
