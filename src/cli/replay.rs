//! `esper replay`: runs a run again in memory, and compares.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use esper::Run;

use super::{failure::Failure, output::Output, source::open_folder};

/// Arguments of `esper replay`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder; nothing in it is changed.
    dir: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Replays a run.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let folder = open_folder(&args.dir)?;
    let refuse = |error| Failure::run(error, &folder.file);
    let options = folder.options().map_err(refuse)?;
    let replay = Run::replay(&folder, options).map_err(refuse)?;
    output.print_result("replay", &replay, &replay);
    if replay.is_same { Ok(()) } else { Err(Failure::failed("the replay differs from the run")) }
}
