//! Garbage collection: what no run needs any more.

use std::{collections::BTreeSet, fs, path::Path};

use esper_engine::world::kernel::KernelStatus;
use esper_nn::digest::Digest;
use redb::ReadableTable;
use serde::Serialize;

use super::{
    error::{LibraryError, LibraryErrorKind},
    record::{BlueprintRecord, KernelRecord, Versioned},
    rows::{ids, versions},
    schema::{RunRow, unseal},
    store::LibraryStore,
    write::Writer,
};

/// What to spare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// Runs, latest first, of which everything is kept: superseded versions and rejected kernels too.
    pub keep_runs: usize,
}

/// What was removed.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Superseded versions of blueprints.
    pub n_blueprint_versions: u64,
    /// Superseded versions of kernels that stay.
    pub n_kernel_versions: u64,
    /// Rejected kernels, with every version.
    pub n_kernels: u64,
    /// Deployments of kernels that went.
    pub n_deployments: u64,
    /// Graphs and programs that nothing names any more.
    pub n_blobs: u64,
    /// Length of the file before.
    pub before_bytes: u64,
    /// Length of the file after.
    pub after_bytes: u64,
}

/// Removes from the library at `path` superseded versions, rejected kernels, and blobs that are no longer named;
/// the newest version of everything else stays.
///
/// # Errors
///
/// Fails when there is no library at `path`, when a run has it open, when it is damaged, and when the disk fails. The library is
/// unchanged then.
pub fn gc(path: impl AsRef<Path>, options: GcOptions) -> Result<GcReport, LibraryError> {
    let path = path.as_ref();
    let len_bytes = || {
        let metadata = fs::metadata(path);
        metadata.map(|it| it.len()).map_err(|error| LibraryErrorKind::from(error).at(path))
    };
    let before_bytes = len_bytes()?;
    let mut store = LibraryStore::open(path)?;
    let report = store.write(|writer| writer.collect(options))?;
    store.compact()?;
    drop(store);
    Ok(GcReport { before_bytes, after_bytes: len_bytes()?, ..report })
}

impl Writer<'_> {
    /// Removes what `options` do not spare; `None` when there is nothing to remove.
    fn collect(&mut self, options: GcOptions) -> Result<Option<GcReport>, LibraryErrorKind> {
        let kept = self.latest_runs(options.keep_runs)?;
        let mut report = GcReport::default();
        let mut named = BTreeSet::new();
        let mut runs = kept.clone();
        for id in ids(&self.blueprints)? {
            let all = versions::<BlueprintRecord>("blueprints", &self.blueprints, &id)?;
            let stale = superseded(&all, |record| kept.contains(&record.run));
            report.n_blueprint_versions += stale.len() as u64;
            for version in &stale {
                self.blueprints.remove((&id.0, *version))?;
            }
            for it in all.iter().filter(|it| !stale.contains(&it.version)) {
                named.insert(it.record.graph.digest);
                runs.insert(it.record.run.clone());
            }
        }
        for id in ids(&self.kernels)? {
            let all = versions::<KernelRecord>("kernels", &self.kernels, &id)?;
            if is_garbage(&all, &kept) {
                self.remove_kernel(&all, &mut report)?;
                continue;
            }
            let stale = superseded(&all, |record| kept.contains(&record.run));
            report.n_kernel_versions += stale.len() as u64;
            for version in &stale {
                self.kernels.remove((&id.0, *version))?;
            }
            for it in all.iter().filter(|it| !stale.contains(&it.version)) {
                named.insert(it.record.program);
                runs.insert(it.record.run.clone());
            }
        }
        self.remove_blobs(&named, &mut report)?;
        self.runs.retain(|run, _| runs.contains(run))?;
        Ok((report != GcReport::default()).then_some(report))
    }

    /// The names of the `n` runs that began to write last.
    fn latest_runs(&self, n: usize) -> Result<BTreeSet<String>, LibraryErrorKind> {
        let mut runs = Vec::new();
        for row in self.runs.iter()? {
            let (key, value) = row?;
            let RunRow { seq } = unseal("runs", &key.value(), value.value())?;
            runs.push((seq, key.value().to_owned()));
        }
        runs.sort();
        Ok(runs.into_iter().rev().take(n).map(|(_, run)| run).collect())
    }

    fn remove_kernel(
        &mut self,
        all: &[Versioned<KernelRecord>],
        report: &mut GcReport,
    ) -> Result<(), LibraryErrorKind> {
        for it in all {
            self.unindex(&it.record)?;
            self.kernels.remove((&it.record.id.0.0, it.version))?;
            let id = it.record.id.0.0;
            let range = (&id, &[0; 32])..=(&id, &[0xff; 32]);
            for row in self.deployments.extract_from_if(range, |_, _| true)? {
                row?;
                report.n_deployments += 1;
            }
        }
        report.n_kernels += 1;
        Ok(())
    }

    fn remove_blobs(
        &mut self,
        named: &BTreeSet<Digest>,
        report: &mut GcReport,
    ) -> Result<(), LibraryErrorKind> {
        for row in self.blobs.extract_if(|(digest, _), _| !named.contains(&Digest(*digest)))? {
            let (key, _) = row?;
            report.n_blobs += u64::from(key.value().1 == 0);
        }
        Ok(())
    }
}

/// Whether a kernel was refused, and no run that is kept knows it.
fn is_garbage(all: &[Versioned<KernelRecord>], kept: &BTreeSet<String>) -> bool {
    let is_rejected = all.last().is_some_and(|it| it.record.status == KernelStatus::Rejected);
    is_rejected && !all.iter().any(|it| kept.contains(&it.record.run))
}

/// Versions that a newer one replaces and `is_kept` does not spare.
fn superseded<T>(all: &[Versioned<T>], is_kept: impl Fn(&T) -> bool) -> BTreeSet<u32> {
    let older = all.split_last().map_or(&[][..], |(_, older)| older);
    older.iter().filter(|it| !is_kept(&it.record)).map(|it| it.version).collect()
}
