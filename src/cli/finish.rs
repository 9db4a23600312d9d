//! Ticking a run to its end, or until somebody asks it to stop.

use std::path::Path;

use clap::Args;
use esper::{Run, engine::run_dir::RunDir, systems::nissa::RunEnd};
use serde::Serialize;

use super::{failure::Failure, interrupt, output::Output};

/// How far a run is taken.
#[derive(Args)]
pub struct StopArgs {
    /// Stop after this tick, as Ctrl-C would.
    #[arg(long, value_name = "N")]
    stop_at_tick: Option<u64>,
}

/// Prints where the run is kept, and runs it to its end, or until Ctrl-C or `--stop-at-tick`.
pub fn finish(mut run: Run, args: &StopArgs, output: Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Interrupted<'a> {
        tick: u64,
        dir: &'a Path,
    }

    let dir = run.dir().expect("the command keeps every run in a folder").clone();
    let root = dir.root().display();
    print_folder(output, &dir);
    interrupt::stop_on_signal(run.handle())?;
    if let Some(tick) = args.stop_at_tick {
        run.stop_at_tick(tick);
    }
    let summary = run.finish().map_err(|error| {
        Failure::from(error).help(format!("when that is put right, `esper resume {root}` goes on"))
    })?;
    let tick = run.n_ticks();
    run.close()?;
    if summary.status == RunEnd::Interrupted {
        let event = Interrupted { tick, dir: dir.root() };
        let text = format!("stopped after tick {tick}; go on with `esper resume {root}`");
        output.print_event("interrupted", &event, text);
    }
    Ok(())
}

fn print_folder(output: Output, dir: &RunDir) {
    #[derive(Serialize)]
    struct Folder<'a> {
        dir: &'a Path,
    }

    let text = format!("run folder: {}", dir.root().display());
    output.print_event("run_dir", &Folder { dir: dir.root() }, text);
}
