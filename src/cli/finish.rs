//! Ticking a run to its end, or until somebody asks it to stop.

use std::path::Path;

use clap::Args;
use esper::{
    Run, RunError, engine::run_dir::RunDir, systems::nissa::RunEnd, tensorboard::EventFiles,
};
use serde::Serialize;

use super::{failure::Failure, interrupt, output::Output};

/// How far a run is taken.
#[derive(Args)]
pub struct StopArgs {
    /// Stop after this tick, as Ctrl-C would.
    #[arg(long, value_name = "N")]
    stop_at_tick: Option<u64>,
}

/// What else a run is written as.
#[derive(Args, Clone, Copy)]
pub struct RecordArgs {
    /// Write curves for TensorBoard to tensorboard/ in the run's folder.
    #[arg(long)]
    tensorboard: bool,
}

impl RecordArgs {
    /// Has `run`, which is kept in a folder, written as was asked for.
    fn subscribe(self, run: &mut Run) -> Result<(), RunError> {
        if self.tensorboard {
            let mut files = EventFiles::new(run.dir().expect(KEPT));
            run.try_subscribe(move |event| Ok(files.take(event)?))?;
        }
        Ok(())
    }
}

/// Why a run of the command has a folder.
const KEPT: &str = "the command keeps every run in a folder";

/// Prints where the run is kept, and runs it to its end, or until Ctrl-C or `--stop-at-tick`.
pub fn finish(
    mut run: Run,
    record: RecordArgs,
    args: &StopArgs,
    output: Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Interrupted<'a> {
        tick: u64,
        dir: &'a Path,
    }

    let dir = run.dir().expect(KEPT).clone();
    let root = dir.root().display();
    print_folder(output, &dir);
    interrupt::stop_on_signal(run.handle())?;
    if let Some(tick) = args.stop_at_tick {
        run.stop_at_tick(tick);
    }
    let finished = record.subscribe(&mut run).and_then(|()| run.finish());
    let summary = finished.map_err(|error| {
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
