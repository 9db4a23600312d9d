//! What can go wrong with a library, and what to do about it.

use std::{fmt, io, path::PathBuf};

use esper_nn::digest::Digest;

/// A failed operation on the library or bundle at `path`.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct LibraryError {
    /// The file.
    pub path: PathBuf,
    /// What happened to it.
    #[source]
    pub kind: LibraryErrorKind,
}

/// What happened to a library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryErrorKind {
    /// Another process writes to it.
    #[error("the library is in use by another run; name another path or wait until that run ends")]
    InUse,
    /// The file is something else.
    #[error("not an Esper library: {0}")]
    NotALibrary(&'static str),
    /// The file was written by a different version of Esper.
    #[error("the library has format {found} and this version of Esper reads format {supported}")]
    Format {
        /// As stored.
        found: u32,
        /// As understood.
        supported: u32,
    },
    /// The file was changed by something other than Esper, or the disk lost part of it.
    #[error("the library is damaged: {0}; `esper verify` names the places")]
    Damaged(Damage),
    /// There is no such file.
    #[error("no such file; check the path, and that the folder it is in exists")]
    NotFound,
    /// The file or its folder may not be written or read.
    #[error("permission denied; make the file and its folder writable or name another path")]
    Denied,
    /// The disk is full.
    #[error("{0}; free some space or name a path on another disk")]
    DiskFull(#[source] io::Error),
    /// Any other refusal by the operating system.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// A write through a handle that was opened for reading.
    #[error("the library was opened for reading only")]
    ReadOnly,
    /// A record names something that is in neither the library nor the batch.
    #[error("{what} {id} is named by a record but is not in the library")]
    Missing {
        /// `blueprint`, `kernel` or `blob`.
        what: &'static str,
        /// Its name.
        id: Digest,
    },
    /// Bytes are not what their name says.
    #[error("{what} should have digest {expected} and has {found}")]
    Mismatch {
        /// Which bytes.
        what: &'static str,
        /// What they are named by.
        expected: Digest,
        /// What they hash to.
        found: Digest,
    },
    /// Something is larger than the library takes.
    #[error("{what} has {found} of at most {limit}")]
    TooLarge {
        /// What, with its unit.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
    },
    /// No blueprint and no kernel has a name that begins like that.
    #[error("nothing in the library has an id that begins with `{prefix}`")]
    NoMatch {
        /// What was asked for.
        prefix: String,
    },
    /// Several names begin like that.
    #[error("`{prefix}` could be any of {}; give more digits", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Up to eight that it could be.
        candidates: Vec<String>,
    },
    /// The file to be imported is not an export, or not as it was written.
    #[error("not a library export that can be trusted: {0}")]
    BadBundle(String),
    /// The file to be written is there already.
    #[error("the file exists; name another or remove it first")]
    Exists,
}

/// Where a library is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The table, or `file`.
    pub table: &'static str,
    /// The row's key, or the empty string where no row can be named.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    /// Damage that no row can be named for.
    pub(super) fn file(what: impl Into<String>) -> Self {
        Self { table: "file", key: String::new(), what: what.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, what } = self;
        if key.is_empty() { write!(f, "{what}") } else { write!(f, "{table} {key}: {what}") }
    }
}

impl LibraryErrorKind {
    /// Attaches the file it happened to.
    pub(super) fn at(self, path: impl Into<PathBuf>) -> LibraryError {
        LibraryError { path: path.into(), kind: self }
    }
}

impl From<io::Error> for LibraryErrorKind {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull(error),
            io::ErrorKind::AlreadyExists => Self::Exists,
            _ => Self::Io(error),
        }
    }
}

impl From<redb::Error> for LibraryErrorKind {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Self::Damaged(Damage::file(error.to_string()))
            }
            redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Damaged(Damage::file("the file ends too soon"))
            }
            redb::Error::Io(error) => error.into(),
            redb::Error::PreviousIo => Self::Io(io::Error::other(
                "an earlier write failed; the library has to be opened again",
            )),
            other => Self::Damaged(Damage::file(other.to_string())),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for LibraryErrorKind {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}
from_redb!(StorageError, TableError, DatabaseError, TransactionError, CommitError, CompactionError);
