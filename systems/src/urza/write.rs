//! Writing: what is news, and the tables that have to agree about it.

use esper_engine::world::{blueprint::BlueprintStatus, kernel::KernelStatus};
use esper_nn::{contract::Contract, digest::Digest};
use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    blob::write_blob,
    error::LibraryErrorKind,
    record::{Batch, BlobRef, BlueprintRecord, DeploymentRecord, KernelRecord, Versioned},
    rows::latest,
    schema::{
        BLOBS, BLUEPRINTS, BY_BLUEPRINT, BY_CONTRACT, BY_LATENCY, BY_TAG, DEPLOYMENTS, Id, KERNELS,
        RUNS, RunRow, Sealed, VersionKey, seal, unseal,
    },
    signature::SigningPair,
};

/// Tags a kernel may carry.
pub const TAGS_MAX: usize = 64;
/// Bytes of one tag, at most.
pub const TAG_MAX_BYTES: usize = 64;

/// What a commit added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Records: versions of blueprints and kernels, and deployments.
    pub n_records: u64,
    /// Bytes of new blobs.
    pub n_blob_bytes: u64,
}

/// One write transaction's tables.
pub(super) struct Writer<'tx> {
    pub(super) blueprints: Table<'tx, VersionKey, Sealed>,
    pub(super) kernels: Table<'tx, VersionKey, Sealed>,
    pub(super) deployments: Table<'tx, (Id, Id), Sealed>,
    pub(super) blobs: Table<'tx, (Id, u32), &'static [u8]>,
    pub(super) runs: Table<'tx, &'static str, Sealed>,
    pub(super) by_contract: Table<'tx, (&'static str, Id), ()>,
    pub(super) by_tag: Table<'tx, (&'static str, Id), ()>,
    pub(super) by_latency: Table<'tx, (u64, Id), ()>,
    pub(super) by_blueprint: Table<'tx, (Id, Id), ()>,
    pair: &'tx SigningPair,
    committed: Committed,
}

impl<'tx> Writer<'tx> {
    /// Opens every table, and creates those that are not there.
    pub(super) fn open(
        tx: &'tx WriteTransaction,
        pair: &'tx SigningPair,
    ) -> Result<Self, LibraryErrorKind> {
        Ok(Self {
            blueprints: tx.open_table(BLUEPRINTS)?,
            kernels: tx.open_table(KERNELS)?,
            deployments: tx.open_table(DEPLOYMENTS)?,
            blobs: tx.open_table(BLOBS)?,
            runs: tx.open_table(RUNS)?,
            by_contract: tx.open_table(BY_CONTRACT)?,
            by_tag: tx.open_table(BY_TAG)?,
            by_latency: tx.open_table(BY_LATENCY)?,
            by_blueprint: tx.open_table(BY_BLUEPRINT)?,
            pair,
            committed: Committed::default(),
        })
    }

    /// What was written so far.
    pub(super) fn committed(&self) -> Committed {
        self.committed
    }

    /// Writes what is new in `batch`; `None` when nothing is.
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<Option<Committed>, LibraryErrorKind> {
        for (record, graph) in &batch.blueprints {
            self.add_blueprint(record, graph)?;
        }
        for (record, program) in &batch.kernels {
            self.add_kernel(record, program.as_deref())?;
        }
        for record in &batch.deployments {
            self.add_deployment(record)?;
        }
        self.finish(&batch.run)
    }

    /// Writes a blueprint's next version if it is news.
    pub(super) fn add_blueprint(
        &mut self,
        record: &BlueprintRecord,
        graph: &[u8],
    ) -> Result<(), LibraryErrorKind> {
        let known = latest::<BlueprintRecord>("blueprints", &self.blueprints, &record.id.0)?;
        let is_final =
            matches!(record.status, BlueprintStatus::Validated | BlueprintStatus::Invalid);
        let version = match known {
            None => 0,
            Some(known) if is_final && known.record.status != record.status => known.version + 1,
            Some(_) => return Ok(()),
        };
        self.keep_blob("graph", record.graph.digest, graph)?;
        let key = (&record.id.0.0, version);
        let sealed = seal("blueprints", &key, record)?;
        self.blueprints.insert(key, sealed.as_slice())?;
        self.committed.n_records += 1;
        Ok(())
    }

    /// Writes a kernel's next version if it is news, signed if it was judged.
    pub(super) fn add_kernel(
        &mut self,
        record: &KernelRecord,
        program: Option<&[u8]>,
    ) -> Result<(), LibraryErrorKind> {
        let known = latest::<KernelRecord>("kernels", &self.kernels, &record.id.0)?;
        let mut record = record.clone();
        record.program_len_bytes = match program {
            Some(bytes) => Some(bytes.len() as u64),
            None => known.as_ref().and_then(|known| known.record.program_len_bytes),
        };
        let Some(mut next) = news(known.as_ref().map(|it| &it.record), record) else {
            return Ok(());
        };
        if let Some(bytes) = program {
            self.keep_blob("program", next.program, bytes)?;
        }
        next.signature = (next.status != KernelStatus::PendingBenchmarking)
            .then(|| self.pair.sign(&next.signed_digest()));
        self.insert_kernel(known, &next)
    }

    /// Writes `next` as it is, as the version after `known`.
    pub(super) fn insert_kernel(
        &mut self,
        known: Option<Versioned<KernelRecord>>,
        next: &KernelRecord,
    ) -> Result<(), LibraryErrorKind> {
        check_tags(&next.tags)?;
        if self
            .blueprints
            .range((&next.blueprint.0.0, 0)..=(&next.blueprint.0.0, u32::MAX))?
            .next()
            .is_none()
        {
            return Err(LibraryErrorKind::Missing { what: "blueprint", id: next.blueprint.0 });
        }
        let version = known.as_ref().map_or(0, |known| known.version + 1);
        if let Some(known) = &known {
            self.unindex(&known.record)?;
        }
        self.index(next)?;
        let key = (&next.id.0.0, version);
        let sealed = seal("kernels", &key, next)?;
        self.kernels.insert(key, sealed.as_slice())?;
        self.committed.n_records += 1;
        Ok(())
    }

    /// Writes what became of a kernel, once.
    pub(super) fn add_deployment(
        &mut self,
        record: &DeploymentRecord,
    ) -> Result<(), LibraryErrorKind> {
        let kernel = &record.kernel.0;
        if self.kernels.range((&kernel.0, 0)..=(&kernel.0, u32::MAX))?.next().is_none() {
            return Err(LibraryErrorKind::Missing { what: "kernel", id: *kernel });
        }
        let digest = Digest::of_value(record);
        let key = (&kernel.0, &digest.0);
        if self.deployments.get(key)?.is_none() {
            let sealed = seal("deployments", &key, record)?;
            self.deployments.insert(key, sealed.as_slice())?;
            self.committed.n_records += 1;
        }
        Ok(())
    }

    /// Keeps `bytes`, which have to be what `expected` names.
    pub(super) fn keep_blob(
        &mut self,
        what: &'static str,
        expected: Digest,
        bytes: &[u8],
    ) -> Result<BlobRef, LibraryErrorKind> {
        let is_new = self.blobs.get((&expected.0, 0))?.is_none();
        let found = Digest::of(bytes);
        if found != expected {
            return Err(LibraryErrorKind::Mismatch { what, expected, found });
        }
        if is_new {
            self.committed.n_blob_bytes += bytes.len() as u64;
        }
        write_blob(&mut self.blobs, bytes)
    }

    /// Notes that `run` wrote, if it did.
    pub(super) fn finish(&mut self, run: &str) -> Result<Option<Committed>, LibraryErrorKind> {
        if self.committed == Committed::default() {
            return Ok(None);
        }
        self.note_run(run)?;
        Ok(Some(self.committed))
    }

    /// Gives `run` its place among the runs that wrote.
    pub(super) fn note_run(&mut self, run: &str) -> Result<(), LibraryErrorKind> {
        if self.runs.get(run)?.is_none() {
            let mut next_seq = 0;
            for row in self.runs.iter()? {
                let (key, value) = row?;
                let row: RunRow = unseal("runs", &key.value(), value.value())?;
                next_seq = next_seq.max(row.seq + 1);
            }
            let sealed = seal("runs", &run, &RunRow { seq: next_seq })?;
            self.runs.insert(run, sealed.as_slice())?;
        }
        Ok(())
    }

    /// Adds the rows by which `record` is found.
    fn index(&mut self, record: &KernelRecord) -> Result<(), LibraryErrorKind> {
        let id = &record.id.0.0;
        self.by_contract.insert((contract_key(record.contract).as_str(), id), ())?;
        self.by_blueprint.insert((&record.blueprint.0.0, id), ())?;
        for tag in &record.tags {
            self.by_tag.insert((tag.as_str(), id), ())?;
        }
        if let Some(latency_ns) = record.latency_ns() {
            self.by_latency.insert((latency_ns, id), ())?;
        }
        Ok(())
    }

    /// Removes the rows by which `record` was found.
    pub(super) fn unindex(&mut self, record: &KernelRecord) -> Result<(), LibraryErrorKind> {
        let id = &record.id.0.0;
        self.by_contract.remove((contract_key(record.contract).as_str(), id))?;
        self.by_blueprint.remove((&record.blueprint.0.0, id))?;
        for tag in &record.tags {
            self.by_tag.remove((tag.as_str(), id))?;
        }
        if let Some(latency_ns) = record.latency_ns() {
            self.by_latency.remove((latency_ns, id))?;
        }
        Ok(())
    }
}

/// A contract as a key of `by_contract`, such as `{"vector":{"width":64}}`.
pub(super) fn contract_key(contract: Contract) -> String {
    serde_json::to_string(&contract).expect("a contract serialises")
}

/// The version to write after `known`, if `record` says something that `known` does not.
///
/// - A kernel that waits for its verdict is news only where it is unknown, or its program is.
/// - A record that was not measured keeps what an earlier version with the same verdict measured.
/// - A run that measures a kernel again after a resume does not repeat its verdict.
fn news(known: Option<&KernelRecord>, mut record: KernelRecord) -> Option<KernelRecord> {
    record.tags.sort();
    record.tags.dedup();
    let Some(known) = known else { return Some(record) };
    let brings_program = known.program_len_bytes.is_none() && record.program_len_bytes.is_some();
    if record.status == KernelStatus::PendingBenchmarking {
        let filled = KernelRecord { program_len_bytes: record.program_len_bytes, ..known.clone() };
        return brings_program.then_some(filled);
    }
    if record.status == known.status {
        let is_bare = record.measured.is_none();
        record.safety = record.safety.or_else(|| known.safety.clone());
        if is_bare {
            record.measured.clone_from(&known.measured);
            record.tags.clone_from(&known.tags);
        }
        if record.reasons.is_empty() {
            record.reasons.clone_from(&known.reasons);
        }
        let is_again = record.run == known.run && known.measured.is_some();
        if is_again && record.reasons == known.reasons && !brings_program {
            return None;
        }
    }
    let alike =
        KernelRecord { run: known.run.clone(), signature: known.signature, ..record.clone() };
    (alike != *known).then_some(record)
}

fn check_tags(tags: &[String]) -> Result<(), LibraryErrorKind> {
    let too_large = |what, found: usize, limit: usize| {
        Err(LibraryErrorKind::TooLarge { what, found: found as u64, limit: limit as u64 })
    };
    if TAGS_MAX < tags.len() {
        return too_large("tags", tags.len(), TAGS_MAX);
    }
    match tags.iter().map(String::len).max() {
        Some(longest) if TAG_MAX_BYTES < longest => too_large("tag bytes", longest, TAG_MAX_BYTES),
        _ => Ok(()),
    }
}
