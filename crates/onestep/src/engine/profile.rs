//! Where the time of a training step goes.

use std::time::{Duration, Instant};

use crate::backend::Executable;
use crate::error::Result;

/// Measured times of a training step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Each kernel of [`Engine::plan`](super::Engine::plan) in its order, the median over the steps; `None` where the
    /// device does not run the plan kernel by kernel (the reference).
    pub kernels: Option<Vec<Duration>>,
    /// The whole step run without a look at its kernels, waited for, the median over the steps.
    pub step: Duration,
}

impl Profile {
    /// Runs a program `steps` times kernel by kernel and as often whole, alternately.
    pub(super) fn measure(executable: &mut dyn Executable, steps: usize) -> Result<Self> {
        let mut whole = Vec::with_capacity(steps);
        let mut kernels: Option<Vec<Vec<Duration>>> = None;
        for _ in 0..steps {
            let began = Instant::now();
            executable.run()?;
            executable.wait()?;
            whole.push(began.elapsed());
            if let Some(times) = executable.run_timed()? {
                let kernels = kernels.get_or_insert_with(|| vec![Vec::with_capacity(steps); times.len()]);
                kernels.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
            }
        }
        Ok(Profile { kernels: kernels.map(|k| k.into_iter().map(median).collect()), step: median(whole) })
    }
}

/// The middle of some times, of two the upper.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
