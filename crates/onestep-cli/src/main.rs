//! The `onestep` program: trains networks described in a config file, and uses what was trained.
//!
//! Only arguments, tables and files; numerics are the library's. Faults are one paragraph on stderr: exit code 2
//! for arguments that make no sense, 1 for everything else.

mod args;
mod bench;
mod configs;
mod devices;
mod eval;
mod explain;
mod images;
mod output;
mod predict;
mod products;
mod progress;
mod run_folder;
mod tables;
mod train;

use std::process::ExitCode;

use clap::Parser;
use onestep::Result;
use onestep::train::config;

use args::{Args, Command};

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Train(args) => train::train(&args),
        Command::Recipe { name } => config::recipe(&name).map(|text| output::say(text.trim_end())),
        Command::Devices => {
            devices::list();
            Ok(())
        }
        Command::Predict(args) => predict::predict(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Explain(args) => explain::explain(&args),
    }
}
