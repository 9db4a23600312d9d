//! The command line: what can be asked, and how it ends.
//!
//! Exit status: 0 done, 1 the run failed, 2 what the user wrote is at fault, 101 a bug.

mod check;
mod drive;
mod excerpt;
mod export;
mod failure;
mod inspect;
mod interrupt;
mod library;
mod manifest;
mod panics;
mod replay;
mod resume;
mod run;
mod run_folder;
mod source;
mod verify;
mod voice;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::{failure::Failure, voice::Voice};

/// Trains neural networks that grow while they train.
#[derive(Parser)]
#[command(name = "esper", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario.
    Run(run::Args),
    /// Say whether a scenario would run, and what it would train.
    Check(check::Args),
    /// Go on with a run that was stopped.
    Resume(resume::Args),
    /// Run a run again, and say whether it gives the same bits.
    Replay(replay::Args),
    /// Show what grew where, when and why.
    Inspect(inspect::Args),
    /// Check that a run's files are what was written.
    Verify(verify::Args),
    /// Write the weights of a run for PyTorch.
    Export(export::Args),
    /// Look into a library of blueprints and kernels, clean it up, move its content.
    Library(library::Args),
}

/// Does what the arguments ask for.
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let voice = command.voice();
    match panics::caught(|| command.execute(voice)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            voice.fail(&failure);
            ExitCode::from(failure.status)
        }
        Err(bug) => {
            voice.fail(&bug);
            ExitCode::from(bug.status)
        }
    }
}

impl Command {
    fn voice(&self) -> Voice {
        match self {
            Self::Run(args) => args.output.voice(),
            Self::Check(args) => Voice::new(args.json),
            Self::Resume(args) => args.output.voice(),
            Self::Replay(args) => Voice::new(args.json),
            Self::Inspect(args) => Voice::new(args.json),
            Self::Verify(args) => Voice::new(args.json),
            Self::Export(args) => Voice::new(args.json),
            Self::Library(args) => Voice::new(args.json),
        }
    }

    fn execute(self, voice: Voice) -> Result<(), Failure> {
        match self {
            Self::Run(args) => run::execute(&args, voice),
            Self::Check(args) => check::execute(&args, voice),
            Self::Resume(args) => resume::execute(&args, voice),
            Self::Replay(args) => replay::execute(&args, voice),
            Self::Inspect(args) => inspect::execute(&args, voice),
            Self::Verify(args) => verify::execute(&args, voice),
            Self::Export(args) => export::execute(&args, voice),
            Self::Library(args) => library::execute(&args, voice),
        }
    }
}
