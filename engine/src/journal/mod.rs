//! The audit chain: `events.jsonl`, append-only, each line sealed to the one before it.
//!
//! # The rule
//!
//! A line is one JSON object without spaces between its tokens, and ends with `\n`:
//!
//! ```text
//! {"seq":7,"tick":31,"kind":"stage_changed",...the event's fields...,"prev":"<64 hex>","hash":"<64 hex>"}
//! ```
//!
//! - `hash` is the BLAKE3 digest, in 64 lowercase hexadecimal digits, of the bytes of the line that come before
//!   `,"hash":`: of all but its last 76 bytes, counting the newline.
//! - `prev` is the `hash` of the line before; in the first line it is 64 zeros.
//! - `seq` is 0 in the first line and grows by one.
//!
//! Nothing but `b3sum` and `jq` is needed to check line 5:
//!
//! ```text
//! sed -n 5p events.jsonl | head -c -76 | b3sum --no-names
//! sed -n 5p events.jsonl | jq -r .hash
//! ```
//!
//! and few lines of Python check the chain:
//!
//! ```text
//! import json, sys; from blake3 import blake3
//! prev = "0" * 64
//! for seq, line in enumerate(open(sys.argv[1], "rb")):
//!     event = json.loads(line)
//!     assert event["seq"] == seq and event["prev"] == prev, seq
//!     prev = blake3(line[:-76]).hexdigest()
//!     assert event["hash"] == prev, seq
//! ```
//!
//! The chain shows that no line was changed, dropped or put in between. That lines are missing at its end shows
//! only against a head kept elsewhere: the run's summary has it as `audit_head`.
//!
//! # Resuming
//!
//! A run that is resumed writes the same events again, from its checkpoint on. [`Journal::open_at`] cuts nothing: what lies
//! beyond the checkpoint is what the run is *expected* to write, and each line is compared and not
//! written twice. A run that differs from its past fails with [`JournalError::Diverged`].

mod line;
mod read;
mod recorded;
mod tail;

pub use line::{Break, ChainFault, LINE_BYTES_MAX};
pub use read::{ChainReport, Event, Events, read, read_bytes, verify, verify_bytes};
pub use recorded::{EVENTS_FORMAT, Recorded, RecordedMessage, TextContext, TickEvent, TickEvents};
pub use tail::Repair;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use self::{line::Hex, tail::ExpectedTail};
use crate::run_dir::{FileError, sync_folder};
use esper_nn::digest::Digest;

/// Lines gather up to this size before they are handed to the operating system, unless [`Journal::flush`] comes
/// first. From 16 KiB to 1 MiB the size made no difference to the rate of events written.
const BUFFER_BYTES: usize = 64 * 1024;

/// A place between two lines: what a checkpoint keeps of a journal.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalPosition {
    /// Lines before it, and so the `seq` of the line after it.
    pub seq: u64,
    /// Where it is in the file.
    pub offset_bytes: u64,
    /// `hash` of the line before it; zeros at the start.
    pub head: Digest,
}

/// Why a journal can not go on, or can not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process writes this journal.
    #[error("{}: another process writes it; wait for that run to end", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A line is not what was written.
    #[error("{}: {fault}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        fault: ChainFault,
    },
    /// The file is not the one a checkpoint was taken with.
    #[error(
        "{}: at byte {} it does not have line {} with hash {}, which the checkpoint was written after",
        path.display(), position.offset_bytes, position.seq, position.head
    )]
    Elsewhere {
        /// The file.
        path: PathBuf,
        /// What the checkpoint says.
        position: JournalPosition,
    },
    /// A resumed run did not do again what it had done before.
    #[error(
        "{}: the run differs from its past at event {seq}: it wrote `{expected}` then and `{found}` now",
        path.display()
    )]
    Diverged {
        /// The file.
        path: PathBuf,
        /// The event's place.
        seq: u64,
        /// The line in the file.
        expected: String,
        /// The line the resumed run would have written.
        found: String,
    },
    /// The limit on events is reached.
    #[error(
        "the journal has {events_max} events, which is `limits.events_max`; raise it and resume the run"
    )]
    Full {
        /// The limit.
        events_max: u64,
    },
    /// An event is longer than a line may be.
    #[error("a `{kind}` event makes a line of {len_bytes} bytes, of at most {LINE_BYTES_MAX}")]
    TooLong {
        /// The event's kind.
        kind: String,
        /// Its line's length.
        len_bytes: usize,
    },
    /// An earlier error ended the journal; nothing was written since.
    #[error("the journal ended with an earlier error")]
    Ended,
}

/// Writes the chain.
#[derive(Resource, Debug)]
pub struct Journal {
    sink: Sink,
    position: JournalPosition,
    /// `position.head` as text.
    head: Hex,
    /// The line being made; kept for its memory.
    line: Vec<u8>,
    events_max: u64,
    has_ended: bool,
}

#[derive(Debug)]
enum Sink {
    Memory(Vec<u8>),
    File { path: PathBuf, file: File, pending: Vec<u8>, expected: Option<ExpectedTail> },
}

impl Journal {
    /// A journal of at most `events_max` events that stays in memory.
    pub fn in_memory(events_max: u64) -> Self {
        Self::in_memory_at(JournalPosition::default(), events_max)
    }

    /// A journal in memory that goes on at `position`, without the lines before it.
    pub fn in_memory_at(position: JournalPosition, events_max: u64) -> Self {
        Self::new(Sink::Memory(Vec::new()), position, events_max)
    }

    /// A journal of at most `events_max` events in a new file.
    ///
    /// # Errors
    ///
    /// Fails when the file exists already or can not be made.
    pub fn create(path: &Path, events_max: u64) -> Result<Self, JournalError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(FileError::at(path, "create the journal"))?;
        lock(path, &file)?;
        let folder =
            path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(folder).map_err(FileError::at(path, "create the journal"))?;
        Ok(Self::on_file(path, file, None, JournalPosition::default(), events_max))
    }

    /// Reopens the journal of a run that resumes at `position`.
    ///
    /// The lines after `position` must be whole and well chained; the run is expected to make them again. A last line
    /// that was torn by a crash is cut off, and said.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be opened, is being written by another process, is not the one that had
    /// `position`, or has a fault that is not at its very end.
    pub fn open_at(
        path: &Path,
        position: JournalPosition,
        events_max: u64,
    ) -> Result<(Self, Option<Repair>), JournalError> {
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(FileError::at(path, "open the journal"))?;
        lock(path, &file)?;
        let (expected, repair) = ExpectedTail::open(path, &file, position)?;
        Ok((Self::on_file(path, file, expected, position, events_max), repair))
    }

    fn on_file(
        path: &Path,
        file: File,
        expected: Option<ExpectedTail>,
        position: JournalPosition,
        events_max: u64,
    ) -> Self {
        let pending = Vec::with_capacity(BUFFER_BYTES);
        let sink = Sink::File { path: path.to_owned(), file, pending, expected };
        Self::new(sink, position, events_max)
    }

    fn new(sink: Sink, position: JournalPosition, events_max: u64) -> Self {
        let head = line::hex(&position.head);
        Self { sink, position, head, line: Vec::new(), events_max, has_ended: false }
    }

    /// Adds an event. `kind` is lowercase letters, digits and `_`; `event` serialises to a JSON object whose keys
    /// are none of `seq`, `tick`, `kind`, `prev`, `hash`. Numbers that are not finite become `null`.
    ///
    /// # Errors
    ///
    /// Fails when the limit is reached, the file can not be written, or a resumed run differs from its past. The
    /// journal has then ended, and refuses everything that follows.
    pub fn append<E: Serialize + ?Sized>(
        &mut self,
        tick: u64,
        kind: &str,
        event: &E,
    ) -> Result<(), JournalError> {
        self.guarded(|journal| journal.append_line(tick, kind, event))
    }

    /// Hands all lines to the operating system: they survive the end of this process.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be written.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.guarded(Self::write_pending)
    }

    /// Has the disk hold all lines: they survive a loss of power. For checkpoints; it takes milliseconds.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be written.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.guarded(|journal| {
            journal.write_pending()?;
            match &journal.sink {
                Sink::Memory(_) => Ok(()),
                Sink::File { path, file, .. } => {
                    Ok(file.sync_data().map_err(FileError::at(path, "save the journal"))?)
                }
            }
        })
    }

    /// The place after the last event.
    pub fn position(&self) -> JournalPosition {
        self.position
    }

    /// `hash` of the last line: it names everything the chain says. Zeros while there is none.
    pub fn head(&self) -> Digest {
        self.position.head
    }

    /// Events so far.
    pub fn n_events(&self) -> u64 {
        self.position.seq
    }

    /// Whether the run has caught up with its past: no line written before a resume is left to compare.
    pub fn is_caught_up(&self) -> bool {
        matches!(&self.sink, Sink::Memory(_) | Sink::File { expected: None, .. })
    }

    /// The lines so far, if the journal is in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.sink {
            Sink::Memory(bytes) => Some(bytes),
            Sink::File { .. } => None,
        }
    }

    fn guarded(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        if self.has_ended {
            return Err(JournalError::Ended);
        }
        let result = act(self);
        self.has_ended = result.is_err();
        result
    }

    fn append_line<E: Serialize + ?Sized>(
        &mut self,
        tick: u64,
        kind: &str,
        event: &E,
    ) -> Result<(), JournalError> {
        let JournalPosition { seq, offset_bytes, .. } = self.position;
        if seq >= self.events_max {
            return Err(JournalError::Full { events_max: self.events_max });
        }
        let (digest, hex) = line::seal(&mut self.line, seq, tick, kind, event, &self.head);
        let len_bytes = self.line.len();
        if len_bytes > LINE_BYTES_MAX {
            return Err(JournalError::TooLong { kind: kind.to_owned(), len_bytes });
        }
        match &mut self.sink {
            Sink::Memory(bytes) => bytes.extend_from_slice(&self.line),
            Sink::File { path, expected: expected @ Some(_), .. } => {
                let tail = expected.as_mut().expect("matched");
                if tail.compare(path, seq, &self.line)? {
                    *expected = None;
                }
            }
            Sink::File { pending, expected: None, .. } => pending.extend_from_slice(&self.line),
        }
        self.head = hex;
        self.position = JournalPosition {
            seq: seq + 1,
            offset_bytes: offset_bytes + len_bytes as u64,
            head: digest,
        };
        match &self.sink {
            Sink::File { pending, .. } if pending.len() >= BUFFER_BYTES => self.write_pending(),
            _ => Ok(()),
        }
    }

    fn write_pending(&mut self) -> Result<(), JournalError> {
        let Sink::File { path, file, pending, .. } = &mut self.sink else { return Ok(()) };
        if !pending.is_empty() {
            file.write_all(pending).map_err(FileError::at(path, "write the journal"))?;
            pending.clear();
        }
        Ok(())
    }
}

impl Drop for Journal {
    /// Hands over what is left; who must know whether that worked calls [`Journal::flush`] first.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// Keeps a second process from writing the same file. File systems without locks go without.
fn lock(path: &Path, file: &File) -> Result<(), JournalError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: path.to_owned() }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// What a scan of lines ran into, before it is known which file they are of.
#[derive(Debug)]
enum ScanError {
    Io(io::Error),
    Fault(ChainFault),
}

impl ScanError {
    fn at(self, path: &Path) -> JournalError {
        match self {
            Self::Io(source) => FileError::at(path, "read the journal")(source).into(),
            Self::Fault(fault) => JournalError::Broken { path: path.to_owned(), fault },
        }
    }
}

#[cfg(test)]
mod tests;
