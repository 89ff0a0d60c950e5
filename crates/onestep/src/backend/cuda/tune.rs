//! Which of several ways to do the same work is fastest, measured on the GPU, and which of them do with NaN as they
//! should.

use std::sync::Arc;

use super::Shared;
use super::driver::{Event, Gpu, GpuMemory, Queue};
use crate::backend::memory::{Block, Purpose};
use crate::backend::pooled::Pooled;
use crate::error::Result;
use crate::ir::{DType, Literal};

/// Rounds in which each is measured, after one for warming up, and how often it runs in a round.
const ROUNDS: usize = 3;
const RUNS: usize = 4;
/// How much slower than the fastest one may be that is preferred to it.
const TIE: f32 = 1.02;
/// Bytes of results that are looked at.
const PROBED: usize = 64 << 10;

#[cfg(test)]
thread_local! {
    /// What counts as the fastest, for tests of this thread, however fast it is.
    pub(super) static PICKED: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

/// The number of the fastest of so many, the most preferred first. `queue` puts one on the GPU's queue; one that cannot
/// be queued is passed over.
pub(super) fn fastest(gpu: &Arc<Gpu>, count: usize, queue: impl Fn(usize) -> Result<()>) -> Result<usize> {
    #[cfg(test)]
    if let Some(picked) = PICKED.get() {
        return Ok(picked.min(count.saturating_sub(1)));
    }
    if count < 2 {
        return Ok(0);
    }
    let mut times = vec![f32::INFINITY; count];
    let (start, end) = (Event::new(gpu, true)?, Event::new(gpu, true)?);
    for round in 0..=ROUNDS {
        for (i, best) in times.iter_mut().enumerate() {
            start.record(Queue::Work)?;
            if (0..RUNS).try_for_each(|_| queue(i)).is_err() {
                continue;
            }
            end.record(Queue::Work)?;
            gpu.wait()?;
            if round > 0 {
                *best = best.min(start.milliseconds_to(&end)?);
            }
        }
    }
    Ok(first_of(&times))
}

/// What a ReLU or its gradient is given to see what it makes of it, and what it should make of that everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// NaN, which a ReLU keeps, and a mask of NaN lets through.
    Nan,
    /// Zeros, which as a mask let nothing through, not even NaN.
    Zero,
}

impl Probe {
    /// Each byte of it, whatever the float.
    fn byte(self) -> u8 {
        if self == Probe::Nan { 0xff } else { 0 }
    }

    /// So many bytes of it.
    pub(super) fn block(self, shared: &Shared, bytes: usize) -> Result<Block<GpuMemory>> {
        let block = shared.pool.uninitialised(bytes, Purpose::Workspace)?;
        shared.upload(&vec![self.byte(); bytes], &block)?;
        Ok(block)
    }

    /// Those of some ways to compute floats that write nothing else. Libraries' ReLUs make 0 of NaN in some of their
    /// algorithms, and for some elements only, whatever they are told; what cannot be queued writes nothing.
    pub(super) fn passed<T>(
        self,
        shared: &Shared,
        dtype: DType,
        out: &Block<GpuMemory>,
        ways: Vec<T>,
        queue: impl Fn(&T) -> Result<()>,
    ) -> Result<Vec<T>> {
        let bytes = out.bytes().min(PROBED) / dtype.size() * dtype.size();
        let (before, mut passed) = (vec![!self.byte(); bytes], Vec::new());
        for way in ways {
            shared.upload(&before, out)?;
            if queue(&way).is_err() {
                continue;
            }
            let written = Literal::from_bytes(dtype, [bytes / dtype.size()], shared.first(out, bytes)?)?;
            let right = |x: &f32| if self == Probe::Nan { x.is_nan() } else { *x == 0.0 };
            if written.to_f32().iter().all(right) {
                passed.push(way);
            }
        }
        Ok(passed)
    }
}

fn first_of(times: &[f32]) -> usize {
    let fastest = times.iter().copied().fold(f32::INFINITY, f32::min);
    times.iter().position(|&t| t <= TIE * fastest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_wins_a_tie() {
        assert_eq!(first_of(&[1.3, 1.01, 1.0]), 1);
        assert_eq!(first_of(&[f32::INFINITY, 2.0, 1.5]), 2);
        assert_eq!(first_of(&[f32::INFINITY; 2]), 0);
    }
}
