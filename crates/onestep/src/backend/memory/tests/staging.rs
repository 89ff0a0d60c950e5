//! The staging ring, with fences that are completed by hand or by a thread that plays the device.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::Fake;
use crate::backend::Pending;
use crate::backend::memory::{Fence, Pool, Purpose, Ring, Slot, pieces};
use crate::error::{Error, ErrorKind, Result};

/// Long enough to see that something does not happen.
const A_WHILE: Duration = Duration::from_millis(50);

/// Longer than anything takes that does happen.
const LONG: Duration = Duration::from_secs(20);

/// A fence to complete by hand: not done, done, or failed. Cloning shares it.
#[derive(Clone, Default)]
struct Hand(Arc<(Mutex<Option<bool>>, Condvar)>);

impl Hand {
    fn complete(&self) {
        self.end(true);
    }

    fn end(&self, well: bool) {
        *self.0.0.lock().unwrap() = Some(well);
        self.0.1.notify_all();
    }
}

fn outcome(well: bool) -> Result<()> {
    well.then_some(()).ok_or_else(|| Error::device("fake:0 hung up"))
}

impl Fence for Hand {
    fn is_done(&self) -> Result<bool> {
        match *self.0.0.lock().unwrap() {
            Some(well) => outcome(well).map(|()| true),
            None => Ok(false),
        }
    }

    fn wait(&self) -> Result<()> {
        let ended = self.0.1.wait_while(self.0.0.lock().unwrap(), |ended| ended.is_none()).unwrap();
        outcome(ended.expect("waited for"))
    }
}

/// Memory that the device reaches too; counts how many there are.
struct Ram {
    number: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
    alive: Arc<AtomicUsize>,
}

impl Slot for Ram {
    type Fence = Hand;

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        self.bytes.lock().unwrap()[at..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, at: usize, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(&self.bytes.lock().unwrap()[at..][..bytes.len()]);
        Ok(())
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes numbered slots.
fn maker(alive: &Arc<AtomicUsize>) -> impl FnMut(usize) -> Result<Ram> {
    let alive = Arc::clone(alive);
    move |bytes| {
        let number = alive.fetch_add(1, Ordering::SeqCst);
        Ok(Ram { number, bytes: Arc::new(Mutex::new(vec![0; bytes])), alive: Arc::clone(&alive) })
    }
}

/// A ring of its own pool, which need not live as long.
fn ring(slots: usize, bytes: usize) -> (Ring<Ram>, Arc<AtomicUsize>) {
    let alive = Arc::default();
    let ring = Pool::new(Fake::new(0), None).staging(slots, bytes, maker(&alive)).unwrap();
    (ring, alive)
}

#[test]
fn slots_come_in_the_order_in_which_they_were_submitted() {
    let (ring, _) = ring(3, 8);
    let fences = [(); 3].map(|()| Hand::default());
    for (i, fence) in fences.iter().enumerate() {
        let mut lease = ring.acquire().unwrap();
        assert_eq!(lease.memory().number, i);
        lease.submit(fence.clone());
    }
    assert!(ring.try_acquire().unwrap().is_none());
    fences[1].complete();
    assert!(ring.try_acquire().unwrap().is_none(), "the first comes first");
    fences[0].complete();
    let mut first = ring.try_acquire().unwrap().expect("free");
    let mut second = ring.acquire().unwrap();
    assert_eq!([first.memory().number, second.memory().number], [0, 1]);
    assert!(ring.try_acquire().unwrap().is_none());
    drop(second);
    let mut again = ring.acquire().unwrap();
    assert_eq!(again.memory().number, 1, "a slot that the device never saw needs no waiting");
    fences[2].complete();
}

#[test]
fn a_slot_that_the_device_uses_is_waited_for() {
    let (ring, _) = ring(1, 8);
    let fence = Hand::default();
    ring.acquire().unwrap().submit(fence.clone());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| sender.send(ring.acquire().map(|mut lease| lease.memory().number)).unwrap());
        assert_eq!(receiver.recv_timeout(A_WHILE).unwrap_err(), RecvTimeoutError::Timeout);
        fence.complete();
        assert_eq!(receiver.recv_timeout(LONG).unwrap().unwrap(), 0);
    });
}

#[test]
fn a_slot_that_someone_holds_is_waited_for() {
    let (ring, _) = ring(1, 8);
    let lease = ring.acquire().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| sender.send(ring.acquire().is_ok()).unwrap());
        assert_eq!(receiver.recv_timeout(A_WHILE).unwrap_err(), RecvTimeoutError::Timeout);
        drop(lease);
        assert!(receiver.recv_timeout(LONG).unwrap());
    });
}

#[test]
fn who_does_not_want_to_wait_for_others_gets_nothing_while_they_hold_all() {
    let (ring, _) = ring(2, 8);
    let first = ring.acquire_unheld().unwrap().expect("free");
    let second = ring.acquire_unheld().unwrap().expect("free");
    assert_eq!([first.slot().number, second.slot().number], [0, 1]);
    assert!(ring.acquire_unheld().unwrap().is_none());
    // The device is waited for, not those who hold slots.
    let fence = Hand::default();
    second.submit(fence.clone());
    let (sender, receiver) = mpsc::channel();
    let waiting = ring.clone();
    let thread = thread::spawn(move || {
        let lease = waiting.acquire_unheld().unwrap();
        sender.send(lease.map(|lease| lease.slot().number)).unwrap();
    });
    assert!(matches!(receiver.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout)));
    fence.complete();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), Some(1));
    thread.join().unwrap();
    drop(first);
}

#[test]
fn reading_waits_for_the_attached_fence() {
    let (ring, _) = ring(2, 4);
    let mut lease = ring.acquire().unwrap();
    let (fence, bytes) = (Hand::default(), Arc::clone(&lease.memory().bytes));
    lease.attach(fence.clone());
    let device = thread::spawn(move || {
        thread::sleep(A_WHILE);
        *bytes.lock().unwrap() = vec![1, 2, 3, 4];
        fence.complete();
    });
    let mut read = [0; 3];
    lease.read(1, &mut read).unwrap();
    assert_eq!(read, [2, 3, 4]);
    device.join().unwrap();
}

#[test]
fn slots_are_freed_after_the_device_is_done_with_them() {
    let (ring, alive) = ring(2, 8);
    let (held, fence) = (ring.acquire().unwrap(), Hand::default());
    ring.acquire().unwrap().submit(fence.clone());
    drop(ring);
    assert_eq!(alive.load(Ordering::SeqCst), 2, "a slot in use keeps its ring");
    let dropping = thread::spawn(move || drop(held));
    thread::sleep(A_WHILE);
    assert!(!dropping.is_finished() && alive.load(Ordering::SeqCst) > 0);
    fence.complete();
    dropping.join().unwrap();
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_device_that_failed_is_an_error_and_no_slot_is_lost() {
    let (ring, alive) = ring(1, 8);
    let fence = Hand::default();
    ring.acquire().unwrap().submit(fence.clone());
    fence.end(false);
    for _ in 0..2 {
        assert_eq!(ring.acquire().err().map(|e| e.kind()), Some(ErrorKind::Device));
        assert_eq!(ring.try_acquire().err().map(|e| e.kind()), Some(ErrorKind::Device));
    }
    drop(ring);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn staging_counts_in_the_statistics_and_against_the_limit() {
    let (pool, alive) = (Pool::new(Fake::new(0), Some(1000)), Arc::default());
    let ring = pool.staging(3, 200, maker(&alive)).unwrap();
    let usage = pool.statistics().of(Purpose::Staging);
    assert_eq!((usage.blocks, usage.in_use, usage.from_device), (3, 600, 3));
    assert_eq!(pool.staging(3, 200, maker(&alive)).err().map(|e| e.kind()), Some(ErrorKind::Memory));
    let mut make = maker(&alive);
    let mut left = 1;
    let fails = pool.staging(2, 200, |bytes| match left {
        0 => Err(Error::memory("no pages to pin")),
        _ => {
            left -= 1;
            make(bytes)
        }
    });
    assert_eq!(fails.err().map(|e| e.to_string()).as_deref(), Some("no pages to pin"));
    assert_eq!((pool.statistics().total.in_use, alive.load(Ordering::SeqCst)), (600, 3));
    let lease = ring.acquire().unwrap();
    drop((ring, lease));
    assert_eq!((pool.statistics().total.in_use, alive.load(Ordering::SeqCst)), (0, 0));
}

#[test]
fn an_answer_is_there_when_its_fence_is_done_and_nobody_waits_for_a_slot() {
    let (ring, _) = ring(1, 4);
    let fence = Hand::default();
    let ask = |value: u8| {
        let copied = fence.clone();
        ring.request(3, move |slot| slot.write(0, &[value; 3]).map(|()| copied))
    };
    let answer: Box<dyn Pending> = Box::new(ask(7).unwrap().expect("a free slot"));
    assert!(!answer.is_done().unwrap());
    assert!(ask(8).unwrap().is_none(), "the slot is taken");
    fence.complete();
    assert!(answer.is_done().unwrap());
    assert_eq!(answer.wait().unwrap(), [7; 3]);
    let dropped = ask(9).unwrap().expect("the slot came back");
    drop(dropped);
    assert!(ring.request(5, |_| Ok(Hand::default())).unwrap().is_none(), "more than a slot holds");
    assert!(ring.request(1, |_| Err(Error::device("no copy"))).is_err());
    assert_eq!(Box::new(ask(6).unwrap().expect("no slot was lost")).wait().unwrap(), [6; 3]);

    let failed = Hand::default();
    let copied = failed.clone();
    let answer = ring.request(1, move |_| Ok(copied)).unwrap().expect("a free slot");
    failed.end(false);
    assert!(answer.is_done().is_err() && Box::new(answer).wait().is_err());
}

#[test]
fn pieces_cover_all_bytes_in_order() {
    let cut = |bytes, size| pieces(bytes, size).map(|p| (p.start, p.end)).collect::<Vec<_>>();
    assert_eq!(cut(10, 4), [(0, 4), (4, 8), (8, 10)]);
    assert_eq!(cut(8, 4), [(0, 4), (4, 8)]);
    assert_eq!(cut(3, 4), [(0, 3)]);
    assert_eq!(cut(0, 4), []);
    assert_eq!(cut(3, usize::MAX), [(0, 3)]);
}

/// Work on device memory.
type Job = Box<dyn FnOnce(&mut Vec<u8>) + Send>;

/// A thread that does what it is sent, in order and in its own time.
struct Queue {
    jobs: Sender<Job>,
}

impl Queue {
    /// A queue over device memory that holds some bytes.
    fn new(mut memory: Vec<u8>) -> (Self, thread::JoinHandle<Vec<u8>>) {
        let (jobs, receiver) = mpsc::channel::<Job>();
        let worker = thread::spawn(move || {
            for job in receiver {
                thread::sleep(Duration::from_micros(200));
                job(&mut memory);
            }
            memory
        });
        (Queue { jobs }, worker)
    }

    fn submit(&self, job: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> Hand {
        let fence = Hand::default();
        let done = fence.clone();
        let job = move |memory: &mut Vec<u8>| {
            job(memory);
            done.complete();
        };
        self.jobs.send(Box::new(job)).unwrap();
        fence
    }

    fn to_device(&self, slot: &Ram, range: Range<usize>) -> Hand {
        let bytes = Arc::clone(&slot.bytes);
        self.submit(move |memory| {
            let size = range.len();
            memory[range].copy_from_slice(&bytes.lock().unwrap()[..size]);
        })
    }

    fn to_host(&self, slot: &Ram, range: Range<usize>) -> Hand {
        let bytes = Arc::clone(&slot.bytes);
        self.submit(move |memory| bytes.lock().unwrap()[..range.len()].copy_from_slice(&memory[range]))
    }
}

fn sample(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

#[test]
fn uploads_larger_than_the_ring_arrive_whole() {
    let (ring, _) = ring(3, 64);
    for len in [0, 1, 64, 1000] {
        let (queue, worker) = Queue::new(vec![0; len]);
        let mut pieces = 0;
        ring.upload(&sample(len), |slot, range| {
            pieces += 1;
            Ok(queue.to_device(slot, range))
        })
        .unwrap();
        drop(queue);
        assert_eq!(worker.join().unwrap(), sample(len));
        assert_eq!(pieces, len.div_ceil(64));
    }
}

#[test]
fn downloads_larger_than_the_ring_arrive_whole_also_side_by_side() {
    let (ring, _) = ring(2, 64);
    let (queue, worker) = Queue::new(sample(1000));
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for start in [0, 100, 300] {
            let (ring, queue) = (&ring, &queue);
            scope.spawn(move || {
                let mut bytes = vec![0; 1000 - start];
                ring.download(&mut bytes, |slot, range| {
                    Ok(queue.lock().unwrap().to_host(slot, start + range.start..start + range.end))
                })
                .unwrap();
                assert_eq!(bytes, sample(1000)[start..]);
            });
        }
    });
    drop(queue);
    worker.join().unwrap();
}

#[test]
fn a_copy_that_fails_ends_the_transfer_and_leaves_the_ring_usable() {
    let (ring, alive) = ring(2, 8);
    let (queue, worker) = Queue::new(sample(40));
    let mut left = 2;
    let mut bytes = [0; 40];
    let failed = ring.download(&mut bytes, |slot, range| {
        if left == 0 {
            return Err(Error::device("no more copies"));
        }
        left -= 1;
        Ok(queue.to_host(slot, range))
    });
    assert_eq!(failed.unwrap_err().to_string(), "no more copies");
    ring.download(&mut bytes, |slot, range| Ok(queue.to_host(slot, range))).unwrap();
    assert_eq!(bytes.as_slice(), sample(40));
    let failed = ring.upload(&bytes, |_, _| Err(Error::device("no copies at all")));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Device);
    let held = [ring.acquire().unwrap(), ring.acquire().unwrap()];
    drop((held, ring, queue));
    worker.join().unwrap();
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}
