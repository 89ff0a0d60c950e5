//! Numbers of the device that are asked for now and looked at when they are there.

use std::fmt;

use crate::backend::Pending;
use crate::error::Result;
use crate::trace::{Literal, Type};

/// Numbers on their way from the device: as they are behind all that was submitted when they were asked for,
/// whatever has been submitted since.
pub struct Later<T> {
    pending: Box<dyn Pending>,
    /// The states whose bytes come, one behind the other.
    types: Vec<Type>,
    read: fn(&[f64]) -> T,
}

impl<T> Later<T> {
    /// `read` makes of the elements of all states what is wanted.
    pub(super) fn new(pending: Box<dyn Pending>, types: Vec<Type>, read: fn(&[f64]) -> T) -> Self {
        Later { pending, types, read }
    }

    /// Whether they are there; asking does not wait.
    ///
    /// # Errors
    /// A device that fails.
    pub fn is_done(&self) -> Result<bool> {
        self.pending.is_done()
    }

    /// The numbers, waited for if need be.
    ///
    /// # Errors
    /// A device that fails.
    pub fn wait(self) -> Result<T> {
        let bytes = self.pending.wait()?;
        let (mut values, mut rest) = (Vec::new(), &bytes[..]);
        for ty in self.types {
            let (of_state, behind) = rest.split_at(ty.bytes());
            values.extend(Literal::from_bytes(ty.dtype, ty.shape, of_state)?.to_f64());
            rest = behind;
        }
        Ok((self.read)(&values))
    }
}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Later({} states)", self.types.len())
    }
}
