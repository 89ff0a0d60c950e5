//! Data and model files that are missing, cut off or lie about themselves.

use std::fs;

use crate::{Place, TINY, idx, png};

const DATA: &str = r#"kind = "idx"
train_images = "images.idx"
train_labels = "labels.idx"
test_images = "images.idx"
test_labels = "labels.idx""#;

/// A place with a config over IDX files: 12 images of 8×8 and labels of three classes.
fn with_idx() -> Place {
    let place = Place::new();
    place.write("idx.toml", TINY.replace("kind = \"digits\"\ntest_fraction = 0.2", DATA));
    place.write("images.idx", idx(&[12, 8, 8], &[7; 12 * 64]));
    place.write("labels.idx", idx(&[12], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]));
    place
}

#[test]
fn idx_files_that_lie_are_refused() {
    let place = with_idx();
    let train = ["train", "idx.toml", "--epochs", "1"];
    place.succeeds(&train);
    let good = fs::read(place.path("images.idx")).unwrap();
    let check = |images: &[u8], parts: &[&str]| {
        place.write("images.idx", images);
        place.refused(&train, &[&["images.idx"], parts].concat());
    };
    check(&good[..good.len() - 1], &[]);
    check(&good[..5], &[]);
    check(b"", &[]);
    check(b"not an IDX file at all", &[]);
    // 2^40 items in a file of a few bytes: refused before anything is allocated for them.
    check(&idx(&[1 << 20, 1 << 10, 1 << 10], &[0; 64]), &[]);
    check(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[]), &[]);
    check(&idx(&[11, 8, 8], &[7; 11 * 64]), &["11", "12"]);
    fs::remove_file(place.path("images.idx")).unwrap();
    place.refused(&train, &["images.idx"]);
}

#[test]
fn labels_out_of_range_are_refused() {
    let place = with_idx();
    let train = ["train", "idx.toml", "--epochs", "1"];
    place.write("labels.idx", idx(&[12], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 10]));
    place.refused(&train, &["10 scores", "11 classes"]);
    let named = place.read("idx.toml").replace("kind = \"idx\"", "kind = \"idx\"\nclasses = [\"a\", \"b\", \"c\"]");
    place.write("idx.toml", named);
    place.refused(&train, &["labels.idx", "sample 11 has label 10", "3 classes"]);
}

#[test]
fn a_test_set_with_other_classes_or_images_is_refused() {
    let place = with_idx();
    let train = ["train", "idx.toml", "--epochs", "1"];
    let config = place.read("idx.toml");
    place.write("more.idx", idx(&[12], &[200; 12]));
    place.write("idx.toml", config.replace("test_labels = \"labels.idx\"", "test_labels = \"more.idx\""));
    place.refused(&train, &["201 classes", "10 scores"]);
    place.write("wide.idx", idx(&[12, 8, 9], &[7; 12 * 72]));
    place.write("idx.toml", config.replace("test_images = \"images.idx\"", "test_images = \"wide.idx\""));
    place.refused(&train, &["u8[8,9,1]", "u8[8,8,1]"]);
}

#[test]
fn mnist_without_its_files_names_them() {
    let place = Place::new();
    place.refused(&["train", "mnist", "--data", "absent"], &["absent", "train-images-idx3-ubyte"]);
}

#[test]
fn model_files_that_lie_are_refused() {
    let place = Place::new();
    place.succeeds(&["train", "tiny.toml", "--epochs", "1", "--out", "run"]);
    png(&place.path("a.png"), 8, 8, png::ColorType::Grayscale, png::BitDepth::Eight, &[0; 64]);
    let predict = ["predict", "run", "a.png"];
    place.succeeds(&predict);
    let good = fs::read(place.path("run/model.safetensors")).unwrap();
    let check = |bytes: &[u8], parts: &[&str]| {
        place.write("run/model.safetensors", bytes);
        place.refused(&predict, &[&["model.safetensors"], parts].concat());
        place.refused(&["eval", "run"], &["model.safetensors"]);
    };
    check(&good[..good.len() - 1], &[]);
    check(&good[..100], &["header"]);
    check(&good[..3], &["3 bytes"]);
    check(&[&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(), &["1099511627776"]);
    check(&[&2u64.to_le_bytes()[..], b"{}"].concat(), &["not a model of onestep"]);

    // The header keeps its length, so that only what it says is wrong.
    let text = String::from_utf8_lossy(&good[8..]).find("\\\"out\\\":10").unwrap();
    let mut more = good.clone();
    more[8 + text..][..10].copy_from_slice(b"\\\"out\\\":99");
    place.write("run/model.safetensors", &more);
    place.refused(&predict, &["model.safetensors", "out.weight"]);

    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    place.refused(&predict, &["model.safetensors"]);
    place.refused(&["predict", "absent", "a.png"], &["absent"]);
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let place = Place::new();
    place.succeeds(&["train", "tiny.toml", "--epochs", "1", "--out", "run"]);
    png(&place.path("large.png"), 28, 20, png::ColorType::Grayscale, png::BitDepth::Eight, &[0; 560]);
    place.refused(&["predict", "run", "large.png"], &["large.png", "28×20", "8×8"]);
    place.refused(&["predict", "run", "absent.png"], &["absent.png"]);
    place.refused(&["predict", "run", "tiny.toml"], &["tiny.toml", "PNG"]);
    png(&place.path("cut.png"), 8, 8, png::ColorType::Grayscale, png::BitDepth::Eight, &[0; 64]);
    let whole = fs::read(place.path("cut.png")).unwrap();
    for cut in [8, 20, 40, whole.len() - 14] {
        place.write("cut.png", &whole[..cut]);
        place.refused(&["predict", "run", "cut.png"], &["cut.png", "PNG"]);
    }
}
