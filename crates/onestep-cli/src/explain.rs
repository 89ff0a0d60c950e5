//! `onestep explain`: the kernels of a training step, what they cost and how long they take.

use std::time::Duration;

use onestep::Result;
use onestep::plan::{Kernel, Plan, Traffic};
use serde::Serialize;

use crate::args::ExplainArgs;
use crate::bench::feed;
use crate::configs::{self, Kind};
use crate::output::{line, say};
use crate::tables::{Align, bytes, percent, table};

/// Compiles the training step, measures it and shows its kernels.
///
/// # Errors
/// What is no config, and configs, data or a device that do not work.
pub fn explain(args: &ExplainArgs) -> Result<()> {
    let (mut config, name) = configs::find(&args.what, &[Kind::Recipe, Kind::Workload])?;
    if let Some(folder) = &args.data {
        config.set_data_dir(folder).map_err(|e| e.at("--data"))?;
    }
    config.training.precision = args.precision.unwrap_or(config.training.precision);
    let batch = args.batch.map_or(config.training.batch_size, |n| n as usize);
    let device = args.device.open()?;
    let (train, _) = config.datasets()?;
    let mut trainer = config.trainer(&train)?.device(device).build(&train)?;
    let engine = trainer.engine_mut();
    feed(engine, &train, batch)?;
    let profile = engine.profile(batch, args.steps as usize)?;
    let (states, peak, on) = (engine.state_bytes(), engine.peak_bytes(), engine.device().name());
    let plan = engine.plan(batch)?;
    let rows = Row::all(plan, profile.kernels.as_deref());
    if args.json {
        return rows.iter().try_for_each(|row| line(row).map(say));
    }
    if args.text {
        say(format_args!("{plan}"));
    }
    say(format_args!("A training step of {name} on {on}, batch {batch}: {} kernels", rows.len()));
    say(shown(&rows));
    match &profile.kernels {
        Some(times) => {
            let sum = times.iter().sum();
            say(format_args!("\nTime      {} µs of kernels, {} µs the whole step", us(sum), us(profile.step)));
        }
        None => {
            say(format_args!("\nTime      {} µs the whole step, which {on} does not run by kernels", us(profile.step)))
        }
    }
    let [arena, states, peak] = [plan.arena_bytes, states, peak].map(bytes);
    say(format_args!("Memory    arena {arena}, states {states}, peak {peak}"));
    Ok(())
}

/// A kernel of the step: a line of `--json`.
#[derive(Debug, Serialize)]
struct Row {
    /// Its number in the plan, from 0.
    kernel: usize,
    kind: &'static str,
    /// Paths of the layers it computes for.
    layers: Vec<String>,
    extents: String,
    bytes_read: u64,
    bytes_written: u64,
    flops: u64,
    /// Median time in microseconds, where the device runs kernel by kernel.
    us: Option<f64>,
    /// Of the sum of all kernels' times, 0 to 1.
    share: Option<f64>,
}

impl Row {
    fn all(plan: &Plan, times: Option<&[Duration]>) -> Vec<Row> {
        let sum = times.map(|times| times.iter().sum::<Duration>().as_secs_f64().max(f64::MIN_POSITIVE));
        let row = |(number, kernel): (usize, &Kernel)| {
            let Traffic { read, written } = kernel.traffic(plan);
            let seconds = times.and_then(|times| times.get(number)).map(Duration::as_secs_f64);
            Row {
                kernel: number,
                kind: kernel.kind_name(),
                layers: kernel.scopes.iter().filter(|path| !path.is_empty()).cloned().collect(),
                extents: kernel.extents(),
                bytes_read: read,
                bytes_written: written,
                flops: kernel.flops(),
                us: seconds.map(|s| (s * 1e9).round() / 1e3),
                share: seconds.zip(sum).map(|(s, sum)| s / sum),
            }
        };
        plan.kernels.iter().enumerate().map(row).collect()
    }

    /// Billions a second of a count.
    fn rate(&self, count: u64) -> String {
        self.us.filter(|&us| us > 0.0).map_or("-".to_string(), |us| format!("{:.1}", count as f64 / us / 1e3))
    }
}

fn shown(rows: &[Row]) -> String {
    let columns = [
        ("#", Align::Right),
        ("kernel", Align::Left),
        ("µs", Align::Right),
        ("share", Align::Right),
        ("read", Align::Right),
        ("written", Align::Right),
        ("GB/s", Align::Right),
        ("Mflop", Align::Right),
        ("Gflop/s", Align::Right),
        ("layers", Align::Left),
        ("extents", Align::Left),
    ];
    let cells = |row: &Row| {
        vec![
            row.kernel.to_string(),
            row.kind.to_string(),
            row.us.map_or("-".to_string(), |us| format!("{us:.1}")),
            row.share.map_or("-".to_string(), percent),
            bytes(row.bytes_read as usize),
            bytes(row.bytes_written as usize),
            row.rate(row.bytes_read + row.bytes_written),
            format!("{:.2}", row.flops as f64 / 1e6),
            row.rate(row.flops),
            row.layers.join(", "),
            row.extents.clone(),
        ]
    };
    table(&columns, rows.iter().map(cells).collect())
}

fn us(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}
