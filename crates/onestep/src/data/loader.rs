//! Batches of a data set, epoch by epoch, assembled ahead of their use by threads, where a device lends memory for them
//! right there.
//!
//! The order of samples is a function of (seed, epoch) alone: neither threads nor where an epoch is resumed change
//! it. Nothing is normalised or augmented here; that is done inside the step.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::subset::countable;
use super::{Dataset, permutation};
use crate::error::{Error, Result};
use crate::ir::{HostBytes, Lender, Literal};

/// Batches that are assembled ahead unless [`Loader::prefetch`] says otherwise.
const PREFETCH: usize = 2;
/// The same, and the most threads, for a device that takes batches while it computes: a thread copies some 10 GB a
/// second, and a small step is over in 20 µs.
const LENDER_PREFETCH: usize = 8;
const LENDER_WORKERS: usize = 6;

/// Some samples of a data set, stacked along a new first axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The inputs, [b, …], in their stored dtype.
    pub input: Literal,
    /// The targets, [b, …].
    pub target: Literal,
    /// Which samples of the data set these are, `[b]`.
    pub indices: Vec<u32>,
}

/// Stacks the samples at `indices` in that order. All of a data set is `gather(&set, 0..n)`.
///
/// # Errors
/// What [`Dataset::read`] meets, and a batch that is too large for memory to address.
pub fn gather(dataset: &dyn Dataset, indices: impl IntoIterator<Item = u32>) -> Result<Batch> {
    gather_into(None, dataset, indices.into_iter().collect())
}

/// The same, in memory of a lender if there is one.
fn gather_into(lender: Option<&dyn Lender>, dataset: &dyn Dataset, indices: Vec<u32>) -> Result<Batch> {
    let (input, target) = (dataset.input(), dataset.target());
    let room = |size: usize| {
        let total = size.checked_mul(indices.len()).filter(|&n| n <= isize::MAX as usize);
        let total = total.ok_or_else(|| Error::memory(format!("{} samples of {size} bytes", indices.len())))?;
        Ok(HostBytes::of(lender, total))
    };
    let (mut inputs, mut targets) = (room(input.bytes())?, room(target.bytes())?);
    let (Some(into_inputs), Some(into_targets)) = (inputs.bytes_mut(), targets.bytes_mut()) else {
        panic!("onestep bug: new memory is shared already")
    };
    for (row, &index) in indices.iter().enumerate() {
        let of_row = |size: usize| row * size..(row + 1) * size;
        dataset.read(
            index as usize,
            &mut into_inputs[of_row(input.bytes())],
            &mut into_targets[of_row(target.bytes())],
        )?;
    }
    let stacked = |shape: &[usize]| -> Vec<usize> { iter::once(indices.len()).chain(shape.iter().copied()).collect() };
    Ok(Batch {
        input: Literal::from_bytes(input.dtype, stacked(&input.shape), inputs)?,
        target: Literal::from_bytes(target.dtype, stacked(&target.shape), targets)?,
        indices,
    })
}

/// Cuts a data set into batches, in order or shuffled anew each epoch.
///
/// ```
/// use std::sync::Arc;
/// use onestep::data::{Loader, datasets};
/// let loader = Loader::new(Arc::new(datasets::digits()), 32)?.shuffle(Some(42));
/// assert_eq!(loader.batches(), 57);
/// for batch in loader.epoch(0) {
///     assert_eq!(batch?.input.shape()[1..], [8, 8, 1]);
/// }
/// # Ok::<(), onestep::Error>(())
/// ```
#[derive(Clone)]
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    samples: u32,
    batch_size: usize,
    shuffle: Option<u64>,
    drop_last: bool,
    prefetch: usize,
    workers: usize,
    lender: Option<Arc<dyn Lender>>,
}

impl Loader {
    /// Batches of `batch_size` samples: in the data set's order, the ragged last one kept, two assembled ahead by one
    /// thread.
    ///
    /// # Errors
    /// A batch size of zero, an empty data set, and one of 2^32 samples or more.
    pub fn new(dataset: Arc<dyn Dataset>, batch_size: usize) -> Result<Self> {
        let samples = countable(&*dataset)?;
        if batch_size == 0 {
            return Err(Error::config("a batch size of 0; give at least 1"));
        }
        if samples == 0 {
            return Err(Error::data("the data set is empty; there is nothing to load"));
        }
        Ok(Loader {
            dataset,
            samples,
            batch_size,
            shuffle: None,
            drop_last: false,
            prefetch: PREFETCH,
            workers: 1,
            lender: None,
        })
    }

    /// Shuffles each epoch anew by this seed; `None`, the default, keeps the data set's order.
    pub fn shuffle(mut self, seed: Option<u64>) -> Self {
        self.shuffle = seed;
        self
    }

    /// Whether to leave out a last batch of fewer samples; by default it is kept. With fewer samples than one
    /// batch nothing remains.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// How many batches are assembled ahead, 2 by default; with 0 each is assembled when it is asked for.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// How many threads assemble them, 1 by default; no more than there are batches ahead have something to do.
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = threads.max(1);
        self
    }

    /// For a device with memory of its own: batches are assembled where the device [copies][lender] them from
    /// without delay, by several threads, as far ahead as it takes to keep the device busy. Elsewhere nothing changes.
    ///
    /// [lender]: crate::backend::Device::lender
    pub fn lender(mut self, lender: Option<Arc<dyn Lender>>) -> Self {
        if lender.is_some() {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            self.workers = (cores / 2).clamp(1, LENDER_WORKERS);
            self.prefetch = LENDER_PREFETCH;
        }
        self.lender = lender;
        self
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// Samples a full batch has.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The number of batches an epoch has.
    pub fn batches(&self) -> usize {
        let samples = self.samples as usize;
        if self.drop_last { samples / self.batch_size } else { samples.div_ceil(self.batch_size) }
    }

    /// The number of samples that batch `index` of an epoch has; none from the epoch's end on.
    pub fn samples_of(&self, index: usize) -> usize {
        if index >= self.batches() {
            return 0;
        }
        (self.samples as usize - index * self.batch_size).min(self.batch_size)
    }

    /// The order of all samples in an epoch, a function of (seed, epoch) alone; batches are cut from it in turn.
    pub fn order(&self, epoch: u64) -> Vec<u32> {
        match self.shuffle {
            Some(seed) => permutation(self.samples, seed, epoch),
            None => self.in_order().collect(),
        }
    }

    /// The numbers of all samples in the data set's own order.
    pub fn in_order(&self) -> std::ops::Range<u32> {
        0..self.samples
    }

    /// The batches of an epoch.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        self.start(epoch, 0)
    }

    /// The batches of an epoch from number `batch` on, the same that [`epoch`](Loader::epoch) gives after as
    /// many; at the epoch's end it gives none.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a batch beyond the epoch's end.
    pub fn epoch_from(&self, epoch: u64, batch: usize) -> Result<Epoch> {
        let batches = self.batches();
        if batch > batches {
            return Err(Error::config(format!(
                "cannot go on at batch {batch} of an epoch of {batches}; was the batch size or the data set changed?"
            )));
        }
        Ok(self.start(epoch, batch))
    }

    fn start(&self, epoch: u64, batch: usize) -> Epoch {
        let queue = Queue {
            dataset: self.dataset.clone(),
            order: self.order(epoch),
            size: self.batch_size,
            lender: self.lender.clone(),
        };
        let range = batch..self.batches();
        let ahead = self.prefetch.min(range.len());
        // Without a thread (none wanted, none to be had) batches are assembled here.
        let team = (ahead > 0).then(|| Team::start(queue.clone(), range.clone(), ahead, self.workers.min(ahead)));
        Epoch { queue, range, team: team.flatten() }
    }
}

/// The batches of one epoch in order. After an error it ends. Dropping it stops its threads.
pub struct Epoch {
    queue: Queue,
    range: Range<usize>,
    team: Option<Team>,
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let index = self.range.next()?;
        let batch = match &self.team {
            None => self.queue.assemble(index),
            Some(team) => team.receive(),
        };
        if batch.is_err() {
            self.range = 0..0;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.range.len().min(1), Some(self.range.len()))
    }
}

/// An epoch's order, cut into batches.
#[derive(Clone)]
struct Queue {
    dataset: Arc<dyn Dataset>,
    order: Vec<u32>,
    size: usize,
    lender: Option<Arc<dyn Lender>>,
}

impl Queue {
    fn assemble(&self, index: usize) -> Result<Batch> {
        let indices = self.order.chunks(self.size).nth(index).unwrap_or_default();
        gather_into(self.lender.as_deref(), &*self.dataset, indices.to_vec())
    }
}

/// Threads that assemble batches some way ahead.
struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    progress: Mutex<Progress>,
    /// Told when there is room for more batches, or nothing left to do.
    room: Condvar,
    /// Told when the batch that is wanted next is there.
    ready: Condvar,
    ahead: usize,
}

/// How far an epoch has been assembled.
struct Progress {
    /// Batches that nobody has begun.
    left: Range<usize>,
    /// Those that were begun and not received, in order; `None` while they are being assembled.
    begun: VecDeque<Option<Outcome>>,
    /// The number of the first of them.
    first: usize,
    stopped: bool,
}

/// A batch, or what assembling it met, a panic of the data set included.
type Outcome = thread::Result<Result<Batch>>;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a batch to assemble, once there is room for it; `None` when there is no more to do.
    fn begin(&self) -> Option<usize> {
        let full = |p: &mut Progress| !p.stopped && p.begun.len() == self.ahead;
        let mut progress = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if progress.stopped {
            return None;
        }
        let index = progress.left.next()?;
        progress.begun.push_back(None);
        Some(index)
    }

    fn end(&self, index: usize, outcome: Outcome) {
        let mut progress = self.lock();
        let place = index - progress.first;
        progress.begun[place] = Some(outcome);
        drop(progress);
        if place == 0 {
            self.ready.notify_one();
        }
    }
}

impl Team {
    /// Starts the threads, or `None` where the system has none to give.
    fn start(queue: Queue, left: Range<usize>, ahead: usize, workers: usize) -> Option<Team> {
        let first = left.start;
        let progress = Progress { left, begun: VecDeque::with_capacity(ahead), first, stopped: false };
        let shared =
            Arc::new(Shared { progress: Mutex::new(progress), room: Condvar::new(), ready: Condvar::new(), ahead });
        let queue = Arc::new(queue);
        let work = || {
            let (shared, queue) = (shared.clone(), queue.clone());
            move || {
                while let Some(index) = shared.begin() {
                    // What a panicking data set leaves behind is its own; the panic goes on in who waits for the batch.
                    shared.end(index, panic::catch_unwind(AssertUnwindSafe(|| queue.assemble(index))));
                }
            }
        };
        let spawn = |_| thread::Builder::new().name("onestep-loader".into()).spawn(work()).ok();
        let threads: Vec<_> = (0..workers).map_while(spawn).collect();
        (!threads.is_empty()).then_some(Team { shared, threads })
    }

    /// The next batch, waited for.
    fn receive(&self) -> Result<Batch> {
        let absent = |p: &mut Progress| !matches!(p.begun.front(), Some(Some(_)));
        let mut progress =
            self.shared.ready.wait_while(self.shared.lock(), absent).unwrap_or_else(PoisonError::into_inner);
        let outcome = progress.begun.pop_front().flatten();
        progress.first += 1;
        // Waking a thread costs more than a small batch: they are woken for several at once.
        let wake = progress.begun.len() <= self.shared.ahead / 2;
        drop(progress);
        if wake {
            self.shared.room.notify_all();
        }
        match outcome {
            Some(Ok(batch)) => batch,
            Some(Err(payload)) => panic::resume_unwind(payload),
            None => panic!("onestep bug: a batch was received before it was there"),
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // It catches the panics of data sets and has none of its own.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::ErrorKind;
    use crate::data::{ElementSpec, InMemory};
    use crate::ir::{DType, Lent};

    /// Sample `i` is the input [i, 2i] and the target i; counts its reads and fails as told.
    #[derive(Default)]
    struct Numbers {
        len: usize,
        reads: AtomicUsize,
        fails_at: Option<usize>,
        panics_at: Option<usize>,
    }

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.len
        }
        fn input(&self) -> ElementSpec {
            ElementSpec::new([2], DType::I32)
        }
        fn target(&self) -> ElementSpec {
            ElementSpec::new([], DType::I32)
        }
        fn read(&self, index: usize, input: &mut [u8], target: &mut [u8]) -> Result<()> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            assert_ne!(self.panics_at, Some(index), "a fault of the data set");
            if self.fails_at == Some(index) {
                return Err(Error::data(format!("sample {index} is unreadable")));
            }
            let i = index as i32;
            input.copy_from_slice(&[i.to_le_bytes(), (2 * i).to_le_bytes()].concat());
            target.copy_from_slice(&i.to_le_bytes());
            Ok(())
        }
    }

    fn loader(len: usize, batch_size: usize) -> Loader {
        Loader::new(Arc::new(Numbers { len, ..Numbers::default() }), batch_size).unwrap()
    }

    fn indices(epoch: Epoch) -> Vec<Vec<u32>> {
        epoch.map(|batch| batch.unwrap().indices).collect()
    }

    #[test]
    fn batches_hold_the_samples_their_indices_name() {
        let loader = loader(7, 3).shuffle(Some(5));
        for batch in loader.epoch(2) {
            let batch = batch.unwrap();
            let want: Vec<f64> = batch.indices.iter().map(|&i| f64::from(i)).collect();
            assert_eq!(batch.target.to_f64(), want);
            assert_eq!(batch.input.to_f64(), want.iter().flat_map(|v| [*v, 2.0 * v]).collect::<Vec<_>>());
            assert_eq!(batch.input.shape().dims(), [batch.indices.len(), 2]);
        }
    }

    #[test]
    fn every_sample_comes_once_an_epoch_and_epochs_differ() {
        let loader = loader(100, 7).shuffle(Some(1));
        let epochs: Vec<_> = (0..3).map(|epoch| indices(loader.epoch(epoch)).concat()).collect();
        for (number, epoch) in epochs.iter().enumerate() {
            assert_eq!(*epoch, loader.order(number as u64));
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        assert_ne!(loader.clone().shuffle(Some(2)).order(0), epochs[0]);
        assert_eq!(loader.shuffle(None).order(9), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_does_not_depend_on_prefetching_or_resuming() {
        let loader = loader(50, 4).shuffle(Some(3));
        let all = indices(loader.epoch(6));
        for (ahead, workers) in [(0, 1), (1, 1), (2, 1), (2, 2), (5, 3), (100, 8)] {
            let loader = loader.clone().prefetch(ahead).workers(workers);
            assert_eq!(indices(loader.epoch(6)), all);
            for start in [0, 1, 12, 13] {
                assert_eq!(indices(loader.epoch_from(6, start).unwrap()), all[start..], "from {start}");
            }
        }
        assert_eq!(loader.epoch_from(6, 14).err().map(|e| e.kind()), Some(ErrorKind::Config));
    }

    #[test]
    fn the_ragged_last_batch_is_kept_or_dropped() {
        let sizes = |loader: &Loader| indices(loader.epoch(0)).iter().map(Vec::len).collect::<Vec<_>>();
        for (len, kept, dropped) in [(7, vec![3, 3, 1], vec![3, 3]), (6, vec![3, 3], vec![3, 3]), (2, vec![2], vec![])]
        {
            let loader = loader(len, 3);
            assert_eq!((sizes(&loader), loader.batches()), (kept.clone(), kept.len()));
            let loader = loader.drop_last(true);
            assert_eq!((sizes(&loader), loader.batches()), (dropped.clone(), dropped.len()));
        }
    }

    #[test]
    fn refuses_nothing_to_load() {
        let kind = |len, batch| {
            let set = Numbers { len, ..Numbers::default() };
            Loader::new(Arc::new(set), batch).err().map(|e| e.kind())
        };
        assert_eq!(kind(3, 0), Some(ErrorKind::Config));
        assert_eq!(kind(0, 3), Some(ErrorKind::Data));
        assert_eq!(kind(1 << 32, 3), Some(ErrorKind::Unsupported));
        assert_eq!(indices(loader(3, usize::MAX).epoch(0)), [[0, 1, 2]]);
    }

    #[test]
    fn dropping_an_epoch_stops_its_thread() {
        let set = Arc::new(Numbers { len: 1000, ..Numbers::default() });
        let loader = Loader::new(set.clone(), 1).unwrap().prefetch(3);
        let mut epoch = loader.epoch(0);
        epoch.next().unwrap().unwrap();
        drop(epoch);
        drop(loader);
        assert_eq!(Arc::strong_count(&set), 1, "the thread has let go of the data set");
        // One taken, three ahead of it.
        assert!(set.reads.load(Ordering::Relaxed) <= 4);
    }

    #[test]
    fn an_error_passes_through_and_ends_the_epoch() {
        for (ahead, workers) in [(0, 1), (2, 1), (4, 3)] {
            let set = Numbers { len: 10, fails_at: Some(5), ..Numbers::default() };
            let loader = Loader::new(Arc::new(set), 2).unwrap().prefetch(ahead).workers(workers);
            let results: Vec<_> = loader.epoch(0).collect();
            assert_eq!(results.len(), 3);
            assert_eq!(results[2].as_ref().unwrap_err().to_string(), "sample 5 is unreadable");
        }
    }

    #[test]
    fn a_panic_of_the_data_set_is_not_swallowed() {
        let set = Numbers { len: 10, panics_at: Some(5), ..Numbers::default() };
        let loader = Loader::new(Arc::new(set), 2).unwrap();
        for workers in [1, 2] {
            let mut epoch = loader.clone().workers(workers).epoch(0);
            assert!(epoch.next().unwrap().is_ok() && epoch.next().unwrap().is_ok());
            assert!(panic::catch_unwind(AssertUnwindSafe(|| epoch.next())).is_err());
        }
    }

    /// Lends up to three pieces of memory that hold what was there before, and counts those that are out.
    #[derive(Default)]
    struct Shelf(Arc<AtomicUsize>);

    struct Piece(Vec<u8>, Arc<AtomicUsize>);

    impl Lender for Shelf {
        fn lend(&self, bytes: usize) -> Option<Box<dyn Lent>> {
            let out = |n: usize| (n < 3).then_some(n + 1);
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, out).ok()?;
            Some(Box::new(Piece(vec![0xA5; bytes], self.0.clone())))
        }
    }

    impl Lent for Piece {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
        fn bytes_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    impl Drop for Piece {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn batches_in_lent_memory_are_the_same_and_give_it_back() {
        let loader = loader(40, 4).shuffle(Some(3));
        let own: Vec<Batch> = loader.epoch(1).map(Result::unwrap).collect();
        let out = Arc::new(AtomicUsize::new(0));
        let lending = loader.lender(Some(Arc::new(Shelf(out.clone()))));
        // Even if all is held: then ordinary memory does.
        let held: Vec<Batch> = lending.epoch(1).map(Result::unwrap).collect();
        assert_eq!(held, own);
        assert!(held.iter().any(|batch| batch.input.host().lent::<Piece>().is_some()));
        assert_eq!(out.load(Ordering::Relaxed), 3);
        drop(held);
        assert_eq!(out.load(Ordering::Relaxed), 0);
        let mut epoch = lending.epoch(1);
        assert_eq!(epoch.next().unwrap().unwrap(), own[0]);
        drop(epoch);
        assert_eq!(out.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn gathering_all_gives_the_data_set_back() {
        let inputs = Literal::from_f32([3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let set = InMemory::new(inputs.clone(), Literal::zeros(DType::F32, [3, 0])).unwrap();
        let all = gather(&set, 0..3).unwrap();
        assert_eq!((&all.input, all.target.shape().dims()), (&inputs, &[3, 0][..]));
        assert_eq!(gather(&set, [3]).unwrap_err().kind(), ErrorKind::Data);
    }
}
