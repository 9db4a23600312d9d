//! Export and import: how a library's content moves to another.

use std::{collections::BTreeSet, path::Path};

use esper_engine::{
    program::PIPELINE_VERSION,
    world::{
        ids::{BlueprintId, KernelId},
        kernel::KernelStatus,
    },
};
use esper_nn::digest::Digest;
use redb::ReadTransaction;
use serde::Serialize;

use super::{
    blob::read_blob,
    bundle::Bundle,
    check::{blueprint_faults, kernel_faults},
    error::{LibraryError, LibraryErrorKind},
    file::guarded,
    record::{BlobRef, BlueprintRecord, KernelRecord},
    rows::{deployments_of, ids, latest},
    schema::{BLOBS, BLUEPRINTS, DEPLOYMENTS, KERNELS},
    signature::PublicKey,
    store::LibraryStore,
    write::Writer,
};

/// What an export wrote, or an import added.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Blueprints.
    pub n_blueprints: u64,
    /// Kernels.
    pub n_kernels: u64,
    /// Deployments.
    pub n_deployments: u64,
    /// Who vouches for the kernels in the file: public keys, in order.
    pub signers: Vec<PublicKey>,
}

/// Writes to the new file `to` the newest versions of the blueprints and kernels in `wanted`, or of all when it is empty; with a
/// blueprint go its kernels, with a kernel its blueprint, what became of it, and every byte they name.
///
/// # Errors
///
/// Fails when there is no library at `path` or it can not be read, when an id is unknown, when `to` exists or can not be written.
pub fn export(
    path: impl AsRef<Path>,
    to: impl AsRef<Path>,
    wanted: &[Digest],
) -> Result<Transferred, LibraryError> {
    let to = to.as_ref();
    let bundle = LibraryStore::open_read_only(path)?.read(|tx| gather(tx, wanted))?;
    bundle.write(to).map_err(|kind| kind.at(to))?;
    Ok(Transferred {
        n_blueprints: bundle.head.blueprints.len() as u64,
        n_kernels: bundle.head.kernels.len() as u64,
        n_deployments: bundle.head.deployments.len() as u64,
        signers: signers(&bundle),
    })
}

/// Adds the content of `from`, which [`export`] wrote, to the library at `path`.
///
/// Every digest, name and signature is checked and every graph and program decoded before anything is written.
/// Where the library has judged a kernel itself, its own verdict and measurements stand.
///
/// # Errors
///
/// Fails when `from` is not a bundle that can be trusted to the last byte, and when the library can not be written; it
/// is unchanged then.
pub fn import(path: impl AsRef<Path>, from: impl AsRef<Path>) -> Result<Transferred, LibraryError> {
    let from = from.as_ref();
    let bundle = guarded(from, || {
        let bundle = Bundle::read(from)?;
        check(&bundle)?;
        Ok(bundle)
    })?;
    let added = LibraryStore::open(path)?.write(|writer| writer.absorb(&bundle))?;
    Ok(Transferred { signers: signers(&bundle), ..added })
}

fn gather(tx: &ReadTransaction, wanted: &[Digest]) -> Result<Bundle, LibraryErrorKind> {
    let (blueprint_table, kernel_table) = (tx.open_table(BLUEPRINTS)?, tx.open_table(KERNELS)?);
    let (blob_table, deployment_table) = (tx.open_table(BLOBS)?, tx.open_table(DEPLOYMENTS)?);
    let mut unknown: BTreeSet<Digest> = wanted.iter().copied().collect();
    let mut bundle = Bundle::default();
    let mut blobs = BTreeSet::new();
    let mut blueprints = BTreeSet::new();
    for id in ids(&kernel_table)? {
        let newest = latest::<KernelRecord>("kernels", &kernel_table, &id)?;
        let kernel = newest.expect("its id was just read").record;
        let is_named = unknown.remove(&id);
        if wanted.is_empty() || is_named || wanted.contains(&kernel.blueprint.0) {
            blueprints.insert(kernel.blueprint.0);
            let len_bytes = kernel.program_len_bytes;
            blobs.extend(len_bytes.map(|len_bytes| (kernel.program, len_bytes)));
            bundle.head.deployments.extend(deployments_of(&deployment_table, KernelId(id))?);
            bundle.head.kernels.push(kernel);
        }
    }
    for id in ids(&blueprint_table)? {
        if wanted.is_empty() || unknown.remove(&id) || blueprints.contains(&id) {
            let newest = latest::<BlueprintRecord>("blueprints", &blueprint_table, &id)?;
            let blueprint = newest.expect("its id was just read").record;
            blobs.insert((blueprint.graph.digest, blueprint.graph.len_bytes));
            bundle.head.blueprints.push(blueprint);
        }
    }
    if let Some(id) = unknown.pop_first() {
        return Err(LibraryErrorKind::Missing { what: "blueprint or kernel", id });
    }
    for (digest, len_bytes) in blobs {
        let blob = BlobRef { digest, len_bytes };
        let bytes = read_blob(&blob_table, blob)?;
        let bytes = bytes.ok_or(LibraryErrorKind::Missing { what: "blob", id: digest })?;
        bundle.blobs.insert(digest, bytes);
        bundle.head.blobs.push(blob);
    }
    Ok(bundle)
}

/// Refuses a bundle with a record that is not what it says.
fn check(bundle: &Bundle) -> Result<(), LibraryErrorKind> {
    let bad = |what: &str, id: &Digest, fault: &str| {
        Err(LibraryErrorKind::BadBundle(format!("{what} {id}: {fault}")))
    };
    let mut blueprints = BTreeSet::<BlueprintId>::new();
    for record in &bundle.head.blueprints {
        let Some(graph) = bundle.blobs.get(&record.graph.digest) else {
            return bad("blueprint", &record.id.0, "its graph is missing");
        };
        if let Some(fault) = blueprint_faults(record, graph).first() {
            return bad("blueprint", &record.id.0, fault);
        }
        blueprints.insert(record.id);
    }
    let mut kernels = BTreeSet::<KernelId>::new();
    for record in &bundle.head.kernels {
        let program = bundle.blobs.get(&record.program);
        let fault = if !blueprints.contains(&record.blueprint) {
            Some("its blueprint is missing".to_owned())
        } else if program.map(|bytes| bytes.len() as u64) != record.program_len_bytes {
            Some("its program is missing or of another length".to_owned())
        } else if record.pipeline_version != PIPELINE_VERSION {
            let found = record.pipeline_version;
            Some(format!("compiled by pipeline {found}, and this is pipeline {PIPELINE_VERSION}"))
        } else {
            kernel_faults(record, program.map(Vec::as_slice)).into_iter().next()
        };
        if let Some(fault) = fault {
            return bad("kernel", &record.id.0, &fault);
        }
        kernels.insert(record.id);
    }
    match bundle.head.deployments.iter().find(|it| !kernels.contains(&it.kernel)) {
        Some(stray) => bad("deployment of", &stray.kernel.0, "the kernel is missing"),
        None => Ok(()),
    }
}

impl Writer<'_> {
    /// Adds what is new in a checked bundle; `None` when nothing is.
    fn absorb(&mut self, bundle: &Bundle) -> Result<Option<Transferred>, LibraryErrorKind> {
        let mut added = Transferred::default();
        for record in &bundle.head.blueprints {
            let before = self.committed().n_records;
            self.add_blueprint(record, &bundle.blobs[&record.graph.digest])?;
            added.n_blueprints += self.committed().n_records - before;
            self.note_run(&record.run)?;
        }
        for record in &bundle.head.kernels {
            let known = latest::<KernelRecord>("kernels", &self.kernels, &record.id.0)?;
            let is_judged_here = known.as_ref().is_some_and(|known| {
                known.record.status != KernelStatus::PendingBenchmarking
                    || record.status == KernelStatus::PendingBenchmarking
            });
            if is_judged_here {
                continue;
            }
            if let Some(program) = bundle.blobs.get(&record.program) {
                self.keep_blob("program", record.program, program)?;
            }
            self.insert_kernel(known, record)?;
            self.note_run(&record.run)?;
            added.n_kernels += 1;
        }
        for record in &bundle.head.deployments {
            let before = self.committed().n_records;
            self.add_deployment(record)?;
            added.n_deployments += self.committed().n_records - before;
        }
        Ok((added != Transferred::default()).then_some(added))
    }
}

fn signers(bundle: &Bundle) -> Vec<PublicKey> {
    let keys = bundle.head.kernels.iter().filter_map(|kernel| kernel.signature);
    let keys: BTreeSet<PublicKey> = keys.map(|signature| signature.signer).collect();
    keys.into_iter().collect()
}
