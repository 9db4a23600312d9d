//! The command line: what can be asked, and how it ends.
//!
//! Exit status: 0 done, 1 the run failed, 2 what the user wrote is at fault, 101 a bug, 128 and a signal's number where that
//! signal stopped a sweep.

mod attribute;
mod check;
mod compare;
mod evaluate;
mod excerpt;
mod export;
mod failure;
mod finish;
mod inspect;
mod interrupt;
mod library;
mod output;
mod panics;
mod replay;
mod report;
mod resume;
mod run;
mod source;
mod sweep;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::{failure::Failure, output::Output};

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
    /// Compare the arms of sweeps: differences, intervals, costs, and a verdict.
    Compare(compare::Args),
    /// Write a run or a sweep as a page with figures.
    Report(report::Args),
    /// Say what each module of a run is worth, and what two are worth together.
    Attribute(attribute::Args),
    /// Say how well a run's network does on the test data of any scenario.
    Evaluate(evaluate::Args),
    /// Check that a run's files are what was written.
    Verify(verify::Args),
    /// Write the weights of a run for PyTorch.
    Export(export::Args),
    /// Run many runs that differ in arm, settings and seed.
    Sweep(sweep::Args),
    /// Look into a library of blueprints and kernels, clean it up, move its content.
    Library(library::Args),
}

/// Does what the arguments ask for.
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let output = command.output();
    match panics::caught(|| command.execute(output)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            output.print_error(&failure);
            ExitCode::from(failure.status)
        }
        Err(bug) => {
            output.print_error(&bug);
            ExitCode::from(bug.status)
        }
    }
}

impl Command {
    fn output(&self) -> Output {
        match self {
            Self::Run(args) => args.output.output(),
            Self::Check(args) => Output::new(args.json),
            Self::Resume(args) => args.output.output(),
            Self::Replay(args) => Output::new(args.json),
            Self::Inspect(args) => Output::new(args.json),
            Self::Compare(args) => Output::new(args.json),
            Self::Report(args) => Output::new(args.json),
            Self::Attribute(args) => Output::new(args.json),
            Self::Evaluate(args) => Output::new(args.json),
            Self::Verify(args) => Output::new(args.json),
            Self::Export(args) => Output::new(args.json),
            Self::Sweep(args) => args.output.output(),
            Self::Library(args) => Output::new(args.json),
        }
    }

    fn execute(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Run(args) => run::execute(&args, output),
            Self::Check(args) => check::execute(&args, output),
            Self::Resume(args) => resume::execute(&args, output),
            Self::Replay(args) => replay::execute(&args, output),
            Self::Inspect(args) => inspect::execute(&args, output),
            Self::Compare(args) => compare::execute(&args, output),
            Self::Report(args) => report::execute(&args, output),
            Self::Attribute(args) => attribute::execute(&args, output),
            Self::Evaluate(args) => evaluate::execute(&args, output),
            Self::Verify(args) => verify::execute(&args, output),
            Self::Export(args) => export::execute(&args, output),
            Self::Sweep(args) => sweep::execute(&args, output),
            Self::Library(args) => library::execute(&args, output),
        }
    }
}
