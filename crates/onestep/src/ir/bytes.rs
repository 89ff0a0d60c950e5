//! The bytes of a tensor in host memory: its own, or memory lent by a device that copies from it faster than from
//! any other.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter;
use std::sync::Arc;

/// Host memory that belongs to a device, lent for the bytes of a tensor and given back by being dropped.
pub trait Lent: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The bytes, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// For the device to find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// Who lends such memory.
pub trait Lender: Send + Sync {
    /// So many bytes of whatever content; `None` where there are no more, and ordinary memory has to do.
    fn lend(&self, bytes: usize) -> Option<Box<dyn Lent>>;
}

/// Bytes in host memory; a clone shares them.
#[derive(Clone)]
pub struct HostBytes(Content);

#[derive(Clone)]
enum Content {
    Own(Arc<[u8]>),
    Lent(Arc<dyn Lent>),
}

impl HostBytes {
    /// So many bytes to write: of a lender, if there is one and it has some, else zeros.
    pub fn of(lender: Option<&dyn Lender>, bytes: usize) -> Self {
        match lender.and_then(|lender| lender.lend(bytes)) {
            Some(lent) => HostBytes(Content::Lent(lent.into())),
            None => HostBytes(Content::Own(iter::repeat_n(0, bytes).collect())),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Content::Own(bytes) => bytes,
            Content::Lent(lent) => lent.bytes(),
        }
    }

    /// The bytes, to be written; `None` where a clone shares them.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.0 {
            Content::Own(bytes) => Arc::get_mut(bytes),
            Content::Lent(lent) => Arc::get_mut(lent).map(|lent| lent.bytes_mut()),
        }
    }

    /// The memory, if it was lent and is of this type.
    pub(crate) fn lent<T: 'static>(&self) -> Option<&T> {
        match &self.0 {
            Content::Own(_) => None,
            Content::Lent(lent) => lent.as_any().downcast_ref(),
        }
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for HostBytes {
    fn from(bytes: T) -> Self {
        HostBytes(Content::Own(bytes.into()))
    }
}

impl PartialEq for HostBytes {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for HostBytes {}

impl Hash for HostBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl fmt::Debug for HostBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}
