//! Environment variables that switch a part of a backend off.

use crate::error::{Error, Result};

/// Whether what a variable names is wanted: by all but who sets it to `off`.
///
/// # Errors
/// A value that is neither `on` nor `off`.
pub(super) fn is_on(name: &str) -> Result<bool> {
    std::env::var_os(name).map_or(Ok(true), |value| means_on(name, &value.to_string_lossy()))
}

fn means_on(name: &str, value: &str) -> Result<bool> {
    match value {
        "on" | "" => Ok(true),
        "off" => Ok(false),
        _ => Err(Error::config(format!("{name} is `{value}`; it can be `on` or `off`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_or_off() {
        let switch = |value| means_on("ONESTEP_CUDNN", value);
        assert!(switch("").unwrap() && switch("on").unwrap() && !switch("off").unwrap());
        assert_eq!(switch("0").unwrap_err().to_string(), "ONESTEP_CUDNN is `0`; it can be `on` or `off`");
    }
}
