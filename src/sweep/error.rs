//! Why a sweep can not begin or go on.

use std::path::PathBuf;

use esper_engine::run_dir::FileError;

use super::results::ResultsError;
use crate::{RunError, scenario::ScenarioError};

/// Why a sweep can not begin or go on. A cell that fails is no reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The sweep's file, or what was set on the command line, is not sound.
    #[error(transparent)]
    File(#[from] ScenarioError),
    /// A scenario of the sweep is not sound with the settings of a cell.
    #[error("{cell}: {source}")]
    Cell {
        /// The cell.
        cell: String,
        /// What is wrong.
        source: Box<RunError>,
    },
    /// The sweep asks for what can not be had.
    #[error("{what}; {help}")]
    Unfit {
        /// What it asks for.
        what: String,
        /// What to do.
        help: String,
    },
    /// The folder holds another sweep.
    #[error("{}: {what}; name another folder with --out", dir.display())]
    Other {
        /// The folder.
        dir: PathBuf,
        /// What differs.
        what: String,
    },
    /// Another process works in the folder.
    #[error("{}: another process runs this sweep; wait for it, or stop it", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// Results can not be read.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A file can not be read or written.
    #[error(transparent)]
    Io(#[from] FileError),
    /// A scenario of the sweep can not be read.
    #[error(transparent)]
    Run(#[from] Box<RunError>),
}

impl From<RunError> for SweepError {
    fn from(error: RunError) -> Self {
        Self::Run(Box::new(error))
    }
}

impl SweepError {
    /// Whether what the user wrote is at fault: exit status 2 rather than 1.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::File(_) | Self::Unfit { .. } | Self::Other { .. } => true,
            Self::Cell { source, .. } | Self::Run(source) => source.is_usage(),
            Self::Results(error) => error.is_usage(),
            Self::InUse { .. } | Self::Io(_) => false,
        }
    }
}
