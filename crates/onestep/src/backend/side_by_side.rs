//! The host's threads, for what takes long and does not depend on each other: compiling kernels.

use crate::error::Result;

/// What a function makes of each of some values, on as many threads as the host has.
pub(super) fn side_by_side<T: Sync, R: Send>(values: &[T], make: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(values.len()).max(1);
    let each = values.len().div_ceil(threads).max(1);
    let all = |values: &[T]| values.iter().map(&make).collect::<Result<Vec<R>>>();
    if threads == 1 {
        return all(values);
    }
    std::thread::scope(|scope| {
        let started: Vec<_> = values.chunks(each).map(|some| scope.spawn(|| all(some))).collect();
        let mut done = Vec::new();
        for thread in started {
            done.extend(thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p))?);
        }
        Ok(done)
    })
}
