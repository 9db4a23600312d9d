//! Why there is no comparison.

use esper_stats::StatsError;

use crate::sweep::ResultsError;

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The results can not be read.
    #[error(transparent)]
    Results(#[from] ResultsError),
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
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Results(error) => error.is_usage(),
            Self::AllFailed { .. } | Self::Stats(_) => false,
            _ => true,
        }
    }
}
