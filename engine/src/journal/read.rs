//! Reading a chain back: its events, whether it is whole, and when work was admitted.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    ChainFault, Digest, JournalError, JournalPosition, Recorded, ScanError, line::Scanner,
};
use crate::run_dir::FileError;

/// How much is read at a time.
const READ_BYTES: usize = 256 * 1024;

/// One event, read back.
#[derive(Deserialize, Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the chain.
    pub seq: u64,
    /// The tick it happened in.
    pub tick: u64,
    /// What happened, such as `stage_changed`.
    pub kind: String,
    /// The hash of the line before.
    pub prev: Digest,
    /// Its own hash.
    pub hash: Digest,
    /// The rest.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Event {
    /// The event as an `E`, if it is of that kind; `None` also where its fields are not those of `E`.
    pub fn get<E: Recorded + DeserializeOwned>(&self) -> Option<E> {
        (self.kind == E::KIND).then(|| self.to().ok()).flatten()
    }

    /// The event as the type it was written from, whatever its kind.
    ///
    /// # Errors
    ///
    /// Fails when the fields are not those of `T`.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.fields)
    }
}

/// What a whole chain comes to.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Lines.
    pub n_events: u64,
    /// Their length.
    pub len_bytes: u64,
    /// Hash of the last line; zeros when there is none.
    pub head: Digest,
}

/// Reads the events of a file in order, checking the chain on the way. After an error there are none.
///
/// # Errors
///
/// Fails when the file can not be opened.
pub fn read(path: &Path) -> Result<Events, JournalError> {
    Ok(Events { path: path.to_owned(), scanner: Some(open(path)?) })
}

/// Reads the events of a journal in memory, as [`read`] does those of a file.
pub fn read_bytes(bytes: &[u8]) -> Events<&[u8]> {
    let scanner = Scanner::new(bytes, JournalPosition::default());
    Events { path: "the journal in memory".into(), scanner: Some(scanner) }
}

/// The events of a journal; made by [`read`] and [`read_bytes`].
#[derive(Debug)]
pub struct Events<R = BufReader<File>> {
    path: PathBuf,
    scanner: Option<Scanner<R>>,
}

impl<R> Events<R> {
    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<R: BufRead> Iterator for Events<R> {
    type Item = Result<Event, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let scanner = self.scanner.as_mut()?;
        let start = scanner.position();
        let result = match scanner.next_line() {
            Ok(Some(line)) => serde_json::from_slice(line).map_err(|_| {
                // Sealed, and yet not JSON: someone else's program wrote it.
                let (line, offset_bytes) = (start.seq + 1, start.offset_bytes);
                ScanError::Fault(ChainFault { line, offset_bytes, what: super::Break::Form })
            }),
            Ok(None) => {
                self.scanner = None;
                return None;
            }
            Err(error) => Err(error),
        };
        Some(result.map_err(|error| {
            self.scanner = None;
            error.at(&self.path)
        }))
    }
}

/// Checks every line of a file, faster than lines are written.
///
/// # Errors
///
/// Fails when the file can not be read, or with [`JournalError::Broken`] at the first line that is not what was written.
pub fn verify(path: &Path) -> Result<ChainReport, JournalError> {
    scan(&mut open(path)?).map_err(|error| error.at(path))
}

/// Checks every line of a journal in memory.
///
/// # Errors
///
/// Names the first line that is not what was written.
pub fn verify_bytes(bytes: &[u8]) -> Result<ChainReport, ChainFault> {
    scan(&mut Scanner::new(bytes, JournalPosition::default())).map_err(|error| match error {
        ScanError::Fault(fault) => fault,
        ScanError::Io(error) => unreachable!("memory can be read: {error}"),
    })
}

impl JournalError {
    /// Whether this says no more than that the last line is not finished: the run was killed, or still writes.
    pub fn is_torn_end(&self) -> bool {
        matches!(self, Self::Broken { fault, .. } if fault.what == super::Break::Torn)
    }
}

fn open(path: &Path) -> Result<Scanner<BufReader<File>>, FileError> {
    let file = File::open(path).map_err(FileError::at(path, "open the journal"))?;
    Ok(Scanner::new(BufReader::with_capacity(READ_BYTES, file), JournalPosition::default()))
}

fn scan<R: BufRead>(scanner: &mut Scanner<R>) -> Result<ChainReport, ScanError> {
    while scanner.next_line()?.is_some() {}
    let JournalPosition { seq, offset_bytes, head } = scanner.position();
    Ok(ChainReport { n_events: seq, len_bytes: offset_bytes, head })
}
