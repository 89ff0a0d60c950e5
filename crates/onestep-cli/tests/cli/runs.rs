//! Runs that succeed: what they print, what they leave behind, and what can be done with it.

use std::fs;

use png::{BitDepth, ColorType};
use serde_json::Value;

use crate::{Place, png};

#[test]
fn a_run_leaves_its_files_and_can_be_used() {
    let place = Place::new();
    let printed = place.succeeds(&["train", "tiny.toml", "--json", "--seed", "3"]);
    for part in [
        "conv2d",
        "[3,3,4]",
        "total",
        "epoch  2",
        "test accuracy",
        "Confusion matrix",
        "Saved",
        "first step done after",
    ] {
        assert!(printed.contains(part), "`{part}` is not in:\n{printed}");
    }
    let summary: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let keys = [
        "device",
        "parameters",
        "epochs",
        "steps",
        "seconds",
        "first_step_seconds",
        "steps_per_second",
        "train_loss",
        "test_loss",
        "test_accuracy",
        "peak_bytes",
    ];
    assert!(keys.iter().all(|key| !summary[key].is_null()), "{summary}");
    assert_eq!((summary["epochs"].as_u64(), summary["steps"].as_u64()), (Some(2), Some(46)));
    assert_eq!(summary["parameters"].as_u64(), Some(40 + 370));
    assert!(summary["test_accuracy"].as_f64().unwrap() > 0.5, "{summary}");

    let run = "runs/tiny-1";
    let written: Value = serde_json::from_str(&place.read(&format!("{run}/summary.json"))).unwrap();
    assert_eq!(written, summary);
    let metrics = place.read(&format!("{run}/metrics.csv"));
    assert_eq!(metrics.lines().count(), 3, "{metrics}");
    assert!(place.read(&format!("{run}/config.toml")).contains("seed = 3"));

    let figures = |text: &str| text.lines().find(|line| line.starts_with("Test ")).map(str::to_string).unwrap();
    assert_eq!(figures(&place.succeeds(&["eval", run])), figures(&printed));
    // The effective config is a config: the same run again, into a folder of the next number.
    let again = place.succeeds(&["train", &format!("{run}/config.toml"), "--threads", "1"]);
    assert_eq!(figures(&again), figures(&printed));
    assert!(place.succeeds(&["train", "tiny.toml", "--epochs", "1"]).contains("runs/tiny-2"));
}

#[test]
fn images_of_every_colour_type_are_predicted_alike() {
    let place = Place::new();
    place.succeeds(&["train", "tiny.toml", "--out", "run"]);
    let grey: Vec<u8> = (0..64).map(|i| if (18..46).contains(&i) { 255 } else { 0 }).collect();
    let each = |f: fn(u8) -> Vec<u8>| grey.iter().flat_map(|&v| f(v)).collect::<Vec<u8>>();
    let write = |name: &str, colour, depth, data: &[u8]| png(&place.path(name), 8, 8, colour, depth, data);
    write("grey.png", ColorType::Grayscale, BitDepth::Eight, &grey);
    write("deep.png", ColorType::Grayscale, BitDepth::Sixteen, &each(|v| vec![v; 2]));
    write("alpha.png", ColorType::GrayscaleAlpha, BitDepth::Eight, &each(|v| vec![255, v]));
    write("rgb.png", ColorType::Rgb, BitDepth::Eight, &each(|v| vec![v; 3]));
    write("rgba.png", ColorType::Rgba, BitDepth::Eight, &each(|v| vec![v, v, v, 255]));
    write("palette.png", ColorType::Indexed, BitDepth::Eight, &grey);
    let bits: Vec<u8> = grey.chunks(8).map(|row| row.iter().fold(0, |b, &v| b << 1 | (v >> 7))).collect();
    write("bits.png", ColorType::Grayscale, BitDepth::One, &bits);
    let names = ["grey", "deep", "alpha", "rgb", "rgba", "palette", "bits"].map(|name| format!("{name}.png"));
    let mut args = vec!["predict", "run"];
    args.extend(names.iter().map(String::as_str));
    let printed = place.succeeds(&args);
    let verdicts: Vec<&str> = printed.lines().filter_map(|line| line.split_once(".png  ")).map(|(_, v)| v).collect();
    assert_eq!(verdicts.len(), names.len(), "{printed}");
    assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{printed}");
    assert_eq!(verdicts[0].matches('%').count(), 10, "{printed}");

    let inverted: Vec<u8> = grey.iter().map(|v| 255 - v).collect();
    write("dark.png", ColorType::Grayscale, BitDepth::Eight, &inverted);
    let printed = place.succeeds(&["predict", "run", "dark.png", "--invert", "--top", "1"]);
    assert_eq!(printed.trim_end().split_once(".png  ").unwrap().1, verdicts[0].split_once("  (").unwrap().0);
}

#[test]
fn gzipped_and_plain_idx_files_train_alike() {
    let place = Place::new();
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/../onestep/assets/digits");
    fs::create_dir(place.path("data")).unwrap();
    for (part, gzipped) in [("train", true), ("t10k", false)] {
        for (kind, name) in [("images", "images-idx3-ubyte"), ("labels", "labels-idx1-ubyte")] {
            let bytes = fs::read(format!("{assets}/{kind}.idx.gz")).unwrap();
            if gzipped {
                place.write(&format!("data/{part}-{name}.gz"), bytes);
            } else {
                let mut plain = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).unwrap();
                place.write(&format!("data/{part}-{name}"), plain);
            }
        }
    }
    let config = place.tiny_with("kind = \"digits\"\ntest_fraction = 0.2", "kind = \"mnist\"");
    let printed = place.succeeds(&["train", config, "--data", "data", "--epochs", "1", "--out", "run"]);
    assert!(printed.contains("1,797 to train on, 1,797 to test on"), "{printed}");
    // The run knows its data from wherever it is used.
    fs::create_dir(place.path("elsewhere")).unwrap();
    let eval = place.command(&["eval", "../run"]).current_dir(place.path("elsewhere")).output().unwrap();
    assert!(eval.status.success(), "{}", crate::stderr(&eval));
}

#[test]
fn recipes_print_as_files_that_train() {
    let place = Place::new();
    for name in ["digits", "mnist"] {
        place.write("printed.toml", place.succeeds(&["recipe", name]));
        assert!(place.read("printed.toml").contains("[optimizer]"));
    }
    place.write("printed.toml", place.succeeds(&["recipe", "digits"]));
    place.succeeds(&["train", "printed.toml", "--epochs", "1", "--batch-size", "500"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_training_and_saves_it() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let place = Place::new();
    let mut child = place
        .command(&["train", "tiny.toml", "--epochs", "100000", "--out", "run", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("epoch  2")), "no epoch ended");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let last = lines.last().unwrap();
    assert!(child.wait().unwrap().success());
    let summary: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(summary["interrupted"], true);
    place.succeeds(&["eval", "run"]);
}

#[test]
fn a_run_in_another_precision_is_evaluated_in_it() {
    let place = Place::new();
    let figures = |text: &str| text.lines().find(|line| line.starts_with("Test ")).map(str::to_string).unwrap();
    for precision in ["bf16", "f16"] {
        let printed = place.succeeds(&["train", "tiny.toml", "--precision", precision, "--out", precision, "--json"]);
        let summary: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
        assert!(summary["test_accuracy"].as_f64().unwrap() > 0.5, "{summary}");
        let config = place.read(&format!("{precision}/config.toml"));
        assert!(config.contains(&format!("precision = \"{precision}\"")), "{config}");
        assert_eq!(figures(&place.succeeds(&["eval", precision])), figures(&printed));
    }
    let wrong = place.run(&["train", "tiny.toml", "--precision", "bf17"]);
    let message = crate::stderr(&wrong);
    assert!(!wrong.status.success() && message.contains("there are f32, bf16, f16"), "{message}");
    let config = place.tiny_with("[training]\n", "[training]\nprecision = \"bf17\"\n");
    place.refused(&["train", config], &["changed.toml, line", "`bf17`", "`f32`, `bf16`, `f16`"]);
}

#[test]
fn data_on_the_device_give_the_same_figures() {
    let place = Place::new();
    let figures = |args: &[&str]| {
        let printed = place.succeeds(&[&["train", "tiny.toml"], args].concat());
        printed.lines().find(|line| line.starts_with("Test ")).map(str::to_string).unwrap()
    };
    let streamed = figures(&["--resident", "never", "--out", "streamed"]);
    assert_eq!(figures(&["--resident", "always", "--memory-limit", "1GiB", "--out", "resident"]), streamed);
    let config = place.read("resident/config.toml");
    assert!(config.contains("resident = \"always\"") && config.contains("memory_limit = \"1GiB\""), "{config}");
}
