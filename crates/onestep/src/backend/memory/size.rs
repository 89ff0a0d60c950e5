//! Numbers of bytes as people write them: "512MiB", "1.5 GiB".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A number of bytes. Prints in the unit that suits it; reads a number with B, KiB, MiB or GiB behind it.
///
/// ```
/// use onestep::backend::memory::Size;
/// let size: Size = "1.5 GiB".parse()?;
/// assert_eq!((size.0, size.to_string()), (3 << 29, "1.5 GiB".to_string()));
/// # Ok::<(), onestep::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub usize);

/// Units and the powers of two that they are, largest first.
const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, shift)| self.0 >> shift > 0) {
            Some((unit, shift)) => write!(f, "{:.1} {unit}", self.0 as f64 / f64::from(1u32 << shift)),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
        let (number, shift) = unit.or_else(|| Some((text.strip_suffix('B')?, 0))).unwrap_or((text, 0));
        let bytes = number.trim().parse::<f64>().ok().map(|n| (n * f64::from(1u32 << shift)).round());
        // Beyond 2^53 a float no longer counts bytes, and no memory is so large.
        match bytes {
            Some(bytes) if (1.0..=f64::from(1u32 << 26) * f64::from(1u32 << 27)).contains(&bytes) => {
                Ok(Size(bytes as usize))
            }
            _ => {
                Err(Error::config(format!("`{text}` is no amount of memory; write 8GiB, 512MiB or a number of bytes")))
            }
        }
    }
}

impl TryFrom<String> for Size {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Size> for String {
    /// To the byte, in the largest unit that has no fraction.
    fn from(size: Size) -> String {
        match UNITS.iter().find(|(_, shift)| size.0 > 0 && size.0.trailing_zeros() >= *shift) {
            Some((unit, shift)) => format!("{}{unit}", size.0 >> shift),
            None => format!("{}B", size.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_to_the_byte() {
        let read = |text: &str| text.parse::<Size>().map(|size| size.0).ok();
        assert_eq!(["8GiB", "1.5 MiB", "3 KiB", "17B", "17"].map(read), [8 << 30, 3 << 19, 3 << 10, 17, 17].map(Some));
        assert_eq!(["", "GiB", "-1", "0", "NaN", "inf", "1e30GiB", "5 GB", "5 parsecs"].map(read), [None; 9]);
        for bytes in [1, 1000, 1024, 3 << 20, (3 << 20) + 1, 8 << 30] {
            assert_eq!(read(&String::from(Size(bytes))), Some(bytes));
        }
        assert_eq!(String::from(Size(8 << 30)), "8GiB");
    }
}
