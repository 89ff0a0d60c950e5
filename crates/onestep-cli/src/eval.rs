//! `onestep eval`: a run's test figures once more, from its config and model.

use onestep::Result;
use onestep::prelude::Config;

use crate::args::EvalArgs;
use crate::output::say;
use crate::run_folder::RunFolder;
use crate::train::show_figures;

/// Rebuilds data and model and shows the test figures.
///
/// # Errors
/// A folder that holds no run, and whatever is wrong with its files, the data or the device.
pub fn eval(args: &EvalArgs) -> Result<()> {
    let run = RunFolder::open(&args.run)?;
    let device = args.device.open()?;
    let mut config = Config::read(&run.config())?;
    if let Some(folder) = &args.data {
        config.set_data_dir(folder).map_err(|e| e.at("--data"))?;
    }
    let (train, test) = config.datasets()?;
    let mut trainer = config.trainer(&train)?.device(device).build(&train)?;
    trainer.load(run.model())?;
    say(format_args!("Run       {}", run.path().display()));
    let figures = trainer.evaluate(&test)?;
    show_figures(&figures, trainer.classes());
    Ok(())
}
