//! The program as a user meets it: whole runs, and every kind of bad input. Nothing may panic.

mod bad_config;
mod bad_files;
mod bench;
mod explain;
mod runs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A network small enough for tests, on the embedded digits.
pub(crate) const TINY: &str = r#"
[data]
kind = "digits"
test_fraction = 0.2

[model]
layers = [
    { type = "conv2d", name = "conv", filters = 4, kernel = 3, stride = 2, activation = "relu" },
    { type = "flatten", name = "flatten" },
    { type = "linear", name = "out", out = 10 },
]

[training]
epochs = 2
batch_size = 64

[optimizer]
type = "adamw"
learning_rate = 0.02
"#;

/// A folder for a test in which the program runs.
pub(crate) struct Place(TempDir);

impl Place {
    /// An empty folder with tiny.toml in it.
    pub(crate) fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("tiny.toml", TINY);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a part of tiny.toml and names the result.
    pub(crate) fn tiny_with(&self, from: &str, to: &str) -> &'static str {
        assert!(TINY.contains(from), "{from}");
        self.write("changed.toml", TINY.replace(from, to));
        "changed.toml"
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onestep"));
        // A layer of Mesa's that sorts adapters by screens complains on stderr where there is no screen.
        command.args(args).current_dir(self.0.path()).env("NODEVICE_SELECT", "1");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The standard output of a run that must succeed.
    pub(crate) fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A run that must fail with exit code 1 and one paragraph on stderr that holds these parts.
    pub(crate) fn refused(&self, args: &[&str], parts: &[&str]) {
        let output = self.run(args);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
        assert!(message.starts_with("error: "), "{args:?}: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "more than a paragraph: {message}");
        assert!(!message.contains("panicked"), "{message}");
        for part in parts {
            assert!(message.contains(part), "{args:?}: `{part}` is not in: {message}");
        }
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The bytes of an IDX file of u8.
pub(crate) fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let dims_bytes = dims.iter().flat_map(|d| d.to_be_bytes());
    [0, 0, 8, dims.len() as u8].into_iter().chain(dims_bytes).chain(data.iter().copied()).collect()
}

/// Writes a PNG image.
pub(crate) fn png(path: &Path, width: u32, height: u32, colour: png::ColorType, depth: png::BitDepth, data: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == png::ColorType::Indexed {
        encoder.set_palette((0..=255u8).flat_map(|v| [v; 3]).collect::<Vec<u8>>());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
}
