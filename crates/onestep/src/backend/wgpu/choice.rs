//! Which of several ways to compute a product is the fastest on an adapter: measured once, remembered in the process and
//! on disk. Adapters that compute on the CPU are not asked, for there it takes long and says little.

use std::time::{Duration, Instant};

use wgpu::{AdapterInfo, BufferBinding};

use super::gpu::List;
use super::memory::GpuMemory;
use super::program::{Buffers, Part, Variant, launch};
use super::step::{Launch, repeated};
use super::{Shared, adapters};
use crate::backend::cache::{Cache, Chosen};
use crate::backend::memory::{Block, Purpose};
use crate::backend::side_by_side::side_by_side;
use crate::codegen::Access;
use crate::error::{ErrorKind, Result};

/// How long an adapter runs before anything counts, so that its clock has risen.
const WARM_UP: Duration = Duration::from_millis(40);
/// How long a variant runs at least each time it is measured, and how often it is, in turn with the others.
const RUN: Duration = Duration::from_millis(2);
const ROUNDS: usize = 4;
/// Most runs of a variant in one list of commands.
const MOST_RUNS: f64 = 256.0;

/// What is known about an adapter's fastest ways.
pub(super) struct Choices {
    /// Whether anything is measured.
    asked: bool,
    /// What tells the adapter and its driver from others.
    adapter: String,
    folder: Cache,
    chosen: Chosen<usize>,
}

impl Choices {
    /// Those that the user's cache folder has for an adapter.
    pub(super) fn of_user(info: &AdapterInfo) -> Self {
        let AdapterInfo { name, backend, driver, driver_info, .. } = info;
        let unnumbered = || format!("{name} {backend:?} {driver} {driver_info}");
        Choices {
            asked: !adapters::is_software(info),
            adapter: adapters::key_of(info).unwrap_or_else(unnumbered),
            folder: Cache::of_user(),
            chosen: Chosen::default(),
        }
    }

    /// Whether there is anything to choose.
    pub(super) fn are_measured(&self) -> bool {
        self.asked
    }

    /// The fastest of some variants, of which there is at least one. The first if memory does not suffice to measure.
    pub(super) fn fastest(&self, shared: &Shared, memory: &Buffers, mut variants: Vec<Variant>) -> Result<Variant> {
        let number = match variants.len() {
            1 => 0,
            _ => self.remembered(&variants, || measure(shared, memory, &variants))?,
        };
        Ok(variants.swap_remove(number))
    }

    /// The number of the best variant, measured if nobody knows it.
    fn remembered(&self, variants: &[Variant], measure: impl FnOnce() -> Result<Option<usize>>) -> Result<usize> {
        let texts: String = variants.iter().flat_map(|v| &v.sources).map(|source| source.kernel.as_str()).collect();
        let key = format!("the fastest tile on {}\n{texts}", self.adapter);
        let chosen = self.chosen.find_or(
            &self.folder,
            &key,
            |value| std::str::from_utf8(value).ok()?.parse().ok().filter(|number| *number < variants.len()),
            |number| Some(number.to_string().into_bytes()),
            // What could not be measured is an error that is none.
            || measure().map_err(Some)?.ok_or(None),
        );
        chosen.or_else(|failed| failed.map_or(Ok(0), Err))
    }
}

/// The number of the variant that takes the least time, with memory of its own in place of the plan's: nothing if
/// there is not enough. A variant that the driver refuses is not taken.
fn measure(shared: &Shared, memory: &Buffers, variants: &[Variant]) -> Result<Option<usize>> {
    let blocks = match stand_ins(shared, memory, variants) {
        Err(e) if e.kind() == ErrorKind::Memory => return Ok(None),
        blocks => blocks?,
    };
    let [read, written, scratch] = blocks.each_ref().map(|block| block.raw());
    let compiled = side_by_side(variants, |variant| {
        let launches = variant.sources.iter().map(|source| {
            let bytes = variant.scratch_bytes;
            let part = Part { source: source.clone(), kernels: 0..1, scratch: Some((scratch.clone(), bytes)) };
            let own = memory.bound(&shared.gpu, &part, 0)?.into_iter().zip(&source.bindings).map(|(bound, binding)| {
                match binding.access {
                    _ if bound.buffer == scratch => bound,
                    Access::Read => BufferBinding { buffer: read, offset: 0, ..bound },
                    Access::ReadWrite => BufferBinding { buffer: written, offset: 0, ..bound },
                }
            });
            launch(&shared.gpu, &part, &[own.collect()])
        });
        Ok(launches.collect::<Result<Vec<_>>>().ok())
    })?;
    let mut times = vec![Duration::MAX; variants.len()];
    let began = Instant::now();
    while let Some(first) = compiled.iter().flatten().next().filter(|_| began.elapsed() < WARM_UP) {
        time(shared, first)?;
    }
    for _ in 0..ROUNDS {
        for (time_of, launches) in times.iter_mut().zip(&compiled) {
            if let Some(launches) = launches {
                *time_of = time(shared, launches)?.min(*time_of);
            }
        }
    }
    shared.gpu.check()?;
    Ok(times.iter().enumerate().min_by_key(|t| t.1).map(|t| t.0))
}

/// Zeros as large as what the variants read, what they write and what they keep partial sums in.
fn stand_ins(shared: &Shared, memory: &Buffers, variants: &[Variant]) -> Result<[Block<GpuMemory>; 3]> {
    let mut bytes = [1, 1, 1];
    for variant in variants {
        bytes[2] = bytes[2].max(variant.scratch_bytes);
        for source in &variant.sources {
            for binding in &source.bindings {
                let place = usize::from(binding.access == Access::ReadWrite);
                bytes[place] = bytes[place].max(memory.bytes_of(binding));
            }
        }
    }
    let block = |bytes| shared.pool.zeroed(bytes, Purpose::Workspace);
    Ok([block(bytes[0])?, block(bytes[1])?, block(bytes[2])?])
}

/// The time of one run.
fn time(shared: &Shared, launches: &[Launch]) -> Result<Duration> {
    let runs = |times: usize| -> Result<Duration> {
        let list = repeated(&shared.gpu, launches, 0, times);
        let began = Instant::now();
        shared.gpu.submit(List::Encoded(list))?;
        shared.gpu.wait()?;
        Ok(began.elapsed())
    };
    let one = runs(1)?;
    let times = (RUN.as_secs_f64() / one.as_secs_f64()).clamp(1.0, MOST_RUNS) as usize;
    Ok(runs(times)? / times as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants() -> Vec<Variant> {
        let source = |text: &str| crate::codegen::Source {
            entry: "k0".into(),
            helpers: Vec::new(),
            kernel: text.into(),
            threads: 1,
            groups: [1; 3],
            bindings: Vec::new(),
        };
        ["a", "b", "c"].map(|text| Variant { sources: vec![source(text)], scratch_bytes: 0 }).into()
    }

    #[test]
    fn what_was_measured_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let choices = |adapter: &str| Choices {
            asked: true,
            adapter: adapter.into(),
            folder: Cache::at(folder.path()),
            chosen: Chosen::default(),
        };
        let nobody = || panic!("measured again");
        let first = choices("one");
        assert_eq!(first.remembered(&variants(), || Ok(None)).unwrap(), 0, "without memory the first is taken");
        assert_eq!(first.remembered(&variants(), || Ok(Some(2))).unwrap(), 2);
        assert_eq!(first.remembered(&variants(), nobody).unwrap(), 2);
        // Another process.
        assert_eq!(choices("one").remembered(&variants(), nobody).unwrap(), 2);
        // Another adapter, another list.
        assert_eq!(choices("two").remembered(&variants(), || Ok(Some(1))).unwrap(), 1);
        assert_eq!(choices("one").remembered(&variants()[..2], || Ok(Some(1))).unwrap(), 1);
    }
}
