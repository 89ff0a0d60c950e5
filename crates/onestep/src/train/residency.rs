//! Where a trainer keeps its data: on the device, or on the host from where they are streamed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Loader, gather};
use crate::engine::{Device, Engine, Phase};
use crate::error::{Error, ErrorKind, Result};

/// Whether a data set is laid onto the device once, or its batches are passed to each step. Training gives the same
/// bits either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Residency {
    /// On a device that has memory of its own, if the set takes at most a quarter of what is free there (256 MiB where
    /// nothing tells, as with Vulkan, Metal and DX12). On the CPU, whose memory holds the set already, batches are streamed.
    #[default]
    Auto,
    /// Always on the device, the CPU included; a set that does not fit is an error.
    Always,
    /// Always streamed.
    Never,
}

impl fmt::Display for Residency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Residency::Auto => "auto",
            Residency::Always => "always",
            Residency::Never => "never",
        })
    }
}

impl FromStr for Residency {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Residency::Auto, Residency::Always, Residency::Never];
        all.into_iter()
            .find(|residency| residency.to_string() == text)
            .ok_or_else(|| Error::config(format!("data cannot be resident `{text}`; there is auto, always and never")))
    }
}

impl Residency {
    /// Lays a loader's data set onto the device if it belongs there; whether it does.
    pub(super) fn settle(self, engine: &mut Engine, phase: Phase, loader: &Loader) -> Result<bool> {
        let wanted = match self {
            Residency::Always => true,
            Residency::Never => false,
            Residency::Auto => quarter_holds(engine.device(), &**loader.dataset()),
        };
        if !wanted {
            engine.release(phase);
            return Ok(false);
        }
        let all = gather(loader.dataset(), loader.in_order())?;
        match engine.make_resident(phase, &all.input, &all.target) {
            Ok(()) => Ok(true),
            // What was free may have gone, or is in pieces.
            Err(e) if e.kind() == ErrorKind::Memory && self == Residency::Auto => Ok(false),
            Err(e) if e.kind() == ErrorKind::Memory => {
                let message = format!("{e}; or stream the data (resident = \"never\")");
                Err(Error::memory(message).with_source(e))
            }
            Err(e) => Err(e),
        }
    }
}

/// The largest set that is laid onto a device that does not tell what it has free, in bytes.
const UNTOLD: usize = 256 << 20;

/// Whether a set takes at most a quarter of what a device of its own memory has free.
fn quarter_holds(device: &Device, dataset: &dyn Dataset) -> bool {
    let sample = dataset.input().bytes() + dataset.target().bytes() + size_of::<u32>();
    let bytes = sample.saturating_mul(dataset.len());
    !device.shares_host_memory() && bytes <= device.available().map_or(UNTOLD, |free| free / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_the_cpu_streams_by_itself() {
        assert_eq!("always".parse::<Residency>().unwrap(), Residency::Always);
        assert!("maybe".parse::<Residency>().unwrap_err().to_string().contains("auto, always and never"));
        let digits = crate::data::datasets::digits();
        assert!(!quarter_holds(&Device::cpu().with_memory_limit(1 << 30).unwrap(), &digits));
    }
}
