//! The memory manager on a fake device, which records what it is asked, has little memory and never forgets a
//! block.

mod pool;
mod random;
mod staging;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Capacity, RawMemory};
use crate::error::{Error, Result};

/// A device of numbered blocks. Cloning shares it.
#[derive(Clone)]
struct Fake(Arc<Mutex<Inside>>);

struct Inside {
    memory: usize,
    outstanding: BTreeMap<usize, usize>,
    calls: Vec<String>,
    made: usize,
    /// Every call fails for a reason other than memory.
    broken: bool,
}

/// A block's number.
#[derive(Debug)]
struct Number(usize);

impl Fake {
    fn new(memory: usize) -> Self {
        let inside = Inside { memory, outstanding: BTreeMap::new(), calls: Vec::new(), made: 0, broken: false };
        Fake(Arc::new(Mutex::new(inside)))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// The calls since this was last asked.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inside().calls)
    }

    /// Bytes that were allocated and not freed.
    fn outstanding(&self) -> usize {
        self.inside().outstanding.values().sum()
    }
}

impl RawMemory for Fake {
    type Raw = Number;

    fn name(&self) -> String {
        "fake:0".to_string()
    }

    fn allocate(&self, bytes: usize) -> Result<Number> {
        let mut inside = self.inside();
        if inside.broken {
            return Err(Error::device("fake:0 fell off the bus"));
        }
        assert!(bytes > 0 && bytes.is_multiple_of(128), "{bytes} bytes");
        let used: usize = inside.outstanding.values().sum();
        if bytes > inside.memory - used {
            inside.calls.push(format!("refuse {bytes}"));
            return Err(Error::memory("FAKE_OUT_OF_MEMORY"));
        }
        let number = inside.made;
        inside.made += 1;
        inside.outstanding.insert(number, bytes);
        inside.calls.push(format!("allocate {bytes}"));
        Ok(Number(number))
    }

    fn free(&self, raw: Number) {
        let mut inside = self.inside();
        let bytes = inside.outstanding.remove(&raw.0).expect("freed once");
        inside.calls.push(format!("free {bytes}"));
    }

    fn zero(&self, raw: &Number, bytes: Range<usize>) -> Result<()> {
        let mut inside = self.inside();
        if inside.broken {
            return Err(Error::device("fake:0 fell off the bus"));
        }
        assert!(bytes.end <= inside.outstanding[&raw.0], "within the block");
        inside.calls.push(format!("zero {}..{} of {}", bytes.start, bytes.end, raw.0));
        Ok(())
    }

    fn capacity(&self) -> Option<Capacity> {
        let used = self.outstanding();
        let total = self.inside().memory;
        Some(Capacity { total, free: total - used })
    }
}
