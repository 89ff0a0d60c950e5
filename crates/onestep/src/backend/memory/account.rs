//! Counts memory that comes from no pool, as on the CPU, within a limit.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::size::Size;
use super::statistics::{Purpose, Statistics};
use crate::error::{Error, Result};

/// Who uses how much memory of a device. Cloning shares it.
#[derive(Clone)]
pub struct Account(Arc<Shared>);

struct Shared {
    /// What errors call the device.
    name: String,
    statistics: Mutex<Statistics>,
}

impl Account {
    /// Nothing used yet, and no limit.
    pub fn new(name: impl Into<String>) -> Self {
        Account(Arc::new(Shared { name: name.into(), statistics: Mutex::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Statistics> {
        self.0.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes until the answer is dropped; an error if they would exceed the limit.
    pub fn charge(&self, bytes: usize, purpose: Purpose) -> Result<Charge> {
        let mut statistics = self.lock();
        let in_use = statistics.total.in_use;
        if let Some(limit) = statistics.limit.filter(|&limit| in_use.saturating_add(bytes) > limit) {
            return Err(Error::memory(format!(
                "{} is out of memory within the limit of {}: {} asked for ({purpose}), {} in use; use a smaller batch \
                 or model, or raise the limit",
                self.0.name,
                Size(limit),
                Size(bytes),
                Size(in_use),
            )));
        }
        statistics.take(purpose, bytes, bytes, true);
        Ok(Charge { account: self.clone(), bytes, purpose })
    }

    /// Counts at most so many bytes from now on; what is in use stays.
    pub fn set_limit(&self, limit: Option<usize>) {
        self.lock().limit = limit;
    }

    /// What is in use and counted now.
    pub fn statistics(&self) -> Statistics {
        self.lock().clone()
    }

    /// Bytes left within the limit, if there is one.
    pub fn available(&self) -> Option<usize> {
        let statistics = self.lock();
        statistics.limit.map(|limit| limit.saturating_sub(statistics.total.in_use))
    }
}

/// Bytes of an [`Account`] that are in use until this is dropped.
pub struct Charge {
    account: Account,
    bytes: usize,
    purpose: Purpose,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({}, {} bytes)", self.purpose, self.bytes)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.lock().give_back(self.purpose, self.bytes, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn counts_until_dropped_and_keeps_the_limit() {
        let account = Account::new("cpu");
        let big = account.charge(1 << 40, Purpose::State).unwrap();
        assert_eq!(account.available(), None);
        drop(big);
        account.set_limit(Some(1000));
        let a = account.charge(600, Purpose::State).unwrap();
        assert_eq!(account.available(), Some(400));
        let e = account.charge(401, Purpose::Arena).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Memory);
        assert_eq!(
            e.to_string(),
            "cpu is out of memory within the limit of 1000 B: 401 B asked for (arena), 600 B in use; use a smaller \
             batch or model, or raise the limit"
        );
        let b = account.charge(400, Purpose::Arena).unwrap();
        assert_eq!((account.available(), account.statistics().of(Purpose::Arena).in_use), (Some(0), 400));
        account.set_limit(Some(10));
        assert_eq!(account.available(), Some(0), "less than is in use");
        drop((a, b));
        let statistics = account.statistics();
        assert_eq!((statistics.total.in_use, statistics.total.blocks, statistics.total.peak), (0, 0, 1 << 40));
    }
}
