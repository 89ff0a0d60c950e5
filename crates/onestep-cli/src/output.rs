//! Lines on stdout and stderr. A reader that has gone away (`onestep recipe digits | head -1`) is no fault:
//! neither a panic nor a reason to end a training.

use std::fmt::Display;
use std::io::{self, Write};

/// A line on stdout.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A line on stderr.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
