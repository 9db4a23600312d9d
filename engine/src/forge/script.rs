//! The admissions of an earlier run: what a replay holds forges to.

use std::{collections::BTreeMap, io, path::Path};

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::Ticket;
use crate::{
    journal::{self, JournalError},
    run_dir::FileError,
};

/// The kind of the events that say when a worker's result entered the world: fields `forge`, `ticket`, `outcome`.
pub const JOB_ADMITTED: &str = "job_admitted";

/// How a job ended, without what it made.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// It returned.
    Done,
    /// It panicked.
    Panicked,
    /// It ran for longer than it may, or no worker was left to run it.
    TimedOut,
}

/// When each job of a forge was admitted.
///
/// A scripted job is admitted exactly at its tick, however fast or slow the workers are; a job that is
/// not in the script never came back in that run, and does not in this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(pub(super) BTreeMap<Ticket, Scripted>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scripted {
    pub tick: u64,
    pub timed_out: bool,
}

impl Script {
    /// Adds that the job of `ticket` was admitted at `tick`.
    pub fn push(&mut self, tick: u64, ticket: Ticket, outcome: JobOutcome) {
        self.0.insert(ticket, Scripted { tick, timed_out: outcome == JobOutcome::TimedOut });
    }
}

/// Scripts by forge name. Insert it before the plugins to replay a run.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts(pub BTreeMap<String, Script>);

impl Scripts {
    /// When each job was admitted, as the journal at `path` says. A torn last line is left out.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be read, its chain is broken, or an admission is not one.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        #[derive(Deserialize)]
        struct Fields {
            forge: String,
            ticket: u64,
            outcome: JobOutcome,
        }

        let mut scripts = Self::default();
        for event in journal::read(path)? {
            let event = match event {
                Ok(event) if event.kind == JOB_ADMITTED => event,
                Ok(_) => continue,
                Err(error) if error.is_torn_end() => break,
                Err(error) => return Err(error),
            };
            let Fields { forge, ticket, outcome } = event.to().map_err(|source| {
                let source = io::Error::new(io::ErrorKind::InvalidData, source);
                FileError::at(path, "read an admission")(source)
            })?;
            scripts.0.entry(forge).or_default().push(event.tick, Ticket(ticket), outcome);
        }
        Ok(scripts)
    }
}
