//! What Urza keeps in the world: the open library.

use std::{collections::BTreeSet, sync::Arc};

use bevy_ecs::prelude::*;
use esper_engine::world::{
    ids::KernelId,
    kernel::{KernelStore, StoreError},
};

use super::{
    error::LibraryError,
    record::KernelRecord,
    recorder::{Recorded, Recorder},
    store::LibraryStore,
};

/// The run's library and the thread that writes to it.
#[derive(Resource, Clone)]
pub struct OpenLibrary {
    pub(super) store: LibraryStore,
    pub(super) recorder: Arc<Recorder>,
    pub(super) run: Arc<str>,
}

/// Kernels whose program was nowhere to be had when they were recorded. Not saved: it is found again.
#[derive(Resource, Default)]
pub(super) struct Unread(pub(super) BTreeSet<KernelId>);

impl OpenLibrary {
    /// Starts writing to `store` in the name of `run`.
    pub(super) fn new(store: LibraryStore, run: &str) -> Self {
        let recorder = Arc::new(Recorder::start(store.clone(), run));
        Self { store, recorder, run: run.into() }
    }

    /// The library, for queries; what the last ticks sent may not be in it before [`Self::settle`].
    pub fn store(&self) -> &LibraryStore {
        &self.store
    }

    /// Those of `ids` that another run found valid, in the order given: what this run may adopt while it is built.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read.
    pub fn known_kernels(&self, ids: &[KernelId]) -> Result<Vec<KernelRecord>, LibraryError> {
        self.store.known_kernels(ids, &self.run)
    }

    /// Waits until everything recorded is on the disk: a checkpoint that names kernels is written after that.
    ///
    /// # Errors
    ///
    /// Says why writing failed, then or at any time before.
    pub fn settle(&self) -> Result<(), String> {
        self.recorder.settle()
    }

    /// Whether the library has the program of kernel `id`; a library that can not be read has none.
    pub(super) fn holds_program(&self, id: KernelId) -> bool {
        let known = self.store.kernel(id);
        known.is_ok_and(|known| known.is_some_and(|it| it.record.program_len_bytes.is_some()))
    }

    /// How much this run has written.
    pub fn recorded(&self) -> Recorded {
        self.recorder.recorded()
    }

    /// One line for people: where the library is and what this run added to it.
    pub fn describe(&self) -> String {
        let Recorded { n_commits, n_records, n_blob_bytes } = self.recorded();
        let path = self.store().path().display();
        format!("{path}: {n_records} records and {n_blob_bytes} bytes in {n_commits} commits")
    }
}

impl KernelStore for OpenLibrary {
    fn kernel_bytes(&self, id: KernelId) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(bytes) = self.store.kernel_bytes(id)? {
            return Ok(Some(bytes));
        }
        // It may still be on its way to the disk.
        self.settle().map_err(|reason| StoreError { kernel: id, reason })?;
        self.store.kernel_bytes(id)
    }

    fn settle(&self) -> Result<(), String> {
        Self::settle(self)
    }
}
