//! A choice of another data set's samples, and the shuffled split that makes two of them.

use std::sync::Arc;

use super::{Dataset, ElementSpec, Normalization, permutation};
use crate::error::{Error, Result};

/// The stream of [`permutation`] that splits use; no epoch gets as far.
const SPLIT_STREAM: u64 = u64::MAX;

/// Some samples of a data set in an order of its own; a clone shares both.
#[derive(Clone)]
pub struct Subset {
    dataset: Arc<dyn Dataset>,
    indices: Arc<[u32]>,
}

impl Subset {
    /// The samples at `indices`, in that order; an index may come more than once.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) for an index that the data set does not have.
    pub fn new(dataset: Arc<dyn Dataset>, indices: impl Into<Arc<[u32]>>) -> Result<Self> {
        let (indices, n) = (indices.into(), dataset.len());
        if let Some((at, index)) = indices.iter().enumerate().find(|&(_, &index)| index as usize >= n) {
            return Err(Error::data(format!("index {index} (at place {at}) is not in the data set of {n} samples")));
        }
        Ok(Subset { dataset, indices })
    }

    /// The chosen indices into the data set that it was made of.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn input(&self) -> ElementSpec {
        self.dataset.input()
    }

    fn target(&self) -> ElementSpec {
        self.dataset.target()
    }

    fn read(&self, index: usize, input: &mut [u8], target: &mut [u8]) -> Result<()> {
        match self.indices.get(index) {
            Some(&original) => self.dataset.read(original as usize, input, target),
            None => Err(Error::data(format!("there is no sample {index}; the subset has {}", self.len()))),
        }
    }

    fn classes(&self) -> Option<&[String]> {
        self.dataset.classes()
    }

    fn normalization(&self) -> Option<Normalization> {
        self.dataset.normalization()
    }
}

/// The number of samples as the u32 that orders are made of.
pub(super) fn countable(dataset: &dyn Dataset) -> Result<u32> {
    u32::try_from(dataset.len())
        .map_err(|_| Error::unsupported(format!("{} samples; at most {} can be shuffled", dataset.len(), u32::MAX)))
}

/// What [`Dataset::split`] does.
pub(super) fn split(dataset: Arc<dyn Dataset>, fraction: f64, seed: u64) -> Result<(Subset, Subset)> {
    let n = countable(&*dataset)?;
    // A float cast saturates and takes NaN to 0, so that any fraction ends in a check below.
    let first = (f64::from(n) * fraction).round() as u32;
    if first == 0 || first >= n {
        return Err(Error::data(format!(
            "a split of {n} samples at {fraction} leaves one part empty; give a fraction between 0 and 1"
        )));
    }
    let mut indices = permutation(n, seed, SPLIT_STREAM);
    let rest = indices.split_off(first as usize);
    Ok((Subset::new(dataset.clone(), indices)?, Subset::new(dataset, rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::data::InMemory;
    use crate::ir::{DType, Literal};

    fn numbers(n: usize) -> InMemory {
        let values: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let labels = Literal::from_f64(DType::I32, [n], &values).unwrap();
        InMemory::new(labels.clone(), labels).unwrap()
    }

    #[test]
    fn splits_are_disjoint_complete_and_repeatable() {
        let (train, test) = numbers(100).split(0.8, 42).unwrap();
        assert_eq!((train.len(), test.len()), (80, 20));
        let mut all = [train.indices(), test.indices()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        let erased: Arc<dyn Dataset> = Arc::new(numbers(100));
        assert_eq!(erased.clone().split(0.8, 42).unwrap().0.indices(), train.indices());
        assert_ne!(erased.split(0.8, 43).unwrap().0.indices(), train.indices());
    }

    #[test]
    fn reads_through_to_the_chosen_sample() {
        let (_, test) = numbers(10).split(0.7, 1).unwrap();
        let (mut input, mut target) = ([0; 4], [0; 4]);
        for (i, &index) in test.indices().iter().enumerate() {
            test.read(i, &mut input, &mut target).unwrap();
            assert_eq!(u32::from_le_bytes(input), index);
        }
        assert_eq!(test.read(3, &mut input, &mut target).unwrap_err().kind(), ErrorKind::Data);
    }

    #[test]
    fn refuses_empty_parts_and_foreign_indices() {
        for fraction in [0.0, 1.0, 0.01, 1.5, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(numbers(10).split(fraction, 0).err().map(|e| e.kind()), Some(ErrorKind::Data), "{fraction}");
        }
        let error = Subset::new(Arc::new(numbers(3)), [0, 3]).err().unwrap().to_string();
        assert!(error.contains("index 3 (at place 1)"), "{error}");
    }
}
