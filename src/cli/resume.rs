//! `esper resume`: goes on with a run where its newest checkpoint left it.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use esper::{Resumed, Run};

use super::{
    failure::Failure,
    finish::{RecordArgs, StopArgs, finish},
    output::{Output, OutputArgs},
    source::open_folder,
};

/// Arguments of `esper resume`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder.
    dir: PathBuf,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    stop: StopArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Goes on with a run.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let folder = open_folder(&args.dir)?;
    if let Some(summary) = folder.completed()? {
        let root = folder.dir.root().display();
        let text = format!("{root} is complete: there is nothing left to do");
        output.print_event("summary", &summary, text);
        return Ok(());
    }
    if !folder.is_scenario_same {
        output.print_note(
            "scenario.toml is not as it was when the run began; `esper verify` will say so",
        );
    }
    let refuse = |error| Failure::run(error, &folder.file);
    let options = folder.options().map_err(refuse)?.progress(output.progress());
    let Resumed { run, notes } = Run::resume(&folder, options).map_err(refuse)?;
    notes.iter().for_each(|text| output.print_note(text));
    finish(run, args.record, &args.stop, output)
}
