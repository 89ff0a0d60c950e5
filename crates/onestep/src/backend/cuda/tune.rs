//! Which of several ways to do the same work is fastest, measured on the GPU, and which of them keep NaN.

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
/// Bytes of results that are looked at for NaN.
const PROBED: usize = 64 << 10;

/// The number of the fastest of so many, the most preferred first. `queue` puts one on the GPU's queue; one that cannot
/// be queued is passed over.
pub(super) fn fastest(gpu: &Arc<Gpu>, count: usize, queue: impl Fn(usize) -> Result<()>) -> Result<usize> {
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

/// So many bytes of NaN, whatever float they are.
pub(super) fn nan(shared: &Shared, bytes: usize) -> Result<Block<GpuMemory>> {
    let block = shared.pool.uninitialised(bytes, Purpose::Workspace)?;
    shared.upload(&vec![0xff; bytes], &block)?;
    Ok(block)
}

/// Those of some ways to compute floats that write NaN alone, as they should where they read it. Libraries' ReLUs make 0 of
/// NaN in some of their algorithms, and for some elements only, whatever they are told; what cannot be queued keeps nothing.
pub(super) fn keeping_nan<T>(
    shared: &Shared,
    dtype: DType,
    out: &Block<GpuMemory>,
    ways: Vec<T>,
    queue: impl Fn(&T) -> Result<()>,
) -> Result<Vec<T>> {
    let bytes = out.bytes().min(PROBED) / dtype.size() * dtype.size();
    let (zeros, mut kept) = (vec![0; bytes], Vec::new());
    for way in ways {
        shared.upload(&zeros, out)?;
        if queue(&way).is_err() {
            continue;
        }
        let written = Literal::from_bytes(dtype, [bytes / dtype.size()], shared.first(out, bytes)?)?;
        if written.to_f32().iter().all(|x| x.is_nan()) {
            kept.push(way);
        }
    }
    Ok(kept)
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
