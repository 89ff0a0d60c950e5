//! Configs, flags and numbers that make no sense.

use crate::{Place, stderr};

#[test]
fn config_errors_name_file_line_and_what_exists() {
    let place = Place::new();
    let check = |from, to, parts: &[&str]| {
        let file = place.tiny_with(from, to);
        place.refused(&["train", file], &[&[file], parts].concat());
    };
    check("\"conv2d\"", "\"conv3\"", &["line 8", "there is no layer `conv3`", "conv2d", "max_pool2d"]);
    check("filters = 4", "filter = 4", &["line 8", "`filter`", "filters", "stride"]);
    check("epochs = 2", "epoch = 2", &["line 14", "`epoch`", "batch_size"]);
    check("epochs = 2", "epochs = \"two\"", &["line 14", "two", "u32"]);
    check("\"adamw\"", "\"adamm\"", &["line 18", "adamm", "sgd"]);
    check("0.02", "\"fast\"", &["line 19", "fast"]);
    check("0.02", "0.0.2", &["line 19"]);
    check("\"digits\"", "\"digit\"", &["line 3", "digit", "mnist"]);
    check("[optimizer]", "[optimiser]", &["no section [optimizer]"]);
}

#[test]
fn shapes_that_do_not_fit_name_the_layer() {
    let place = Place::new();
    let check = |from, to, parts: &[&str]| place.refused(&["train", place.tiny_with(from, to)], parts);
    check("kernel = 3", "kernel = 9", &["conv2d `conv`", "[4,9,9,1]", "[1,8,8,1]"]);
    check("out = 10", "out = 10, in_features = 7", &["linear `out`", "36", "7"]);
    check("out = 10", "out = 9", &["9 scores", "10 classes"]);
    check("    { type = \"flatten\", name = \"flatten\" },\n", "", &["loss"]);
    check("out = 10", "out = 9000000000000000000", &["linear `out`", "out.weight"]);
    check("out = 10", "out = 100000000000", &["error"]);
}

#[test]
fn a_loss_that_becomes_nan_stops_the_run_and_saves_it() {
    let place = Place::new();
    let args = ["train", "tiny.toml", "--learning-rate", "1e30", "--out", "run"];
    place.refused(&args, &["NaN", "at step 2 (epoch 1)", "first seen in", "learning rate", "saved in run"]);
    assert!(place.path("run/model.safetensors").is_file());
    place.succeeds(&["eval", "run"]);
}

#[test]
fn an_output_folder_that_exists_is_refused_without_force() {
    let place = Place::new();
    let args = ["train", "tiny.toml", "--epochs", "1", "--out", "run"];
    place.succeeds(&args);
    let before = place.read("run/summary.json");
    place.refused(&args, &["run exists already", "--force"]);
    assert_eq!(place.read("run/summary.json"), before);
    place.succeeds(&[&args[..], &["--force", "--seed", "1"]].concat());
    assert_ne!(place.read("run/summary.json"), before);
    place.refused(&["train", "tiny.toml", "--out", "tiny.toml", "--force"], &["tiny.toml is not a folder"]);
}

#[test]
fn a_device_that_is_not_there_is_named_with_those_that_are() {
    let place = Place::new();
    place.refused(&["train", "digits", "--device", "abacus"], &["`abacus`", "cpu", "onestep devices"]);
    // Without a driver, for want of one; with one, for want of so many GPUs.
    place.refused(&["train", "digits", "--device", "cuda:700"], &["CUDA", "here"]);
    // Without Vulkan, without an adapter or without so many.
    place.refused(&["train", "digits", "--device", "vulkan:700"], &["vulkan", "here"]);
    let listed = place.succeeds(&["devices"]);
    assert!(listed.contains("cpu") && listed.contains("reference"), "{listed}");
}

#[test]
fn names_that_do_not_exist_come_with_those_that_do() {
    let place = Place::new();
    place.refused(&["train", "digist"], &["`digist`", "digits, mnist"]);
    place.refused(&["train", "absent.toml"], &["absent.toml"]);
    place.refused(&["recipe", "cifar"], &["`cifar`", "digits, mnist"]);
    place.refused(&["eval", "."], &["not a run folder"]);
    place.refused(&["train", "digits", "--data", "."], &["--data"]);
    place.refused(&["train", "mnist"], &["--data DIR"]);
    place.write("latin1.toml", b"name = \"\xe9\"");
    place.refused(&["train", "latin1.toml"], &["latin1.toml", "UTF-8"]);
}

#[test]
fn flags_that_make_no_sense_exit_with_2() {
    let place = Place::new();
    let cases: [&[&str]; 8] = [
        &[],
        &["trian"],
        &["train"],
        &["train", "digits", "--epochs", "0"],
        &["train", "digits", "--batch-size", "many"],
        &["train", "digits", "--threads", "0"],
        &["train", "digits", "--force"],
        &["predict", "run"],
    ];
    for args in cases {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    }
    place.refused(&["train", "digits", "--learning-rate=nan"], &["--learning-rate", "NaN"]);
}

#[test]
fn memory_that_does_not_suffice_is_refused_with_the_batch_that_fits() {
    let place = Place::new();
    let train = |batch: &str, limit: &str, parts: &[&str]| {
        let limits = ["--batch-size", batch, "--memory-limit", limit];
        place.refused(&[&["train", "tiny.toml", "--device", "cpu", "--threads", "1"], &limits[..]].concat(), parts);
    };
    train("1024", "700KiB", &["cpu is out of memory", "a batch of 1024", "limit of 700.0 KiB", "the largest batch"]);
    train("1024", "10KiB", &["limit of 10.0 KiB", "not even a batch of 1 fits"]);
    assert!(!place.path("runs").exists(), "refused before a run folder is made");
    let file = place.tiny_with("epochs = 2", "epochs = 2\nmemory_limit = \"2KiB\"");
    place.refused(&["train", file, "--device", "cpu"], &["out of memory within the limit of 2.0 KiB"]);
    let file = place.tiny_with("epochs = 2", "epochs = 2\nmemory_limit = \"lots\"");
    place.refused(&["train", file], &["line 15", "`lots`", "512MiB"]);
    let file = place.tiny_with("epochs = 2", "epochs = 2\nresident = \"maybe\"");
    place.refused(&["train", file], &["line 15", "maybe", "always"]);
}
