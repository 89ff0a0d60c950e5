//! A data set whose samples lie in host memory as two tensors.

use std::sync::Arc;

use super::{Dataset, ElementSpec, Normalization};
use crate::error::{Error, Result};
use crate::ir::{DType, Literal};

/// Inputs [n, …] and targets [n, …] in host memory; a clone shares them.
///
/// ```
/// use onestep::data::{Dataset, InMemory};
/// use onestep::ir::{DType, Literal};
/// let inputs = Literal::from_f32([3, 2], &[0.0, 0.1, 1.0, 1.1, 2.0, 2.1])?;
/// let labels = Literal::from_f64(DType::I32, [3], &[0.0, 1.0, 1.0])?;
/// let set = InMemory::new(inputs, labels)?.with_classes(["cat", "dog"])?;
/// assert_eq!((set.len(), set.input().to_string()), (3, "f32[2]".to_string()));
/// # Ok::<(), onestep::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InMemory {
    inputs: Literal,
    targets: Literal,
    input: ElementSpec,
    target: ElementSpec,
    classes: Option<Arc<[String]>>,
    normalization: Option<Normalization>,
}

impl InMemory {
    /// A data set of inputs `[n, …]` and targets `[n, …]` (`i32 [n]` for labels, `f32 [n, k]` for regression), with the
    /// default normalisation of its inputs.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) where the two differ in length or lack the first axis.
    pub fn new(inputs: Literal, targets: Literal) -> Result<Self> {
        let (&[n, ref input @ ..], &[m, ref target @ ..]) = (inputs.shape().dims(), targets.shape().dims()) else {
            return Err(Error::data("inputs and targets need a first axis that counts the samples; they have none"));
        };
        if n != m {
            return Err(Error::data(format!("{n} inputs, but {m} targets; there must be one for each")));
        }
        let (input, target) = (ElementSpec::new(input, inputs.dtype()), ElementSpec::new(target, targets.dtype()));
        let normalization = Normalization::default_for(&input);
        Ok(InMemory { inputs, targets, input, target, classes: None, normalization })
    }

    /// Makes it a classification set: targets are labels, each the index of its class's name.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) where targets are not `i32 [n]` or a label, whose index is
    /// named, is not below the number of classes.
    pub fn with_classes<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let classes: Arc<[String]> = names.into_iter().map(Into::into).collect();
        if self.target != ElementSpec::new([], DType::I32) {
            let target = &self.target;
            return Err(Error::data(format!("class labels must be i32[] a sample, but targets are {target}")));
        }
        let n = classes.len();
        let labels = self.targets.bytes().chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let allowed = |label: i32| usize::try_from(label).is_ok_and(|label| label < n);
        if let Some((index, label)) = labels.enumerate().find(|&(_, label)| !allowed(label)) {
            return Err(Error::data(format!(
                "sample {index} has label {label}, but there are {n} classes, counted from 0; mend the label or \
                 name all classes"
            )));
        }
        self.classes = Some(classes);
        Ok(self)
    }

    /// Replaces the default normalisation; `None` leaves inputs as they are.
    ///
    /// # Errors
    /// Those of [`Normalization::check`].
    pub fn with_normalization(mut self, normalization: Option<Normalization>) -> Result<Self> {
        if let Some(normalization) = &normalization {
            normalization.check(&self.input)?;
        }
        self.normalization = normalization;
        Ok(self)
    }

    /// All inputs, [n, …].
    pub fn inputs(&self) -> &Literal {
        &self.inputs
    }

    /// All targets, [n, …].
    pub fn targets(&self) -> &Literal {
        &self.targets
    }
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.inputs.shape()[0]
    }

    fn input(&self) -> ElementSpec {
        self.input.clone()
    }

    fn target(&self) -> ElementSpec {
        self.target.clone()
    }

    fn read(&self, index: usize, input: &mut [u8], target: &mut [u8]) -> Result<()> {
        if index >= self.len() {
            return Err(Error::data(format!("there is no sample {index}; the data set has {}", self.len())));
        }
        self.input.copy(sample(&self.inputs, index, self.input.bytes()), input)?;
        self.target.copy(sample(&self.targets, index, self.target.bytes()), target)
    }

    fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    fn normalization(&self) -> Option<Normalization> {
        self.normalization.clone()
    }
}

/// The bytes of sample `index`, of `size` bytes each.
fn sample(all: &Literal, index: usize, size: usize) -> &[u8] {
    &all.bytes()[index * size..(index + 1) * size]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn labelled(labels: &[f64]) -> Result<InMemory> {
        let inputs = Literal::zeros(DType::F32, [labels.len(), 2]);
        InMemory::new(inputs, Literal::from_f64(DType::I32, [labels.len()], labels)?)
    }

    #[test]
    fn reads_samples_and_refuses_what_is_not_there() {
        let inputs = Literal::from_f32([2, 2], &[0.0, 1.0, 2.0, 3.0]).unwrap();
        let set = InMemory::new(inputs, Literal::from_f32([2, 1], &[5.0, 6.0]).unwrap()).unwrap();
        let (mut input, mut target) = ([0; 8], [0; 4]);
        set.read(1, &mut input, &mut target).unwrap();
        assert_eq!((&input[..], target), (&set.inputs().bytes()[8..], 6f32.to_le_bytes()));
        assert_eq!(set.read(2, &mut input, &mut target).unwrap_err().kind(), ErrorKind::Data);
        assert_eq!(set.read(0, &mut input[1..], &mut target).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(set.normalization(), None);
    }

    #[test]
    fn refuses_lengths_that_differ_and_scalars() {
        let error = InMemory::new(Literal::zeros(DType::U8, [3, 2]), Literal::zeros(DType::I32, [2])).unwrap_err();
        assert!(error.to_string().contains("3 inputs, but 2 targets"), "{error}");
        assert!(InMemory::new(Literal::zeros(DType::U8, []), Literal::zeros(DType::I32, [2])).is_err());
    }

    #[test]
    fn refuses_labels_out_of_range_and_names_the_sample() {
        let set = labelled(&[0.0, 1.0, 2.0]).unwrap();
        let error = set.clone().with_classes(["a", "b"]).unwrap_err();
        assert!(error.to_string().contains("sample 2 has label 2"), "{error}");
        assert_eq!(set.with_classes(["a", "b", "c"]).unwrap().classes().unwrap().len(), 3);
        assert!(labelled(&[0.0, -1.0]).unwrap().with_classes(["a"]).unwrap_err().to_string().contains("label -1"));
        let regression = InMemory::new(Literal::zeros(DType::F32, [2]), Literal::zeros(DType::F32, [2])).unwrap();
        assert!(regression.with_classes(["a"]).unwrap_err().to_string().contains("f32[]"));
    }

    #[test]
    fn normalization_is_checked_and_can_be_taken_away() {
        let images = Literal::zeros(DType::U8, [1, 4, 4, 3]);
        let set = InMemory::new(images, Literal::zeros(DType::I32, [1])).unwrap();
        assert_eq!(set.normalization(), Some(Normalization::scale(1.0 / 255.0)));
        let two = Normalization { scale: 1.0, mean: vec![0.0; 2], std: vec![1.0] };
        assert!(set.clone().with_normalization(Some(two)).is_err());
        assert_eq!(set.with_normalization(None).unwrap().normalization(), None);
    }
}
