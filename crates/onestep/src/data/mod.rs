//! Data sets: samples of fixed shape behind random access, and what batches them.
//!
//! A [`Dataset`] gives one sample at a time in its stored dtype; a [`Loader`] shuffles and batches on the host.
//! Normalisation is only described here ([`Normalization`]): it is computed inside the step.

pub mod datasets;
mod loader;
mod memory;
mod random;
mod subset;

pub use loader::{Batch, Epoch, Loader, gather};
pub use memory::InMemory;
pub use random::{SplitMix64, permutation};
pub use subset::Subset;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ir::{DType, Shape};

/// Shape and dtype of one sample, without the batch axis. Images are [height, width, channels].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ElementSpec {
    /// The extents of one sample; empty for a scalar such as a class label.
    pub shape: Shape,
    /// The stored type.
    pub dtype: DType,
}

impl ElementSpec {
    /// A spec of a shape and a dtype.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        ElementSpec { shape: shape.into(), dtype }
    }

    /// Bytes that one sample takes.
    pub fn bytes(&self) -> usize {
        self.shape.elements() * self.dtype.size()
    }

    /// Copies one sample's bytes into a buffer of as many.
    fn copy(&self, sample: &[u8], buffer: &mut [u8]) -> Result<()> {
        if buffer.len() != sample.len() {
            let (want, got) = (sample.len(), buffer.len());
            return Err(Error::shape(format!("a sample {self} takes {want} bytes, not a buffer of {got}")));
        }
        buffer.copy_from_slice(sample);
        Ok(())
    }
}

impl fmt::Display for ElementSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// A set of samples, each an input and a target of fixed shape, in random access from any thread.
///
/// `Arc<dyn Dataset>` is a data set too, so that wrappers need no type parameter.
pub trait Dataset: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Shape and dtype of one sample's input.
    fn input(&self) -> ElementSpec;

    /// Shape and dtype of one sample's target: i32 without axes for a class label, `f32 [k]` for regression.
    fn target(&self) -> ElementSpec;

    /// Writes sample `index` as row-major little-endian bytes; the buffers have the specs' sizes.
    ///
    /// # Errors
    /// An index that is not below [`len`](Dataset::len), a buffer of another size, and whatever reading the
    /// sample may meet.
    fn read(&self, index: usize, input: &mut [u8], target: &mut [u8]) -> Result<()>;

    /// The names of the classes, where targets are class labels.
    fn classes(&self) -> Option<&[String]> {
        None
    }

    /// How inputs want to be normalised, where nobody says otherwise: [`Normalization::default_for`] the input.
    fn normalization(&self) -> Option<Normalization> {
        Normalization::default_for(&self.input())
    }

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits into two disjoint shuffled parts; the first has `fraction` of the samples, rounded to nearest.
    /// The split is a function of length, fraction and seed alone.
    ///
    /// # Errors
    /// A split that would leave one part without a sample.
    fn split(self, fraction: f64, seed: u64) -> Result<(Subset, Subset)>
    where
        Self: Sized + 'static,
    {
        subset::split(Arc::new(self), fraction, seed)
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn input(&self) -> ElementSpec {
        (**self).input()
    }

    fn target(&self) -> ElementSpec {
        (**self).target()
    }

    fn read(&self, index: usize, input: &mut [u8], target: &mut [u8]) -> Result<()> {
        (**self).read(index, input, target)
    }

    fn classes(&self) -> Option<&[String]> {
        (**self).classes()
    }

    fn normalization(&self) -> Option<Normalization> {
        (**self).normalization()
    }
}

/// Normalisation of inputs: `(x * scale - mean[c]) / std[c]`, where `c` is the last axis (the channel).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Multiplies first; 1/255 takes bytes to 0..1.
    pub scale: f64,
    /// Subtracted after scaling: one number for all channels, or one a channel.
    pub mean: Vec<f64>,
    /// Divides last, greater than zero: one number for all channels, or one a channel.
    pub std: Vec<f64>,
}

impl Normalization {
    /// Only a scale: mean 0, standard deviation 1.
    pub fn scale(scale: f64) -> Self {
        Normalization { scale, mean: vec![0.0], std: vec![1.0] }
    }

    /// What suits an input that says nothing: 1/255 for u8 images ([height, width, channels]), else nothing.
    pub fn default_for(input: &ElementSpec) -> Option<Self> {
        (input.dtype == DType::U8 && input.shape.rank() == 3).then(|| Normalization::scale(1.0 / 255.0))
    }

    /// Checks that the numbers are usable and as many as the input has channels.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with what is wrong.
    pub fn check(&self, input: &ElementSpec) -> Result<()> {
        let channels = input.shape.last().copied().unwrap_or(1);
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != 1 && values.len() != channels {
                let n = values.len();
                return Err(Error::config(format!(
                    "normalization: {n} values of {name}, but inputs {input} have {channels} channels; give 1 or \
                     {channels}"
                )));
            }
        }
        let finite = self.scale.is_finite() && self.mean.iter().chain(&self.std).all(|v| v.is_finite());
        if !finite || self.std.iter().any(|&v| v <= 0.0) {
            return Err(Error::config("normalization: every number must be finite and every std above zero"));
        }
        Ok(())
    }

    /// One value of a channel, normalised; the formula that the step computes.
    pub fn apply(&self, value: f64, channel: usize) -> f64 {
        let of_channel = |values: &[f64]| values[if values.len() == 1 { 0 } else { channel }];
        (value * self.scale - of_channel(&self.mean)) / of_channel(&self.std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn normalization_follows_its_formula_and_is_checked() {
        let rgb = ElementSpec::new([4, 4, 3], DType::U8);
        let n = Normalization { scale: 0.5, mean: vec![1.0, 2.0, 3.0], std: vec![2.0] };
        n.check(&rgb).unwrap();
        assert_eq!(n.apply(10.0, 2), 1.0);
        assert_eq!(Normalization::default_for(&rgb).unwrap().apply(255.0, 1), 1.0);
        assert_eq!(Normalization::default_for(&ElementSpec::new([7], DType::U8)), None);

        let wrong = [
            Normalization { mean: vec![0.0, 1.0], ..n.clone() },
            Normalization { std: vec![0.0], ..n.clone() },
            Normalization { std: vec![], ..n.clone() },
            Normalization { scale: f64::NAN, ..n.clone() },
        ];
        for wrong in wrong {
            assert_eq!(wrong.check(&rgb).unwrap_err().kind(), ErrorKind::Config);
        }
    }

    #[test]
    fn normalization_survives_a_config_file() {
        let n = Normalization { scale: 1.0 / 255.0, mean: vec![0.1307], std: vec![0.3081] };
        let text = toml::to_string(&n).unwrap();
        assert_eq!(toml::from_str::<Normalization>(&text).unwrap(), n);
        assert!(toml::from_str::<Normalization>("scale = 1.0\nmean = [0.0]\nstd = [1.0]\nsdt = 1").is_err());
    }
}
