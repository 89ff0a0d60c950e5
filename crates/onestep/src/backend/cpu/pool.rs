//! Threads: tasks numbered by shape alone, each run by some thread with scratch of its own.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;

/// A pool of threads; with one thread everything runs on the caller's.
pub(super) struct Pool {
    threads: Option<rayon::ThreadPool>,
    count: usize,
}

impl Pool {
    /// A pool of `count` threads (at least one). Where the system refuses threads, one is enough.
    pub(super) fn new(count: usize) -> Self {
        let build = || rayon::ThreadPoolBuilder::new().num_threads(count).build().ok();
        let threads = if count > 1 { build() } else { None };
        Pool { count: if threads.is_some() { count } else { 1 }, threads }
    }

    /// How many threads there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Runs tasks `0..tasks`; each call gets the task's and the thread's number. `share` says whether it pays
    /// to use more than one thread.
    pub(super) fn each(&self, tasks: usize, share: bool, run: impl Fn(usize, usize) + Sync) {
        match &self.threads {
            Some(pool) if share && tasks > 1 => {
                let next = AtomicUsize::new(0);
                pool.broadcast(|context| {
                    loop {
                        let task = next.fetch_add(1, Ordering::Relaxed);
                        if task >= tasks {
                            break;
                        }
                        run(task, context.index());
                    }
                });
            }
            _ => (0..tasks).for_each(|task| run(task, 0)),
        }
    }
}

/// One value for each thread, or for each task.
pub(super) struct PerThread<T>(Vec<UnsafeCell<T>>);

// SAFETY: `get` promises that a value is used by one thread at a time.
unsafe impl<T: Send> Sync for PerThread<T> {}

impl<T> PerThread<T> {
    /// No values.
    pub(super) fn empty() -> Self {
        PerThread(Vec::new())
    }

    /// A value for each of `count` threads or tasks.
    pub(super) fn new(count: usize, value: impl FnMut() -> Result<T>) -> Result<Self> {
        let values = std::iter::repeat_with(value).take(count).map(|v| v.map(UnsafeCell::new));
        Ok(PerThread(values.collect::<Result<_>>()?))
    }

    /// The value of a number.
    ///
    /// # Safety
    /// There must be no other reference to it: within [`Pool::each`], the number is the thread's, or the
    /// task's, as [`Pool::each`] gave it, and always the same of the two.
    #[allow(clippy::mut_from_ref, reason = "each thread or task has its own value, see the safety contract")]
    pub(super) unsafe fn get(&self, number: usize) -> &mut T {
        // SAFETY: promised by the caller.
        unsafe { &mut *self.0[number].get() }
    }
}
