//! `onestep bench`: the time of a training step, the batch being on the device already or streamed from the host.
//!
//! Warmed up first; then each repeat submits N steps and waits for the device once. The median of the repeats
//! counts, and their smallest and largest say how far to trust it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use onestep::data::gather;
use onestep::ir::Lender;
use onestep::prelude::{Config, Dataset, ElementSpec, Engine, Loader, Precision};
use onestep::{Error, Result};
use serde::Serialize;
use serde_json::Value;

use crate::args::BenchArgs;
use crate::configs::{self, Kind, SMALL};
use crate::output::{line, say};
use crate::products;
use crate::tables::{Align, bytes, table, thousands};

/// How long steps are run before they count, so that caches, clock and threads have settled.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long a repeat takes where nobody says how many steps it has.
const REPEAT: Duration = Duration::from_millis(200);

/// Times workloads at every batch size and width.
///
/// # Errors
/// Names that no workload has, configs, data or a device that do not work, widths that a model cannot have.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let device = args.device.open()?;
    if args.workloads == [products::NAME] {
        return products::bench(args, &device);
    }
    let all = || SMALL.iter().map(|name| name.to_string()).collect();
    let names: Vec<String> = if args.workloads.is_empty() { all() } else { args.workloads.clone() };
    let configs = names.iter().map(|name| configs::find(name, &[Kind::Workload])).collect::<Result<Vec<_>>>()?;
    let widths: Vec<Option<u32>> = match args.width.as_slice() {
        [] => vec![None],
        widths => widths.iter().copied().map(Some).collect(),
    };
    let mut figures = Vec::new();
    for (config, name) in &configs {
        for &width in &widths {
            let mut config = config.clone();
            config.training.precision = args.precision.unwrap_or(config.training.precision);
            if let Some(width) = width {
                widen(&mut config, width).map_err(|e| e.at(format_args!("{name} at width {width}")))?;
            }
            let (train, _) = config.datasets()?;
            let mut trainer = config.trainer(&train)?.device(device.clone()).build(&train)?;
            let own = [u32::try_from(config.training.batch_size).unwrap_or(u32::MAX)];
            for &batch in if args.batch.is_empty() { &own[..] } else { &args.batch } {
                let engine = trainer.engine_mut();
                feed(engine, &train, batch as usize)?;
                let source = match args.streamed {
                    true => Source::Streamed(Stream::new(engine, &train, batch as usize)),
                    false => Source::Device(batch as usize),
                };
                let times = time(engine, source, args)?;
                let figure = Figure::new(name, engine, args, batch, width, times);
                if args.json {
                    say(line(&figure)?);
                }
                figures.push(figure);
            }
        }
    }
    if !args.json {
        say(shown(&figures));
    }
    Ok(())
}

/// Trains one step on the first `batch` samples, from the first again where there are too few, so that the batch is on
/// the device.
///
/// # Errors
/// Data that cannot be read or do not fit, a device that fails.
pub fn feed(engine: &mut Engine, train: &Arc<dyn Dataset>, batch: usize) -> Result<()> {
    let samples = u32::try_from(train.len()).unwrap_or(u32::MAX).max(1);
    let data = gather(train, (0..samples).cycle().take(batch))?;
    engine.train_step(&data.input, &data.target)
}

/// Where the batches of timed steps come from.
enum Source {
    /// The batch of so many samples that is on the device.
    Device(usize),
    /// The host.
    Streamed(Stream),
}

impl Source {
    /// Submits so many steps.
    fn run(&mut self, engine: &mut Engine, steps: u32) -> Result<()> {
        match self {
            Source::Device(batch) => (0..steps).try_for_each(|_| engine.repeat_step(*batch)),
            Source::Streamed(stream) => stream.run(engine, steps),
        }
    }
}

/// Batches of a data set in host memory, over and over.
struct Stream {
    set: Arc<dyn Dataset>,
    batch: usize,
    epoch: u64,
    lender: Option<Arc<dyn Lender>>,
}

impl Stream {
    fn new(engine: &Engine, set: &Arc<dyn Dataset>, batch: usize) -> Self {
        Stream { set: set.clone(), batch, epoch: 0, lender: engine.device().lender() }
    }

    /// An epoch of so many steps, in an order of its own.
    fn run(&mut self, engine: &mut Engine, steps: u32) -> Result<()> {
        let samples = (steps as usize).saturating_mul(self.batch);
        let set = Arc::new(Cycled { set: self.set.clone(), samples });
        let loader = Loader::new(set, self.batch)?.shuffle(Some(0)).lender(self.lender.clone());
        self.epoch += 1;
        loader.epoch(self.epoch).try_for_each(|batch| {
            let batch = batch?;
            engine.train_step(&batch.input, &batch.target)
        })
    }
}

/// The samples of a data set in turn, so many in all.
struct Cycled {
    set: Arc<dyn Dataset>,
    samples: usize,
}

impl Dataset for Cycled {
    fn len(&self) -> usize {
        self.samples
    }

    fn input(&self) -> ElementSpec {
        self.set.input()
    }

    fn target(&self) -> ElementSpec {
        self.set.target()
    }

    fn read(&self, index: usize, input: &mut [u8], target: &mut [u8]) -> Result<()> {
        self.set.read(index % self.set.len().max(1), input, target)
    }
}

/// Microseconds a step of each repeat, smallest first.
fn time(engine: &mut Engine, mut source: Source, args: &BenchArgs) -> Result<Vec<f64>> {
    let times = repeated(args, |steps| {
        source.run(engine, steps)?;
        engine.wait()
    })?;
    if let Some(step) = engine.health()? {
        return Err(Error::numeric(format!(
            "the loss became NaN or infinite at step {step}, after which a step changes nothing and its time says \
             little; lower the learning rate"
        )));
    }
    Ok(times)
}

/// Microseconds a step of each repeat, smallest first: `run` runs so many steps and waits for them.
///
/// # Errors
/// Those of `run`.
pub fn repeated(args: &BenchArgs, mut run: impl FnMut(u32) -> Result<()>) -> Result<Vec<f64>> {
    let (began, mut warm) = (Instant::now(), 1);
    let pace = loop {
        let last = Instant::now();
        run(warm)?;
        if began.elapsed() >= WARM_UP {
            break last.elapsed().as_secs_f64() / f64::from(warm);
        }
        warm *= 2;
    };
    let steps = args.steps.unwrap_or_else(|| (REPEAT.as_secs_f64() / pace).ceil() as u32);
    let mut times = Vec::new();
    for _ in 0..args.repeats {
        let began = Instant::now();
        run(steps)?;
        times.push(1e6 * began.elapsed().as_secs_f64() / f64::from(steps));
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The middle of some times, smallest first, of which there is at least one.
pub fn median(times: &[f64]) -> f64 {
    let (last, middle) = (times.len() - 1, times.len() / 2);
    if last % 2 == 0 { times[middle] } else { (times[middle - 1] + times[middle]) / 2.0 }
}

/// Makes the first layer with features or filters this wide, and all others but the last in proportion, rounded up.
fn widen(config: &mut Config, width: u32) -> Result<()> {
    let unreadable = |e: serde_json::Error| Error::config(e.to_string());
    let mut layers = serde_json::to_value(&config.model.layers).map_err(unreadable)?;
    let mut found = Vec::new();
    extents(&mut layers, &mut found);
    if let [first, .., _] = found.as_slice() {
        let (width, first) = (u64::from(width), first.as_u64().unwrap_or(1).max(1));
        let hidden = found.len() - 1;
        for extent in &mut found[..hidden] {
            **extent = (extent.as_u64().unwrap_or(1).saturating_mul(width)).div_ceil(first).into();
        }
    } else {
        return Err(Error::config("the model has no hidden layer to widen; leave --width out"));
    }
    config.model.layers = serde_json::from_value(layers).map_err(unreadable)?;
    Ok(())
}

/// Every number of features or filters in a list of layers, in order.
fn extents<'v>(value: &'v mut Value, found: &mut Vec<&'v mut Value>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| extents(item, found)),
        Value::Object(options) => {
            for (name, option) in options {
                match name.as_str() {
                    "out" | "filters" => found.push(option),
                    _ => extents(option, found),
                }
            }
        }
        _ => {}
    }
}

/// What one workload took: a line of `--json`.
#[derive(Debug, Serialize)]
struct Figure {
    workload: String,
    device: String,
    threads: usize,
    batch: u32,
    precision: String,
    /// Microseconds a step.
    median_us: f64,
    min_us: f64,
    max_us: f64,
    /// Samples a second.
    items_per_second: u64,
    /// Device memory as planned, with the states.
    peak_bytes: usize,
    version: &'static str,
    commit: &'static str,
    /// Whether batches came from the host.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    streamed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
}

impl Figure {
    /// `times` are in microseconds a step, smallest first, at least one.
    fn new(name: &str, engine: &Engine, args: &BenchArgs, batch: u32, width: Option<u32>, times: Vec<f64>) -> Self {
        let (last, median_us) = (times.len() - 1, median(&times));
        let rounded = |us: f64| (us * 1000.0).round() / 1000.0;
        let device = engine.device().name();
        Figure {
            workload: name.to_string(),
            // Only the CPU is given threads.
            threads: if device == "cpu" { args.device.threads() } else { 1 },
            device,
            batch,
            precision: precision(engine),
            median_us: rounded(median_us),
            min_us: rounded(times[0]),
            max_us: rounded(times[last]),
            items_per_second: (f64::from(batch) * 1e6 / median_us).round() as u64,
            peak_bytes: engine.peak_bytes(),
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("ONESTEP_COMMIT"),
            streamed: args.streamed,
            width,
        }
    }
}

/// What contractions compute in.
fn precision(engine: &Engine) -> String {
    match engine.precision() {
        Precision::F32 if engine.device().target().tf32 => "tf32".into(),
        precision => precision.to_string(),
    }
}

fn shown(figures: &[Figure]) -> String {
    let swept = figures.iter().any(|figure| figure.width.is_some());
    let mixed = figures.iter().any(|figure| figure.precision != figures[0].precision);
    let mut columns = vec![("workload", Align::Left)];
    columns.extend(mixed.then_some(("precision", Align::Left)));
    columns.extend(swept.then_some(("width", Align::Right)));
    columns.extend(["batch", "median µs", "min", "max", "items/s", "memory"].map(|heading| (heading, Align::Right)));
    let row = |f: &Figure| {
        let mut cells = vec![f.workload.clone()];
        cells.extend(mixed.then(|| f.precision.to_string()));
        cells.extend(f.width.map(|width| width.to_string()));
        cells.push(f.batch.to_string());
        cells.extend([f.median_us, f.min_us, f.max_us].map(|us| format!("{us:.1}")));
        cells.extend([thousands(f.items_per_second as usize), bytes(f.peak_bytes)]);
        cells
    };
    let heading = figures.first().map(|f| {
        let threads = if f.threads == 1 { "1 thread".to_string() } else { format!("{} threads", f.threads) };
        let precision = if mixed { String::new() } else { format!(", {}", f.precision) };
        let streamed = if f.streamed { ", batches streamed from the host" } else { "" };
        format!("A training step on {}, {threads}{precision}{streamed}\n", f.device)
    });
    heading.unwrap_or_default() + &table(&columns, figures.iter().map(row).collect())
}
