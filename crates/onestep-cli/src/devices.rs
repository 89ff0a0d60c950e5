//! `onestep devices`: what can be used here.

use onestep::prelude::Device;

use crate::output::say;
use crate::tables::{Align, table};

/// Lists the devices, best first.
pub fn list() {
    let rows = Device::list().iter().map(|device| vec![device.name(), device.description()]).collect();
    say(table(&[("device", Align::Left), ("description", Align::Left)], rows));
}
