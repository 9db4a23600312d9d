//! `esper run`: trains what a scenario says, in a folder of its own.

use std::{fs, path::PathBuf};

use clap::Args as ClapArgs;
use esper::{Run, RunBuilder, engine::run_dir::RunDir};

use super::{
    drive::{self, DriveArgs},
    failure::Failure,
    manifest,
    source::{ScenarioArgs, Source},
    voice::{Output, Voice},
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
    drive: DriveArgs,
    #[command(flatten)]
    pub output: Output,
}

/// Runs a scenario.
pub fn execute(args: &Args, voice: Voice) -> Result<(), Failure> {
    let source = args.scenario.load()?;
    let manifest = manifest::describe(&source.scenario, &source.data);
    let toml = source.scenario.to_toml();
    let dir = match &args.out {
        Some(root) => RunDir::create_at(root, &manifest, &toml)?,
        None => RunDir::create(RUNS.as_ref(), &manifest, &toml)?,
    };
    let run = begin(&source, &dir, voice).inspect_err(|_| {
        // It holds nothing yet that anybody could miss; a folder that can not be removed does no harm.
        let _ = fs::remove_dir_all(dir.root());
    })?;
    drive::announce(voice, &dir);
    drive::drive(run, &dir, &args.drive, voice)
}

fn begin(source: &Source, dir: &RunDir, voice: Voice) -> Result<Run, Failure> {
    RunBuilder::new(source.scenario.clone())
        .data(source.data.clone())
        .dir(dir.clone())
        .progress(voice.progress())
        .build()
        .map_err(|error| Failure::run(error, &source.file))
}
