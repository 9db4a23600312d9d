//! `metrics.csv`: one row an epoch and host.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use bevy_ecs::prelude::*;
use esper_engine::{
    journal::{self, Recorded},
    run_dir::{FileError, write_atomic},
    world::ids::HostId,
};
use serde::Deserialize;

use super::{NissaError, NissaState};
use crate::oona::EpochEnded;

/// Losses are in nats an example, or in squared units for regression. An empty cell was not measured; `nan` is a
/// number that was not finite.
const HEADER: &str =
    "tick,epoch,host,step,train_loss,train_accuracy,val_loss,val_accuracy,lr,params,active_seeds\n";

/// Writes the file; without one, rows are dropped.
#[derive(Resource, Debug, Default)]
pub(super) struct Metrics {
    file: Option<(PathBuf, File)>,
    len_bytes: u64,
}

/// One row; read from an `epoch_ended` event, where numbers that are not finite are `null`.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    epoch: u64,
    host: HostId,
    step: u64,
    train_loss: Option<f64>,
    train_accuracy: Option<f64>,
    val_loss: Option<f64>,
    val_accuracy: Option<f64>,
    lr: Option<f64>,
    params_elems: u64,
    n_active_seeds: u64,
}

impl From<&EpochEnded> for Row {
    fn from(it: &EpochEnded) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            epoch: it.epoch,
            host: it.host,
            step: it.step,
            train_loss: finite(it.train_loss),
            train_accuracy: it.train_accuracy,
            val_loss: finite(it.val_loss),
            val_accuracy: it.val_accuracy,
            lr: finite(it.lr),
            params_elems: it.params_elems,
            n_active_seeds: it.n_active_seeds,
        }
    }
}

impl Row {
    fn write(&self, tick: u64, text: &mut String) {
        let Self { epoch, host: HostId(host), step, params_elems, n_active_seeds, .. } = self;
        let loss = |value: Option<f64>| value.map_or("nan".to_owned(), |value| value.to_string());
        let share = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        writeln!(
            text,
            "{tick},{epoch},{host},{step},{},{},{},{},{},{params_elems},{n_active_seeds}",
            loss(self.train_loss),
            share(self.train_accuracy),
            loss(self.val_loss),
            share(self.val_accuracy),
            loss(self.lr),
        )
        .expect("memory takes all");
    }
}

impl Metrics {
    /// A new file with nothing but its header.
    pub(super) fn create(path: &Path) -> Result<Self, FileError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(FileError::at(path, "create the metrics"))?;
        let mut metrics = Self { file: Some((path.to_owned(), file)), len_bytes: 0 };
        metrics.write(HEADER)?;
        Ok(metrics)
    }

    /// The file as it was at a checkpoint: what was added since is cut off. Where the file is missing or has lost
    /// rows, they are taken from the audit chain at `events`.
    pub(super) fn resume(
        path: &Path,
        events: &Path,
        every_epochs: u64,
        state: &NissaState,
    ) -> Result<Self, NissaError> {
        let mut len_bytes = state.metrics_bytes;
        if std::fs::metadata(path).map_or(0, |found| found.len()) < len_bytes {
            let text = rebuild(events, every_epochs, state)?;
            write_atomic(path, text.as_bytes())?;
            len_bytes = text.len() as u64;
        }
        let mut metrics = Self::open(path)?;
        let Some((_, file)) = &metrics.file else { return Ok(metrics) };
        file.set_len(len_bytes).map_err(FileError::at(path, "resume the metrics"))?;
        metrics.len_bytes = len_bytes;
        Ok(metrics)
    }

    /// A file that is there, as it is.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let failed = || FileError::at(path, "open the metrics");
        let file = OpenOptions::new().append(true).open(path).map_err(failed())?;
        let len_bytes = file.metadata().map_err(failed())?.len();
        Ok(Self { file: Some((path.to_owned(), file)), len_bytes })
    }

    /// Adds rows.
    pub(super) fn append(
        &mut self,
        tick: u64,
        rows: impl Iterator<Item = Row>,
    ) -> Result<(), FileError> {
        let mut text = String::new();
        rows.for_each(|row| row.write(tick, &mut text));
        self.write(&text)
    }

    /// The file's length.
    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn write(&mut self, text: &str) -> Result<(), FileError> {
        if let Some((path, file)) = &mut self.file
            && !text.is_empty()
        {
            file.write_all(text.as_bytes()).map_err(FileError::at(path, "write the metrics"))?;
            self.len_bytes += text.len() as u64;
        }
        Ok(())
    }
}

/// The file's text as the chain up to the checkpoint has it.
fn rebuild(events: &Path, every_epochs: u64, state: &NissaState) -> Result<String, NissaError> {
    let mut text = HEADER.to_owned();
    for event in journal::read(events)?.take(state.journal.seq as usize) {
        let event = event?;
        if event.kind == EpochEnded::KIND {
            let row: Row = event
                .to()
                .map_err(|source| NissaError::Damaged { path: events.to_owned(), source })?;
            if row.epoch.is_multiple_of(every_epochs) {
                row.write(event.tick, &mut text);
            }
        }
    }
    Ok(text)
}
