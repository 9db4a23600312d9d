//! Events of a run, handed to its subscribers while it goes.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use esper_engine::{
    journal::{Journal, JournalPosition},
    run_dir::{FileError, RunDir},
};

use crate::RunError;

pub use esper_engine::journal::Event;

/// Called with every event; what it fails with ends the run.
pub(super) type Subscriber = Box<dyn FnMut(&Event) -> Result<(), RunError> + Send + Sync>;

/// A subscriber that does not fail.
pub(super) fn infallible(mut subscriber: impl FnMut(&Event) + Send + Sync + 'static) -> Subscriber {
    Box::new(move |event| {
        subscriber(event);
        Ok(())
    })
}

/// Subscribers, and how far each has read the journal.
#[derive(Default)]
pub(super) struct Subscribers {
    subscribers: Vec<(Subscriber, JournalPosition)>,
    /// The journal's file, once it has been read from.
    file: Option<File>,
}

impl Subscribers {
    pub fn new(subscribers: Vec<Subscriber>) -> Self {
        let subscribers = subscribers.into_iter().map(|it| (it, JournalPosition::default()));
        Self { subscribers: subscribers.collect(), file: None }
    }

    /// Adds a subscriber that has seen nothing yet.
    pub fn add(&mut self, subscriber: Subscriber) {
        self.subscribers.push((subscriber, JournalPosition::default()));
    }

    /// Hands every subscriber the events that the journal holds and the subscriber has not seen.
    pub fn deliver(&mut self, journal: &mut Journal, dir: Option<&RunDir>) -> Result<(), RunError> {
        let now = journal.position();
        let is_new = |(_, seen): &(Subscriber, JournalPosition)| seen.seq < now.seq;
        if !self.subscribers.iter().any(is_new) {
            return Ok(());
        }
        journal.flush()?;
        for (subscriber, seen) in &mut self.subscribers {
            if seen.seq == now.seq {
                continue;
            }
            let lines = match (journal.bytes(), dir) {
                (Some(bytes), _) => bytes[seen.offset_bytes as usize..].to_vec(),
                (None, Some(dir)) => read_lines(&mut self.file, dir, *seen, now)?,
                (None, None) => unreachable!("a journal in a file has a folder"),
            };
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let event = serde_json::from_slice(line).expect("the journal writes JSON");
                subscriber(&event)?;
            }
            *seen = now;
        }
        Ok(())
    }
}

/// The lines between two places of the journal of `dir`.
fn read_lines(
    file: &mut Option<File>,
    dir: &RunDir,
    from: JournalPosition,
    until: JournalPosition,
) -> Result<Vec<u8>, FileError> {
    let path = dir.events();
    let failed = || FileError::at(&path, "read the journal");
    let mut opened = match file.take() {
        Some(file) => file,
        None => File::open(&path).map_err(failed())?,
    };
    let mut lines = vec![0; (until.offset_bytes - from.offset_bytes) as usize];
    opened
        .seek(SeekFrom::Start(from.offset_bytes))
        .and_then(|_| opened.read_exact(&mut lines))
        .map_err(failed())?;
    *file = Some(opened);
    Ok(lines)
}
