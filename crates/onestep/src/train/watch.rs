//! The figures of a running epoch as they come, without ever waiting for the device.

use std::time::{Duration, Instant};

use crate::engine::{Engine, Later, Metrics, Phase};
use crate::error::Result;

/// How long after one question the next is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// Asks for the metrics of training now and then, and keeps the newest answer.
pub(super) struct Watch {
    asked: Instant,
    under_way: Option<Later<Metrics>>,
    latest: Option<Metrics>,
}

impl Watch {
    /// Has asked nothing yet.
    pub(super) fn new() -> Self {
        Watch { asked: Instant::now(), under_way: None, latest: None }
    }

    /// The newest figures that are there.
    pub(super) fn look(&mut self, engine: &mut Engine) -> Result<Option<Metrics>> {
        if self.under_way.is_none() && self.asked.elapsed() >= INTERVAL {
            self.asked = Instant::now();
            self.under_way = Some(engine.request_metrics(Phase::Train)?);
        }
        if let Some(answer) = self.under_way.take() {
            match answer.is_done()? {
                true => self.latest = Some(answer.wait()?),
                false => self.under_way = Some(answer),
            }
        }
        Ok(self.latest)
    }
}
