//! What can go wrong with a record, and how the run learns of it.

use std::{fmt::Display, path::PathBuf};

use bevy_ecs::prelude::*;
use esper_engine::{journal::JournalError, run_dir::FileError, world::plugin::RunStatus};
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

/// Ends the run: its record can not go on. By command, so that other subsystems may fail in the same phase.
pub(super) fn fail(commands: &mut Commands, error: &dyn Display) {
    let reason = error.to_string();
    commands.queue(move |world: &mut World| {
        let mut status = world.resource_mut::<RunStatus>();
        if !matches!(*status, RunStatus::Failed(_)) {
            *status = RunStatus::Failed(reason);
        }
    });
}
