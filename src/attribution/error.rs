//! Why a run can not be attributed.

use std::convert::Infallible;

use esper_engine::{ids::HostId, runtime::AblationError};
use esper_stats::shapley::SampleError;

use crate::RunError;

/// Why losses give no figures.
pub type FigureError = SampleError<Infallible>;

/// Why a run can not be attributed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttributionError {
    /// The run's folder, its data or its checkpoints can not be had.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The operating system gives no threads.
    #[error("`run.threads`: {source}; ask for fewer")]
    Threads {
        /// What it says.
        source: rayon::ThreadPoolBuildError,
    },
    /// A host can not be evaluated without some of its modules.
    #[error("{host} after tick {tick}: {source}")]
    Host {
        /// The host.
        host: HostId,
        /// The checkpoint's tick.
        tick: u64,
        /// Why not.
        source: AblationError,
    },
    /// The losses give no figures.
    #[error(
        "{host} after tick {tick}: {source}; a loss without some of the modules may have overflowed"
    )]
    Figures {
        /// The host.
        host: HostId,
        /// The checkpoint's tick.
        tick: u64,
        /// Why not.
        source: FigureError,
    },
}

impl AttributionError {
    /// Whether what the user wrote is at fault: exit status 2 rather than 1.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Run(error) if error.is_usage())
    }
}
