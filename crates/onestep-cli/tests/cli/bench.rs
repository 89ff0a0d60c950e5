//! `onestep bench`: its figures, its sweeps, and what it refuses.

use serde_json::Value;

use crate::{Place, stderr};

/// As little work as a figure takes.
const QUICK: [&str; 4] = ["--steps", "1", "--repeats", "5"];

fn lines(place: &Place, args: &[&str]) -> Vec<Value> {
    let printed = place.succeeds(&[&["bench", "--json"], args, &QUICK[..]].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_workload_has_a_line_with_its_figures() {
    let place = Place::new();
    let found = lines(&place, &["--threads", "1"]);
    let names: Vec<&str> = found.iter().filter_map(|line| line["workload"].as_str()).collect();
    assert_eq!(names, ["seed_cnn", "mlp", "small_cnn"]);
    let keys =
        "workload device threads batch precision median_us min_us max_us items_per_second peak_bytes version commit";
    for line in &found {
        let of_line: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(of_line.join(" "), keys);
        let number = |key: &str| line[key].as_f64().unwrap();
        assert_eq!(line["precision"], "f32");
        assert!(0.0 < number("min_us") && number("min_us") <= number("median_us"), "{line}");
        assert!(number("median_us") <= number("max_us") && number("peak_bytes") > 0.0, "{line}");
        let rate = 32e6 / number("median_us");
        assert!((number("items_per_second") - rate).abs() <= 1.0, "{line}");
        assert_eq!((&line["device"], &line["threads"], &line["batch"]), (&"cpu".into(), &1.into(), &32.into()));
        assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
        assert!(line["commit"].as_str().is_some_and(|commit| !commit.is_empty()), "{line}");
    }
}

#[test]
fn a_product_has_a_line_for_each_width() {
    let place = Place::new();
    for precision in ["f32", "bf16", "f16"] {
        let found = lines(&place, &["matmul", "--width", "16,24", "--precision", precision]);
        let widths: Vec<_> = found.iter().map(|line| line["width"].as_u64()).collect();
        assert_eq!(widths, [Some(16), Some(24)]);
        for line in &found {
            let (us, n) = (line["median_us"].as_f64().unwrap(), line["width"].as_f64().unwrap());
            let tflops = line["tflops"].as_f64().unwrap();
            assert!(us > 0.0 && (tflops * us * 1e6 / (2.0 * n.powi(3)) - 1.0).abs() < 1e-9, "{line}");
            assert_eq!((&line["workload"], &line["precision"]), (&"matmul".into(), &precision.into()));
        }
    }
    let printed = place.succeeds(&[&["bench", "matmul", "--width", "16"], &QUICK[..]].concat());
    assert!(printed.contains("TFLOP/s"), "{printed}");
}

#[test]
fn batch_and_width_are_swept() {
    let place = Place::new();
    let found = lines(&place, &["mlp", "--batch", "2,4", "--width", "16,32"]);
    let points: Vec<_> = found.iter().map(|line| [line["width"].as_u64(), line["batch"].as_u64()]).collect();
    let point = |width, batch| [Some(width), Some(batch)];
    assert_eq!(points, [point(16, 2), point(16, 4), point(32, 2), point(32, 4)]);
    let memory: Vec<u64> = found.iter().filter_map(|line| line["peak_bytes"].as_u64()).collect();
    assert!(memory[0] < memory[2], "{memory:?}");

    // The precision is the flag's.
    let found = lines(&place, &["mlp", "--batch", "4", "--precision", "bf16"]);
    assert_eq!(found[0]["precision"], "bf16");

    // Batches from the host.
    let found = lines(&place, &["mlp", "--batch", "4", "--streamed"]);
    assert_eq!((&found[0]["streamed"], found.len()), (&true.into(), 1));
    assert!(found[0]["median_us"].as_f64() > Some(0.0));

    // A batch larger than the data set has samples, as a table.
    let printed = place.succeeds(&[&["bench", "tiny.toml", "--batch", "1500"], &QUICK[..]].concat());
    assert!(printed.contains("tiny") && printed.contains("1500"), "{printed}");
}

#[test]
fn what_cannot_be_timed_is_refused() {
    let place = Place::new();
    place.refused(&["bench", "matmul", "--batch", "8"], &["`matmul`", "--batch", "--width"]);
    place.refused(&["bench", "mpl"], &["`mpl`", "seed_cnn, mlp, small_cnn", ".toml"]);
    place.refused(&["bench", "mlp", "--device", "abacus"], &["`abacus`", "cpu", "onestep devices"]);
    let linear = place.tiny_with(
        "    { type = \"conv2d\", name = \"conv\", filters = 4, kernel = 3, stride = 2, activation = \"relu\" },\n",
        "",
    );
    place.refused(&["bench", linear, "--width", "8"], &["changed at width 8", "no hidden layer", "--width"]);
    let diverging = [&["bench", place.tiny_with("0.02", "1e30")], &QUICK[..]].concat();
    place.refused(&diverging, &["NaN", "learning rate"]);
    for flag in [["--steps", "0"], ["--repeats", "4"], ["--batch", "0"], ["--batch", "2,x"], ["--width", "0"]] {
        let output = place.run(&[&["bench", "mlp"], &flag[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{flag:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(flag[0]), "{flag:?}: {}", stderr(&output));
    }
}
