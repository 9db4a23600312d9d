//! Why there is no comparison.

use std::{io, path::PathBuf};

use esper_stats::StatsError;

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A folder has no results.
    #[error(
        "{}: {what}; name the folder that `--out` of the sweep named, which has results.jsonl once a cell has ended",
        dir.display()
    )]
    NoResults {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A file can not be read.
    #[error("{}: the results can not be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is no record of a cell.
    #[error(
        "{}:{line}: the line is no record of a cell: {reason}; remove the line and run the sweep again, which runs the \
         cell again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A cell has two records.
    #[error(
        "{again}: the cell {cell} is already in {first}; name each sweep once, or remove one of the two lines"
    )]
    Duplicate {
        /// The cell.
        cell: String,
        /// File and line of the first.
        first: String,
        /// File and line of the second.
        again: String,
    },
    /// No cell was tested.
    #[error(
        "{dirs}: none of {n_cells} cells is of the phase `test`; go on with the sweep, or compare another one"
    )]
    NothingTested {
        /// The folders.
        dirs: String,
        /// Cells there are.
        n_cells: usize,
    },
    /// Every tested cell failed.
    #[error("all {n_cells} tested cells failed, the first of them, {cell}, so: {reason}")]
    AllFailed {
        /// Cells there are.
        n_cells: usize,
        /// The first.
        cell: String,
        /// Why it failed.
        reason: String,
    },
    /// The baseline is no arm.
    #[error("--baseline {baseline}: no such arm was tested; {help}")]
    UnknownBaseline {
        /// What was asked for.
        baseline: String,
        /// What there is.
        help: String,
    },
    /// The margin is none.
    #[error("--margin {margin}: the margin has to be above 0 and finite")]
    Margin {
        /// What was asked for.
        margin: f64,
    },
    /// Cells of a task have scores that can not be compared.
    #[error(
        "{task}: {accuracy} has an accuracy on test data and {loss} only a loss; compare sweeps of one version of the task"
    )]
    MixedScores {
        /// The task.
        task: String,
        /// A cell with an accuracy.
        accuracy: String,
        /// A cell without.
        loss: String,
    },
    /// A figure can not be had.
    #[error(transparent)]
    Stats(#[from] StatsError),
}

impl CompareError {
    /// Whether what the user wrote is at fault: exit status 2 rather than 1.
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Unreadable { .. } | Self::AllFailed { .. } | Self::Stats(_))
    }
}
