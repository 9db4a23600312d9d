//! A run again, in memory, and whether it gives the same bits.

use std::{fmt, fs, path::Path};

use esper_engine::{
    forge::Scripts,
    journal::{self, Journal, Recorded as _},
    run_dir::FileError,
};
use esper_nn::digest::Digest;
use esper_systems::nissa::{self, KernelAdopted, RunEnded, RunStarted};
use serde::Serialize;

use super::{Run, RunFolder, options::RunOptions, start::Recorded};
use crate::RunError;

/// How a replay went.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Whether every event is the same.
    pub is_same: bool,
    /// Events that are the same.
    pub n_events: u64,
    /// Whether the record is of a run that took all its steps.
    pub is_complete: bool,
    /// Digest of the replayed run's weights.
    pub weights_digest: Digest,
    /// The first event that differs, as recorded; `None` where the record has no such event.
    pub recorded: Option<String>,
    /// The first event that differs, as replayed; `None` where the replay has no such event.
    pub replayed: Option<String>,
}

impl Run {
    /// Runs the run in `folder` again in memory, up to where its journal ends, and compares the two journals; nothing in
    /// the folder is changed. `options` are the folder's, with what a program of one's own added when the run began.
    ///
    /// # Errors
    ///
    /// As [`Run::start`], and when the journal can not be read or the data is not what the run began with.
    pub fn replay(folder: &RunFolder, mut options: RunOptions) -> Result<Replay, RunError> {
        let record = Record::read(&folder.dir.events())?;
        let resolved = options.resolve(true)?;
        folder.check_digests(&resolved)?;
        let Record { lines, last_tick, is_complete, recorded } = record;
        let mut run = Self::start_recorded(options, &resolved, recorded)?;
        // A replay that differs may not end by itself; a difference shows by the end of the record.
        run.stop_at_tick(last_tick);
        let summary = run.finish()?;
        let journal = run.engine().world().resource::<Journal>();
        let replayed = lines_of(journal.bytes().expect("a run without a folder"));
        Ok(Replay::compare(&lines, &replayed, is_complete, summary.weights_digest))
    }
}

impl Replay {
    fn compare(old: &[String], new: &[String], is_complete: bool, weights_digest: Digest) -> Self {
        let n_same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        // A killed run's journal may end in the middle of a tick.
        let is_same = n_same == old.len() && (n_same == new.len() || !is_complete);
        let differing = |lines: &[String]| (!is_same).then(|| lines.get(n_same).cloned()).flatten();
        Self {
            is_same,
            n_events: n_same as u64,
            is_complete,
            weights_digest,
            recorded: differing(old),
            replayed: differing(new),
        }
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_events, weights_digest, recorded, replayed, .. } = self;
        if self.is_same {
            let whole = if self.is_complete { "" } else { ", which is where the record ends" };
            return write!(f, "same bits: {n_events} events{whole}, weights {weights_digest}");
        }
        let or_end = |line: &Option<String>| line.clone().unwrap_or_else(|| "(it ends)".to_owned());
        write!(
            f,
            "event {n_events} is the first that differs\n  recorded: {}\n  replayed: {}",
            or_end(recorded),
            or_end(replayed)
        )
    }
}

/// What a run's journal says.
struct Record {
    /// Its whole lines.
    lines: Vec<String>,
    last_tick: u64,
    is_complete: bool,
    /// What the replay repeats.
    recorded: Recorded,
}

impl Record {
    fn read(path: &Path) -> Result<Self, RunError> {
        let damaged = |source| nissa::NissaError::Damaged { path: path.to_owned(), source };
        let (mut last_tick, mut is_complete, mut n_events) = (0, false, 0);
        let mut recorded = Recorded::default();
        for event in journal::read(path)? {
            let event = match event {
                Ok(event) => event,
                Err(error) if error.is_torn_end() => break,
                Err(error) => return Err(error.into()),
            };
            RunStarted::check_format(&event, path)?;
            last_tick = event.tick;
            is_complete = event.kind == RunEnded::KIND;
            if event.kind == KernelAdopted::KIND {
                recorded.adopted.push(event.to().map_err(damaged)?);
            }
            recorded.commands.add(&event).map_err(damaged)?;
            n_events += 1;
        }
        recorded.scripts = Scripts::read(path)?;
        let mut lines = lines_of(&fs::read(path).map_err(FileError::at(path, "read the journal"))?);
        lines.truncate(n_events);
        Ok(Self { lines, last_tick, is_complete, recorded })
    }
}

fn lines_of(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}
