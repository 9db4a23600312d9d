//! What can go wrong with a record.

use std::path::PathBuf;

use esper_engine::{journal::JournalError, run_dir::FileError};
use esper_nn::digest::Digest;

/// Why a run's record can not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NissaError {
    /// The audit chain.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file does not hold what it should.
    #[error("{}: it can not be understood: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// Lines are missing at the end of the chain, or it is another run's.
    #[error("{}: the chain ends with hash {found}, but summary.json names {expected}", path.display())]
    Head {
        /// The file of the chain.
        path: PathBuf,
        /// `audit_head` of the summary.
        expected: Digest,
        /// The last hash of the chain.
        found: Digest,
    },
}
