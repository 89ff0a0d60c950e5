//! The command line: each subcommand and flag with its help in one place.

use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::{Parser, Subcommand};
use onestep::Result;
use onestep::prelude::{Device, Precision, Residency, Size};

/// Train neural networks with one device submission per step.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model and save it in a run folder
    Train(TrainArgs),
    /// Print an embedded recipe (digits, mnist), a config file to start from
    Recipe {
        /// The recipe's name
        name: String,
    },
    /// List the devices that can be used, best first
    Devices,
    /// Classify PNG images with a trained model
    Predict(PredictArgs),
    /// Repeat a run's test figures
    Eval(EvalArgs),
    /// Time training steps: forward, loss, backward and optimizer, the batch on the device or streamed
    Bench(BenchArgs),
    /// Show the kernels of a training step: the layers they came from, bytes, flops and measured time
    Explain(ExplainArgs),
}

/// Arguments of `onestep train`.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// A recipe (digits, mnist) or a config file
    #[arg(value_name = "RECIPE|FILE.toml")]
    pub what: String,
    /// The folder of the data files, over the config's
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Passes over the training data, over the config's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Samples a step, over the config's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: Option<u32>,
    /// The optimizer's base learning rate, over the config's
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// What initial weights, random numbers and the order of samples follow from, over the config's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// The floats that products and convolutions read (f32, bf16, f16), over the config's; parameters are f32 in each
    #[arg(long, value_name = "FLOAT")]
    pub precision: Option<Precision>,
    /// Whether data sets are laid onto the device: auto (where one has memory of its own and room), always, never;
    /// over the config's
    #[arg(long, value_name = "WHEN")]
    pub resident: Option<Residency>,
    /// The run folder to make [default: runs/NAME-NUMBER, a fresh one]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write into a run folder that exists, over the run in it
    #[arg(long, requires = "out")]
    pub force: bool,
    /// End with one line of JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Where it runs.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Arguments of `onestep predict`.
#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// A run folder or a model file
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// PNG images of the size that the model was trained on, of any colour type
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<PathBuf>,
    /// Turn brightness round first: for dark ink on light paper where the training data are light on dark, as the
    /// digits and MNIST are
    #[arg(long)]
    pub invert: bool,
    /// How many classes to show for each image, best first
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Where it runs.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Arguments of `onestep eval`.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// A run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The folder of the data files, over the run's
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where it runs.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Arguments of `onestep bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Workloads (seed_cnn, mlp, small_cnn, small_cnn_1k, big_mlp) or config files [default: the first three]; or matmul
    /// alone, a product of two square matrices
    #[arg(value_name = "WORKLOAD|FILE.toml")]
    pub workloads: Vec<String>,
    /// Batch sizes to time, over the workload's
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Vec<u32>,
    /// Widths to time: the features or filters of the first layer; all others but the last layer's change in
    /// proportion. Of matmul, the rows and columns [default: 4096]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub width: Vec<u32>,
    /// The floats that products and convolutions read (f32, bf16, f16), over the workload's
    #[arg(long, value_name = "FLOAT")]
    pub precision: Option<Precision>,
    /// A fresh batch from host memory for each step, shuffled and assembled by a loader as in training; by default the
    /// batch is on the device already
    #[arg(long)]
    pub streamed: bool,
    /// Steps a repeat; the device is waited for once after them [default: a fifth of a second's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Repeats, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(5..))]
    pub repeats: u32,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Where it runs.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Arguments of `onestep explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A recipe (digits, mnist), a workload (seed_cnn, mlp, small_cnn, small_cnn_1k, big_mlp) or a config file
    #[arg(value_name = "NAME|FILE.toml")]
    pub what: String,
    /// The folder of the data files, over the config's
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Samples a step, over the config's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// The floats that products and convolutions read (f32, bf16, f16), over the config's
    #[arg(long, value_name = "FLOAT")]
    pub precision: Option<Precision>,
    /// Steps that are measured; medians count
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Print the plan's text form first
    #[arg(long, conflicts_with = "json")]
    pub text: bool,
    /// One JSON object a kernel and line
    #[arg(long)]
    pub json: bool,
    /// Where it runs.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Where something runs.
#[derive(Debug, clap::Args)]
pub struct DeviceArgs {
    /// The device, see `onestep devices`
    #[arg(long, value_name = "NAME", default_value = "best")]
    device: String,
    /// Threads of the CPU, at most one for each core [default: as many]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Let products and convolutions of f32 round their operands to TF32 where the device can: much faster on NVIDIA's
    /// Ampere and later, with 10 bits of mantissa
    #[arg(long)]
    allow_tf32: bool,
    /// The most memory of the device to take: 8GiB, 512MiB [default: all of it]
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<Size>,
}

impl DeviceArgs {
    /// The device.
    ///
    /// # Errors
    /// A name that no device here has.
    pub fn open(&self) -> Result<Device> {
        let device = Device::named(&self.device, Some(self.threads()))?.allow_tf32(self.allow_tf32);
        match self.memory_limit {
            Some(limit) => device.with_memory_limit(limit.0),
            None => Ok(device),
        }
    }

    /// The threads that the CPU gets.
    pub fn threads(&self) -> usize {
        let cores = available_parallelism().map_or(1, usize::from);
        self.threads.map_or(cores, |threads| usize::from(threads).min(cores))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
