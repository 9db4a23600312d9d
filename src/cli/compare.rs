//! `esper compare`: what the arms of a sweep come to.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use esper::compare::{CompareError, CompareOptions, Comparison};

use super::{failure::Failure, output::Output};

/// Arguments of `esper compare`.
#[derive(ClapArgs)]
pub struct Args {
    /// Folders of sweeps, which are compared as one.
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The arm that the others are compared to: `off` if it is there, else the first in alphabetical order.
    #[arg(long, value_name = "ARM")]
    baseline: Option<String>,
    /// Differences within this are none: of accuracies as a share, of losses relative to the baseline's mean.
    #[arg(long, value_name = "X", default_value_t = CompareOptions::default().margin, allow_negative_numbers = true)]
    margin: f64,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
    /// Comma-separated values on standard output, a row for each arm of each task.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// A LaTeX table on standard output.
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    latex: bool,
}

/// Compares the arms of sweeps.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let options = CompareOptions {
        baseline: args.baseline.clone(),
        margin: args.margin,
        ..CompareOptions::default()
    };
    let comparison = Comparison::of_dirs(&args.dirs, &options)?;
    let text = if args.csv {
        comparison.to_csv()
    } else if args.latex {
        comparison.to_latex()
    } else {
        comparison.to_text() + "\n"
    };
    // Tables for other programs have no room for what a reader has to know.
    if args.csv || args.latex {
        comparison.notes.iter().for_each(|it| output.print_note(it));
    }
    output.print_table("comparison", &comparison, &text);
    Ok(())
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        if error.is_usage() { Self::usage(error) } else { Self::failed(error) }
    }
}
