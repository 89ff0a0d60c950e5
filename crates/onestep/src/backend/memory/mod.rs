//! Memory of devices that have their own: a pool over raw device memory, statistics about it, and staging
//! rings for the way there and back. Shared by all such backends; what is unsafe stays in a backend's
//! [`RawMemory`] and [`Slot`].

mod batch;
mod pool;
mod staging;
mod statistics;
#[cfg(test)]
mod tests;

pub use batch::largest_batch;
pub use pool::{Block, Capacity, Pool, RawMemory};
pub use staging::{Fence, Lease, Ring, Slot, pieces};
pub use statistics::{Purpose, Statistics, Usage};
