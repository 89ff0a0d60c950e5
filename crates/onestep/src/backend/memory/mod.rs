//! Memory of devices that have their own: a pool over raw device memory, statistics about it, and staging
//! rings for the way there and back. Shared by all such backends; what is unsafe stays in a backend's
//! [`RawMemory`] and [`Slot`].
//!
//! A backend says how raw memory comes and goes, and hands out blocks of a pool:
//!
//! ```
//! use onestep::Result;
//! use onestep::backend::memory::{Capacity, Pool, Purpose, RawMemory};
//! use std::{ops::Range, sync::Mutex};
//!
//! struct Host;
//!
//! impl RawMemory for Host {
//!     type Raw = Mutex<Vec<u8>>;
//!     fn name(&self) -> String {
//!         "host".to_string()
//!     }
//!     fn allocate(&self, bytes: usize) -> Result<Self::Raw> {
//!         Ok(Mutex::new(vec![1; bytes]))
//!     }
//!     fn free(&self, raw: Self::Raw) {
//!         drop(raw);
//!     }
//!     fn zero(&self, raw: &Self::Raw, bytes: Range<usize>) -> Result<()> {
//!         raw.lock().unwrap()[bytes].fill(0);
//!         Ok(())
//!     }
//!     fn capacity(&self) -> Option<Capacity> {
//!         None
//!     }
//! }
//!
//! let pool = Pool::new(Host, Some(1 << 20));
//! let block = pool.zeroed(1000, Purpose::State)?;
//! assert!(block.raw().lock().unwrap().iter().all(|byte| *byte == 0));
//! drop(block);
//! println!("{}", pool.statistics());
//! # assert_eq!(pool.statistics().cached, 1024);
//! # Ok::<(), onestep::Error>(())
//! ```

mod account;
mod batch;
mod pool;
mod size;
mod staging;
mod statistics;
#[cfg(test)]
mod tests;

pub use account::{Account, Charge};
pub use batch::largest_batch;
pub use pool::{Block, Capacity, Pool, RawMemory, rounded};
pub use size::Size;
pub(in crate::backend) use staging::Keep;
pub use staging::{Answer, Fence, Lease, Ring, Slot, pieces};
pub use statistics::{Purpose, Statistics, Usage};
