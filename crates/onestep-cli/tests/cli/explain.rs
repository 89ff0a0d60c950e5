//! `onestep explain`: every layer is there, shares add up, and what it refuses.

use serde_json::Value;

use crate::{Place, stderr};

fn kernels(place: &Place, args: &[&str]) -> Vec<Value> {
    let printed = place.succeeds(&[&["explain", "--json", "--steps", "3"], args].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sum(kernels: &[Value], key: &str) -> f64 {
    kernels.iter().filter_map(|kernel| kernel[key].as_f64()).sum()
}

#[test]
fn every_layer_is_shown_and_shares_add_up() {
    let place = Place::new();
    let printed = place.succeeds(&["explain", "tiny.toml", "--steps", "3"]);
    for part in ["conv", "out", "loss", "optimizer", "batch 64", "Time ", "whole step", "arena", "states", "peak"] {
        assert!(printed.contains(part), "`{part}` is not in:\n{printed}");
    }
    assert!(!printed.contains("plan, arena"), "{printed}");
    let with_plan = place.succeeds(&["explain", "tiny.toml", "--steps", "1", "--text"]);
    assert!(with_plan.starts_with("plan, arena"), "{with_plan}");

    let kernels = kernels(&place, &["tiny.toml"]);
    let layers: Vec<&str> =
        kernels.iter().flat_map(|k| k["layers"].as_array().unwrap()).filter_map(Value::as_str).collect();
    assert!(["conv", "out", "loss", "optimizer"].iter().all(|layer| layers.contains(layer)), "{layers:?}");
    assert!((sum(&kernels, "share") - 1.0).abs() < 1e-9);
    assert!(kernels.iter().all(|k| k["us"].as_f64().is_some_and(|us| us >= 0.0)));
    assert!(kernels.iter().enumerate().all(|(i, k)| k["kernel"] == i && k["bytes_written"].as_u64() > Some(0)));
}

#[test]
fn work_grows_with_the_batch() {
    let place = Place::new();
    let [small, large] = ["8", "32"].map(|batch| kernels(&place, &["mlp", "--batch", batch]));
    // Three products forward, three for the weights, two for the layers' inputs; a bias for each layer and a ReLU for
    // each hidden one.
    let products = |batch: f64| {
        let products = 2.0 * (3.0 * (784.0 * 128.0 + 128.0 * 64.0 + 64.0 * 10.0) - 784.0 * 128.0);
        batch * (products + 2.0 * 128.0 + 2.0 * 64.0 + 10.0)
    };
    let dots =
        |kernels: &[Value]| sum(&kernels.iter().filter(|k| k["kind"] == "dot").cloned().collect::<Vec<_>>(), "flops");
    assert_eq!((dots(&small), dots(&large)), (products(8.0), products(32.0)));
    assert!(sum(&small, "bytes_read") < sum(&large, "bytes_read"));
}

#[test]
fn a_device_without_kernels_says_so() {
    let place = Place::new();
    let args = ["tiny.toml", "--device", "reference", "--batch", "2"];
    let printed = place.succeeds(&[&["explain", "--steps", "1"], &args[..]].concat());
    assert!(printed.contains("reference does not run by kernels"), "{printed}");
    assert!(kernels(&place, &args).iter().all(|k| k["us"].is_null() && k["flops"].is_u64()));
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let place = Place::new();
    place.refused(&["explain", "digist"], &["`digist`", "digits, mnist", "seed_cnn, mlp, small_cnn", ".toml"]);
    place.refused(&["explain", "mnist"], &["--data DIR"]);
    place.refused(&["explain", "digits", "--data", "."], &["--data"]);
    place.refused(&["explain", "digits", "--device", "abacus"], &["`abacus`", "cpu"]);
    for flags in [&["--steps", "0"][..], &["--batch", "0"], &["--json", "--text"]] {
        let output = place.run(&[&["explain", "digits"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", stderr(&output));
    }
}
