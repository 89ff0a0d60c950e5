//! Data sets by name: digits (embedded), MNIST and its relatives, any pair of IDX files, random numbers.

use std::path::{Path, PathBuf};

use super::{InMemory, Normalization, SplitMix64};
use crate::error::{Error, Result};
use crate::format::idx::{parse_idx, read_idx};
use crate::ir::{DType, Literal, Shape};

const DIGITS_IMAGES: &[u8] = include_bytes!("../../assets/digits/images.idx.gz");
const DIGITS_LABELS: &[u8] = include_bytes!("../../assets/digits/labels.idx.gz");

/// The 1,797 handwritten digits of the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and
/// Kaynak 1998, UCI, CC BY 4.0, doi 10.24432/C50P49): u8 [8, 8, 1] of 0..=16, normalised by 1/16; ten classes.
/// They are part of the library and need no file.
pub fn digits() -> InMemory {
    let embedded = || {
        let images = parse_idx(DIGITS_IMAGES, "digits' images")?;
        let labels = parse_idx(DIGITS_LABELS, "digits' labels")?;
        images_and_labels(images, labels)?
            .with_classes(ten_digits())?
            .with_normalization(Some(Normalization::scale(1.0 / 16.0)))
    };
    embedded().unwrap_or_else(|e| panic!("onestep bug: the embedded digits do not load: {e}"))
}

/// MNIST (LeCun, Cortes, Burges) as (train, test) from the four files of its original names in `folder`, each
/// with or without `.gz`: u8 [28, 28, 1], ten classes, normalised by 1/255, mean 0.1307, std 0.3081 (those of
/// the training images). Its relatives of the same file names (Fashion-MNIST, KMNIST) load too; give them
/// statistics of their own by [`InMemory::with_normalization`].
///
/// # Errors
/// A missing file, with the paths that were looked for; else those of [`idx`].
pub fn mnist(folder: impl AsRef<Path>) -> Result<(InMemory, InMemory)> {
    let part = |name: &str| {
        let images = find(folder.as_ref(), &format!("{name}-images-idx3-ubyte"))?;
        let labels = find(folder.as_ref(), &format!("{name}-labels-idx1-ubyte"))?;
        let normalization = Normalization { scale: 1.0 / 255.0, mean: vec![0.1307], std: vec![0.3081] };
        pair(&images, &labels)?
            .with_classes(ten_digits())
            .map_err(|e| e.at(labels.display()))?
            .with_normalization(Some(normalization))
    };
    Ok((part("train")?, part("t10k")?))
}

/// Images and labels from two IDX files, gzipped or not. Images are u8 [n, height, width] or
/// `[n, height, width, channels]`, labels `u8 [n]`; the samples are `u8 [height, width, channels]` and an i32 label,
/// normalised by 1/255. Classes are named by their number, up to the largest label in the file; name them by
/// [`InMemory::with_classes`] where a file may lack the last ones.
///
/// # Errors
/// Files that [`read_idx`] refuses, that hold something else than images and
/// labels, or that differ in length.
pub fn idx(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<InMemory> {
    let set = pair(images.as_ref(), labels.as_ref())?;
    let classes = set.targets().to_f64().into_iter().fold(0, |n, label| n.max(label as usize + 1));
    set.with_classes((0..classes).map(|class| class.to_string()))
}

/// Inputs f32 `shape`, uniform in [-1, 1), each with one of `classes` labels at random: nothing to learn from, but as
/// much work as a data set of that form. The same `seed` gives the same samples.
///
/// # Errors
/// No class, and more numbers than memory can address.
pub fn random(shape: impl Into<Shape>, classes: usize, samples: usize, seed: u64) -> Result<InMemory> {
    let shape: Shape = [samples].into_iter().chain(shape.into().iter().copied()).collect();
    let numbers = shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    let numbers = numbers.filter(|&n| n <= isize::MAX as usize / 4).ok_or_else(|| {
        Error::memory(format!("random inputs of shape {shape} are more than memory can address; ask for fewer"))
    })?;
    let bound = u32::try_from(classes).ok().filter(|&n| n > 0);
    let bound = bound.ok_or_else(|| Error::data(format!("random labels of {classes} classes; give 1 to 2^32 - 1")))?;
    let mut random = SplitMix64::new(seed);
    let targets: Vec<f64> = (0..samples).map(|_| f64::from(random.below(bound))).collect();
    // The upper 24 bits, all that an f32 in this range can hold.
    let inputs: Vec<f32> = (0..numbers).map(|_| (random.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect();
    InMemory::new(Literal::from_f32(shape, &inputs)?, Literal::from_f64(DType::I32, [samples], &targets)?)?
        .with_classes((0..classes).map(|class| class.to_string()))
}

fn pair(images: &Path, labels: &Path) -> Result<InMemory> {
    images_and_labels(read_idx(images)?, read_idx(labels)?)
        .map_err(|e| e.at(format!("{} and {}", images.display(), labels.display())))
}

/// Joins u8 images [n, h, w] or [n, h, w, c] with u8 labels [n].
fn images_and_labels(images: Literal, labels: Literal) -> Result<InMemory> {
    let shape: Shape = match (images.dtype(), images.shape().dims()) {
        (DType::U8, &[n, h, w]) => [n, h, w, 1].into(),
        (DType::U8, &[n, h, w, c]) => [n, h, w, c].into(),
        (dtype, _) => {
            let shape = images.shape();
            return Err(Error::data(format!("the images are {dtype}{shape}, not u8 [n, height, width]")));
        }
    };
    if labels.dtype() != DType::U8 || labels.shape().rank() != 1 {
        let (dtype, shape) = (labels.dtype(), labels.shape());
        return Err(Error::data(format!("the labels are {dtype}{shape}, not u8 [n]")));
    }
    let targets: Vec<u8> = labels.bytes().iter().flat_map(|&label| i32::from(label).to_le_bytes()).collect();
    InMemory::new(images.reshape(shape)?, Literal::from_bytes(DType::I32, labels.shape(), targets)?)
}

fn ten_digits() -> impl Iterator<Item = String> {
    (0..10).map(|digit| digit.to_string())
}

/// The file of a name in a folder, plain or gzipped.
fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    let candidates = [folder.join(name), folder.join(format!("{name}.gz"))];
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let [plain, gzipped] = &candidates;
        Error::data(format!(
            "there is neither {} nor {}; download the data set's four files into one folder and name it",
            plain.display(),
            gzipped.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use flate2::Crc;

    use super::*;
    use crate::ErrorKind;
    use crate::data::Dataset;

    fn crc(bytes: impl AsRef<[u8]>) -> u32 {
        let mut crc = Crc::new();
        crc.update(bytes.as_ref());
        crc.sum()
    }

    fn counts(set: &InMemory) -> Vec<usize> {
        let labels = set.targets().to_f64();
        (0..10).map(|class| labels.iter().filter(|&&label| label == f64::from(class)).count()).collect()
    }

    fn write_idx(path: &Path, extents: &[u32], data: &[u8]) {
        let mut bytes = vec![0, 0, 8, extents.len() as u8];
        extents.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn digits_are_the_originals() {
        let digits = digits();
        assert_eq!(counts(&digits), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(digits.inputs().shape().dims(), [1797, 8, 8, 1]);
        assert_eq!((digits.input().to_string(), digits.target().to_string()), ("u8[8,8,1]".into(), "i32[]".into()));
        assert_eq!(digits.normalization().unwrap().apply(16.0, 0), 1.0);
        assert_eq!(digits.inputs().bytes().iter().max(), Some(&16));
        let labels: Vec<u8> = digits.targets().to_f64().into_iter().map(|label| label as u8).collect();
        // What make.py beside the files prints.
        assert_eq!((crc(digits.inputs().bytes()), crc(labels)), (0xf3a2_533c, 0xf86f_c929));
    }

    #[test]
    fn random_samples_follow_from_their_seed_and_fill_their_range() {
        let set = random([3, 2], 4, 500, 1).unwrap();
        assert_eq!((set.len(), set.input().to_string(), set.classes().unwrap().len()), (500, "f32[3,2]".into(), 4));
        let inputs = set.inputs().to_f32();
        assert!(inputs.iter().all(|x| (-1.0..1.0).contains(x)));
        assert!((inputs.iter().sum::<f32>() / 3000.0).abs() < 0.05);
        assert_eq!(inputs, random([3, 2], 4, 500, 1).unwrap().inputs().to_f32());
        assert_ne!(inputs, random([3, 2], 4, 500, 2).unwrap().inputs().to_f32());
        let label = |n: f64| set.targets().to_f64().into_iter().filter(|&l| l == n).count();
        assert!([0.0, 1.0, 2.0, 3.0].into_iter().all(|n| label(n) > 90));
        assert!(random([3], 0, 1, 0).unwrap_err().to_string().contains("0 classes"));
        assert_eq!(random([usize::MAX, 2], 2, 1, 0).unwrap_err().kind(), ErrorKind::Memory);
    }

    #[test]
    fn idx_pairs_images_with_labels() {
        let folder = tempfile::tempdir().unwrap();
        let [images, labels] = ["images", "labels"].map(|name| folder.path().join(name));
        write_idx(&images, &[2, 2, 3], &[7; 12]);
        write_idx(&labels, &[2], &[4, 0]);
        let set = idx(&images, &labels).unwrap();
        assert_eq!((set.input().to_string(), set.classes().unwrap().len()), ("u8[2,3,1]".into(), 5));
        assert_eq!(set.targets().to_f64(), [4.0, 0.0]);

        write_idx(&labels, &[3], &[4, 0, 1]);
        let error = idx(&images, &labels).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let message = error.to_string();
        assert!(message.contains("2 inputs, but 3 targets") && message.contains("labels: "), "{message}");
        let swapped = idx(&labels, &images).unwrap_err().to_string();
        assert!(swapped.contains("the images are u8[3]"), "{swapped}");
        assert!(idx(&images, &images).unwrap_err().to_string().contains("the labels are u8[2,2,3]"));
    }

    #[test]
    fn mnist_names_what_it_looked_for_and_refuses_an_eleventh_class() {
        let folder = tempfile::tempdir().unwrap();
        let error = mnist(folder.path()).unwrap_err().to_string();
        let names = ["train-images-idx3-ubyte nor ", "train-images-idx3-ubyte.gz;"];
        assert!(names.iter().all(|name| error.contains(name)), "{error}");

        for part in ["train", "t10k"] {
            write_idx(&folder.path().join(format!("{part}-images-idx3-ubyte")), &[2, 1, 1], &[1, 2]);
            write_idx(&folder.path().join(format!("{part}-labels-idx1-ubyte")), &[2], &[9, 10]);
        }
        let error = mnist(folder.path()).unwrap_err().to_string();
        assert!(error.contains("train-labels-idx1-ubyte: sample 1 has label 10"), "{error}");
    }

    #[test]
    fn mnist_of_the_original_files() {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let folder = std::env::var_os("ONESTEP_DATA").map_or(beside, PathBuf::from).join("mnist");
        if !folder.is_dir() {
            eprintln!("skipped: no MNIST folder ({}); set ONESTEP_DATA to the folder above it", folder.display());
            return;
        }
        let (train, test) = mnist(folder).unwrap();
        assert_eq!((train.len(), test.len(), train.input().to_string()), (60_000, 10_000, "u8[28,28,1]".into()));
        assert_eq!(counts(&train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
        assert_eq!(counts(&test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
        let (normalization, pixels) = (train.normalization().unwrap(), train.inputs().bytes());
        let sum: f64 = pixels.iter().map(|&pixel| normalization.apply(f64::from(pixel), 0)).sum();
        assert!((sum / pixels.len() as f64).abs() < 1e-3, "normalised training images have mean 0");
    }
}
