//! What can go wrong with a record.

use std::path::PathBuf;

use esper_engine::{
    journal::{EVENTS_FORMAT, JournalError},
    run_dir::FileError,
};
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
    /// The chain was written in another form than is read here.
    #[error(
        "{}: its events have format {found} and this Esper reads format {EVENTS_FORMAT}; use the Esper that wrote \
         them (manifest.json says which)",
        path.display()
    )]
    Format {
        /// The file of the chain.
        path: PathBuf,
        /// The format it has.
        found: u64,
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
    /// The summary does not say how the chain ends.
    #[error("{}: it has no `audit_head`, without which nobody can say whether the chain is whole", path.display())]
    NoHead {
        /// The file of the summary.
        path: PathBuf,
    },
}
