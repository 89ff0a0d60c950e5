//! The batch that fits: what errors about memory can suggest.

/// The largest batch that fits into `free` bytes, where a batch takes `bytes_of(batch)` bytes, which never falls
/// as the batch grows; `None` if not even one sample fits. Answers at most 2^30, and asks for no batch more
/// than twice as large as one that fits.
pub fn largest_batch(free: usize, bytes_of: impl Fn(usize) -> usize) -> Option<usize> {
    const MOST: usize = 1 << 30;
    let fits = |batch: usize| bytes_of(batch) <= free;
    if !fits(1) {
        return None;
    }
    let mut good = 1;
    while good < MOST && fits(2 * good) {
        good *= 2;
    }
    if good == MOST {
        return Some(MOST);
    }
    let mut bad = 2 * good;
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        *(if fits(middle) { &mut good } else { &mut bad }) = middle;
    }
    Some(good)
}
