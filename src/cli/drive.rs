//! Ticking a run to its end, or until somebody asks it to stop.

use std::path::Path;

use clap::Args;
use esper::{
    Run,
    engine::{run_dir::RunDir, world::plugin::Clock},
    systems::nissa::RunEnd,
};
use serde::Serialize;

use super::{failure::Failure, interrupt, voice::Voice};

/// How far a run is taken.
#[derive(Args)]
pub struct DriveArgs {
    /// Stop after this tick, as Ctrl-C would.
    #[arg(long, value_name = "N")]
    stop_at_tick: Option<u64>,
}

/// Runs to the end, or until Ctrl-C or `--stop-at-tick`.
pub fn drive(mut run: Run, dir: &RunDir, args: &DriveArgs, voice: Voice) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Interrupted<'a> {
        tick: u64,
        dir: &'a Path,
    }

    interrupt::listen()?;
    let root = dir.root().display();
    let last_tick = args.stop_at_tick.unwrap_or(u64::MAX);
    let ended = run.finish_unless(|tick| tick >= last_tick || interrupt::is_asked());
    let summary = ended.map_err(|error| {
        Failure::from(error).help(format!("when that is put right, `esper resume {root}` goes on"))
    })?;
    let tick = run.engine().world().resource::<Clock>().0;
    run.close()?;
    if summary.status == RunEnd::Interrupted {
        let event = Interrupted { tick, dir: dir.root() };
        let text = format!("stopped after tick {tick}; go on with `esper resume {root}`");
        voice.note("interrupted", &event, text);
    }
    Ok(())
}

/// Says where a run lies.
pub fn announce(voice: Voice, dir: &RunDir) {
    #[derive(Serialize)]
    struct Kept<'a> {
        dir: &'a Path,
    }

    let text = format!("run folder: {}", dir.root().display());
    voice.note("run_dir", &Kept { dir: dir.root() }, text);
}
