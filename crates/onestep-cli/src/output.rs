//! Lines on stdout and stderr. A reader that has gone away (`onestep recipe digits | head -1`) is no fault:
//! neither a panic nor a reason to end a training.

use std::fmt::Display;
use std::io::{self, Write};

use onestep::{Error, Result};
use serde::Serialize;

/// A line on stdout.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// An object as one line of JSON.
///
/// # Errors
/// Numbers that JSON has no form for.
pub fn line(object: &impl Serialize) -> Result<String> {
    serde_json::to_string(object).map_err(|e| Error::config(format!("the result cannot be written as JSON: {e}")))
}

/// A line on stderr.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
