//! `onestep explain`: the kernels of a training step, what they cost and how long they take.

use std::time::Duration;

use onestep::Result;
use onestep::plan::{Kernel, Peaks, Plan, Traffic};
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
    let peaks = engine.device().peaks();
    let plan = engine.plan(batch)?;
    let rows = Row::all(plan, profile.kernels.as_deref(), peaks.as_ref());
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
            let sum: Duration = times.iter().sum();
            let share = profile.step.as_secs_f64() / sum.as_secs_f64().max(f64::MIN_POSITIVE);
            say(format_args!(
                "\nTime      {} µs of kernels one by one, {} µs the whole step ({share:.2} of them)",
                us(sum),
                us(profile.step)
            ));
        }
        None => {
            say(format_args!("\nTime      {} µs the whole step, which {on} does not run by kernels", us(profile.step)))
        }
    }
    if let Some(peaks) = &peaks {
        say(format_args!("Roofline  {}", roofline(&rows, peaks)));
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
    /// Microseconds that its bytes and flops take at the device's peaks, the greater of both; where those are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_us: Option<f64>,
}

impl Row {
    fn all(plan: &Plan, times: Option<&[Duration]>, peaks: Option<&Peaks>) -> Vec<Row> {
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
                peak_us: peaks.and_then(|peaks| peaks.time(kernel, plan)).map(|time| time.as_secs_f64() * 1e6),
            }
        };
        plan.kernels.iter().enumerate().map(row).collect()
    }

    /// Billions a second of a count.
    fn rate(&self, count: u64) -> String {
        self.us.filter(|&us| us > 0.0).map_or("-".to_string(), |us| format!("{:.1}", count as f64 / us / 1e3))
    }
}

/// What all kernels would take at the device's peaks, and what these are.
fn roofline(rows: &[Row], peaks: &Peaks) -> String {
    let least: f64 = rows.iter().filter_map(|row| row.peak_us).sum();
    let (bytes, flops) = (peaks.bytes / 1e12, |rate: f64| format!("{:.0}", rate / 1e12));
    let unknown = rows.iter().filter(|row| row.peak_us.is_none()).count();
    let but = if unknown == 0 { String::new() } else { format!(", {unknown} kernels not counted") };
    let units = [("tf32", peaks.tf32_flops), ("bf16 and f16", peaks.half_flops)];
    let units = units.into_iter().filter_map(|(name, rate)| Some(format!(", {} in {name}", flops(rate?))));
    let units: String = units.collect();
    format!("{least:.1} µs at {bytes:.1} TB/s and {} Tflop/s in f32{units}{but}", flops(peaks.f32_flops))
}

fn shown(rows: &[Row]) -> String {
    // Where a device's peaks are not known, there is no such column.
    let known = rows.iter().any(|row| row.peak_us.is_some());
    let mut columns = vec![("#", Align::Right), ("kernel", Align::Left), ("µs", Align::Right)];
    columns.extend(known.then_some(("at peak", Align::Right)));
    columns.extend([
        ("share", Align::Right),
        ("read", Align::Right),
        ("written", Align::Right),
        ("GB/s", Align::Right),
        ("Mflop", Align::Right),
        ("Gflop/s", Align::Right),
        ("layers", Align::Left),
        ("extents", Align::Left),
    ]);
    let cells = |row: &Row| {
        let micros = |us: Option<f64>| us.map_or("-".to_string(), |us| format!("{us:.1}"));
        let mut cells = vec![row.kernel.to_string(), row.kind.to_string(), micros(row.us)];
        cells.extend(known.then(|| row.peak_us.map_or("-".to_string(), |us| format!("{us:.2}"))));
        cells.extend([
            row.share.map_or("-".to_string(), percent),
            bytes(row.bytes_read as usize),
            bytes(row.bytes_written as usize),
            row.rate(row.bytes_read + row.bytes_written),
            format!("{:.2}", row.flops as f64 / 1e6),
            row.rate(row.flops),
            row.layers.join(", "),
            row.extents.clone(),
        ]);
        cells
    };
    table(&columns, rows.iter().map(cells).collect())
}

fn us(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peak_us: Option<f64>) -> Row {
        Row {
            kernel: 0,
            kind: "dot",
            layers: vec!["fc1".into()],
            extents: "8×8".into(),
            bytes_read: 512,
            bytes_written: 256,
            flops: 1024,
            us: Some(3.0),
            share: Some(1.0),
            peak_us,
        }
    }

    #[test]
    fn peaks_have_a_column_and_a_sum_where_they_are_known() {
        assert!(!shown(&[row(None)]).contains("at peak"));
        let rows = [row(Some(1.26)), row(None), row(Some(2.0))];
        let table = shown(&rows);
        assert!(table.contains("at peak") && table.contains("1.26") && table.contains("2.00"), "{table}");
        let peaks = Peaks { bytes: 4.8e12, f32_flops: 67e12, tf32_flops: None, half_flops: Some(989e12) };
        let expected = "3.3 µs at 4.8 TB/s and 67 Tflop/s in f32, 989 in bf16 and f16, 1 kernels not counted";
        assert_eq!(roofline(&rows, &peaks), expected);
    }
}
