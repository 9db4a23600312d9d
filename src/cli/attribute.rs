//! `esper attribute`: what each module of a run is worth, and what two are worth together.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use esper::{
    RunError,
    attribution::{AttributionError, AttributionSettings, attribute},
    engine::runtime::Split,
};

use super::{failure::Failure, output::Output, source::open_folder};

/// Arguments of `esper attribute`.
#[derive(ClapArgs)]
pub struct Args {
    /// The run's folder.
    dir: PathBuf,
    /// The examples that losses are means over.
    #[arg(long, value_enum, default_value_t = HeldOut::Validation)]
    split: HeldOut,
    /// One JSON object a line on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Examples that no gradient is computed on.
#[derive(ValueEnum, Clone, Copy)]
enum HeldOut {
    /// What the run's decisions were made on.
    Validation,
    /// What is read once, after the last step: decide nothing by it.
    Test,
}

impl From<HeldOut> for Split {
    fn from(split: HeldOut) -> Self {
        match split {
            HeldOut::Validation => Self::Validation,
            HeldOut::Test => Self::Test,
        }
    }
}

/// Attributes a run.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let folder = open_folder(&args.dir)?;
    let refuse = |error| match error {
        AttributionError::Run(RunError::Checkpoint(error)) => error.into(),
        AttributionError::Run(error) => Failure::run(error, &folder.file),
        error => Failure::failed(error),
    };
    let options = folder.options().map_err(|error| refuse(error.into()))?;
    let settings = AttributionSettings { split: args.split.into(), ..Default::default() };
    let found = attribute(&folder, options, &settings).map_err(refuse)?;
    found.notes.iter().for_each(|note| output.print_note(note));
    let newest = found.newest().next().map(|host| host.tick);
    for host in &found.hosts {
        // People read the newest, and how the others lead there.
        if output == Output::Json || Some(host.tick) == newest {
            output.print_result("attribution", host, host.to_text().trim_end());
        }
    }
    for course in found.courses() {
        let text = format!("\n{}", course.to_text());
        output.print_result("attribution_course", &course, text.trim_end());
    }
    Ok(())
}
