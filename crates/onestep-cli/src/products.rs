//! `onestep bench matmul`: the speed of one product of two square matrices, which a program of nothing else computes
//! from what is on the device. The figure of a device's best kernel, whoever wrote it.

use onestep::Result;
use onestep::backend::Executable;
use onestep::passes::{Passes, Precision, compile};
use onestep::prelude::{Device, Literal, Trace};
use serde::Serialize;

use crate::args::BenchArgs;
use crate::bench::{median, repeated};
use crate::output::{line, say};
use crate::tables::{Align, table};

/// What it is asked for by.
pub const NAME: &str = "matmul";

/// Rows and columns where nobody says how many.
const EXTENT: u32 = 4096;

/// Times products at every width.
///
/// # Errors
/// Options that mean nothing here, a device that fails or has too little memory.
pub fn bench(args: &BenchArgs, device: &Device) -> Result<()> {
    if args.streamed || !args.batch.is_empty() {
        return Err(onestep::Error::config(format!(
            "`{NAME}` has no batch to take several sizes of or to stream; leave --batch and --streamed out (--width says \
             how large the matrices are)"
        )));
    }
    let extents = if args.width.is_empty() { vec![EXTENT] } else { args.width.clone() };
    let figures = extents.into_iter().map(|n| {
        let figure = measured(args, device, n)?;
        if args.json {
            say(line(&figure)?);
        }
        Ok(figure)
    });
    let figures = figures.collect::<Result<Vec<_>>>()?;
    if !args.json {
        let headings = ["width", "median µs", "min", "max", "TFLOP/s"].map(|heading| (heading, Align::Right));
        let row = |f: &Figure| {
            let times = [f.median_us, f.min_us, f.max_us].map(|us| format!("{us:.1}"));
            [vec![f.width.to_string()], times.to_vec(), vec![format!("{:.2}", f.tflops)]].concat()
        };
        let precision = args.precision.unwrap_or_default();
        let heading = format!("A product of two square matrices on {}, {precision}\n", device.name());
        say(heading + &table(&headings, figures.iter().map(row).collect()));
    }
    Ok(())
}

/// What one product took: a line of `--json`.
#[derive(Debug, Serialize)]
struct Figure {
    workload: &'static str,
    device: String,
    precision: String,
    /// Rows and columns of each matrix.
    width: u32,
    /// Microseconds a product.
    median_us: f64,
    min_us: f64,
    max_us: f64,
    /// By the median.
    tflops: f64,
    version: &'static str,
    commit: &'static str,
}

fn measured(args: &BenchArgs, device: &Device, width: u32) -> Result<Figure> {
    let precision = args.precision.unwrap_or_default();
    let n = width as usize;
    let trace = Trace::new();
    let [a, b] = ["a", "b"].map(|name| trace.input(name, [n, n], precision.dtype()));
    trace.set_output("product", &a.matmul(&b));
    let compiled = compile(&trace.finish()?.graph, &device.target(), Passes::from_env()?)?;
    let mut program = device.compile(&compiled.graph, &compiled.plan, &[])?;
    for input in 0..2 {
        let values = Literal::from_bytes(precision.dtype(), [n, n], bytes(precision, n * n, input as u32))?;
        program.write_input(input, &values)?;
    }
    let times = repeated(args, |steps| run(&mut *program, steps))?;
    let median_us = median(&times);
    Ok(Figure {
        workload: NAME,
        device: device.name(),
        precision: precision.to_string(),
        width,
        median_us,
        min_us: times[0],
        max_us: times[times.len() - 1],
        tflops: 2.0 * f64::from(width).powi(3) / median_us / 1e6,
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("ONESTEP_COMMIT"),
    })
}

/// Runs a program so many times, and waits for it once.
fn run(program: &mut dyn Executable, steps: u32) -> Result<()> {
    (0..steps).try_for_each(|_| program.run())?;
    program.wait()
}

/// So many floats between -1 and 1 whose bits look random: a GPU is slower on them than on zeros.
fn bytes(precision: Precision, count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
    let mut bits = || {
        // Xorshift: Marsaglia (2003), "Xorshift RNGs".
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    // Any sign and fraction with the exponent of 0.5.
    match precision {
        Precision::F32 => (0..count).flat_map(|_| (0x3f00_0000 | bits() & 0x807f_ffff).to_le_bytes()).collect(),
        Precision::Bf16 => (0..count).flat_map(|_| (0x3f00 | bits() as u16 & 0x807f).to_le_bytes()).collect(),
        Precision::F16 => (0..count).flat_map(|_| (0x3800 | bits() as u16 & 0x83ff).to_le_bytes()).collect(),
    }
}
