//! `esper run`: trains what a scenario says, in a folder of its own.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use esper::Run;

use super::{
    failure::Failure,
    finish::{RecordArgs, StopArgs, finish},
    output::{Output, OutputArgs},
    source::{ScenarioArgs, Source},
};

/// The folder that runs without `--out` are kept in.
const RUNS: &str = "runs";

/// Arguments of `esper run`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// The run's folder, which must be empty or not there yet [default: runs/SCENARIO/TIME-SEED].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    stop: StopArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs a scenario.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let Source { file, options, .. } = args.scenario.load()?;
    let options = match &args.out {
        Some(root) => options.folder(root),
        None => options.folder_in(RUNS),
    };
    let run = Run::start(options.progress(output.progress()))
        .map_err(|error| Failure::run(error, &file))?;
    finish(run, args.record, &args.stop, output)
}
