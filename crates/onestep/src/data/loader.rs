//! Batches of a data set, epoch by epoch, assembled ahead of their use by one thread.
//!
//! The order of samples is a function of (seed, epoch) alone: neither the thread nor where an epoch is resumed
//! changes it. Nothing is normalised or augmented here; that is done inside the step.

use std::iter;
use std::panic;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::subset::countable;
use super::{Dataset, permutation};
use crate::error::{Error, Result};
use crate::ir::Literal;

/// Batches that are assembled ahead unless [`Loader::prefetch`] says otherwise.
const PREFETCH: usize = 2;

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
    let indices: Vec<u32> = indices.into_iter().collect();
    let (input, target) = (dataset.input(), dataset.target());
    let zeros = |size: usize| -> Result<Arc<[u8]>> {
        let total = size.checked_mul(indices.len()).filter(|&n| n <= isize::MAX as usize);
        let total = total.ok_or_else(|| Error::memory(format!("{} samples of {size} bytes", indices.len())))?;
        Ok(iter::repeat_n(0, total).collect())
    };
    let (mut inputs, mut targets) = (zeros(input.bytes())?, zeros(target.bytes())?);
    let (into_inputs, into_targets) = (Arc::make_mut(&mut inputs), Arc::make_mut(&mut targets));
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
}

impl Loader {
    /// Batches of `batch_size` samples: in the data set's order, the ragged last one kept, two assembled ahead.
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
        Ok(Loader { dataset, samples, batch_size, shuffle: None, drop_last: false, prefetch: PREFETCH })
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

    /// How many batches a thread assembles ahead, 2 by default; with 0 each is assembled when it is asked for.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
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
        let queue =
            Queue { dataset: self.dataset.clone(), order: self.order(epoch), size: self.batch_size, next: batch };
        let left = self.batches() - batch;
        // Without a thread (none wanted, none to be had) the same queue is worked off here.
        let source = match self.prefetch {
            0 => Source::Here(queue),
            ahead => Worker::spawn(queue.clone(), ahead, left).map_or(Source::Here(queue), Source::Ahead),
        };
        Epoch { source, left }
    }
}

/// The batches of one epoch in order. After an error it ends. Dropping it stops its thread.
pub struct Epoch {
    source: Source,
    left: usize,
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        self.left = self.left.checked_sub(1)?;
        let batch = match &mut self.source {
            Source::Here(queue) => queue.assemble(),
            Source::Ahead(worker) => worker.receive(),
        };
        if batch.is_err() {
            self.left = 0;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.min(1), Some(self.left))
    }
}

enum Source {
    Here(Queue),
    Ahead(Worker),
}

/// An epoch's order and how far it has been assembled.
#[derive(Clone)]
struct Queue {
    dataset: Arc<dyn Dataset>,
    order: Vec<u32>,
    size: usize,
    next: usize,
}

impl Queue {
    fn assemble(&mut self) -> Result<Batch> {
        let indices = self.order.chunks(self.size).nth(self.next).unwrap_or_default();
        self.next += 1;
        gather(&*self.dataset, indices.iter().copied())
    }
}

/// The thread that assembles batches into a bounded channel.
struct Worker {
    // Both are `None` only while being dropped or after the thread has ended.
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread for `count` batches, or `None` where the system has no thread to give.
    fn spawn(mut queue: Queue, ahead: usize, count: usize) -> Option<Worker> {
        let (sender, batches) = sync_channel(ahead.min(count));
        let work = move || {
            for _ in 0..count {
                let batch = queue.assemble();
                let failed = batch.is_err();
                // A send fails when the epoch was dropped: nobody wants the rest.
                if sender.send(batch).is_err() || failed {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("onestep-loader".into()).spawn(work).ok()?;
        Some(Worker { batches: Some(batches), thread: Some(thread) })
    }

    fn receive(&mut self) -> Result<Batch> {
        if let Some(Ok(batch)) = self.batches.as_ref().map(Receiver::recv) {
            return batch;
        }
        // The thread ended with batches left: a data set's `read` panicked, and the panic goes on here.
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(payload)) => panic::resume_unwind(payload),
            _ => panic!("onestep bug: the loader's thread ended before its batches were out"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The channel goes first: it wakes a thread that waits to send.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic of a thread whose batches nobody wants any more is of no consequence.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::ErrorKind;
    use crate::data::{ElementSpec, InMemory};
    use crate::ir::DType;

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
        for ahead in [0, 1, 2, 100] {
            let loader = loader.clone().prefetch(ahead);
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
        // One taken, three in the channel, one in the thread's hand.
        assert!(set.reads.load(Ordering::Relaxed) <= 5);
    }

    #[test]
    fn an_error_passes_through_and_ends_the_epoch() {
        for ahead in [0, 2] {
            let set = Numbers { len: 10, fails_at: Some(5), ..Numbers::default() };
            let loader = Loader::new(Arc::new(set), 2).unwrap().prefetch(ahead);
            let results: Vec<_> = loader.epoch(0).collect();
            assert_eq!(results.len(), 3);
            assert_eq!(results[2].as_ref().unwrap_err().to_string(), "sample 5 is unreadable");
        }
    }

    #[test]
    fn a_panic_of_the_data_set_is_not_swallowed() {
        let set = Numbers { len: 10, panics_at: Some(5), ..Numbers::default() };
        let loader = Loader::new(Arc::new(set), 2).unwrap();
        let mut epoch = loader.epoch(0);
        assert!(epoch.next().unwrap().is_ok() && epoch.next().unwrap().is_ok());
        assert!(panic::catch_unwind(panic::AssertUnwindSafe(|| epoch.next())).is_err());
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
