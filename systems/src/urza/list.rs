//! What the library holds, for people: `esper library ls` and `show`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use esper_engine::{
    graph::NetworkGraph,
    world::{
        blueprint::BlueprintStatus,
        ids::{BlueprintId, KernelId},
        kernel::KernelStatus,
        stage::Stage,
    },
};
use esper_nn::{contract::Contract, digest::Digest};
use redb::{ReadTransaction, ReadableTable};
use serde::Serialize;

use super::{
    blob::read_blob,
    error::{LibraryError, LibraryErrorKind},
    query::{KernelQuery, select},
    record::{BlueprintRecord, DeploymentRecord, KernelRecord, Versioned},
    rows::{deployments_of, ids, latest, versions},
    schema::{BLOBS, BLUEPRINTS, BY_BLUEPRINT, DEPLOYMENTS, KERNELS},
    store::LibraryStore,
};

/// Names an ambiguous prefix is answered with, at most.
const CANDIDATES_MAX: usize = 8;

/// Everything a library holds that a query accepts.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Listing {
    /// By name: those that have a kernel in [`Self::kernels`], or all when the query asks for any kernel.
    pub blueprints: Vec<BlueprintRow>,
    /// Best first.
    pub kernels: Vec<KernelRow>,
}

/// A blueprint in a table.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct BlueprintRow {
    /// Its name.
    pub id: BlueprintId,
    /// The family's name.
    pub family: String,
    /// The shape it keeps.
    pub contract: Contract,
    /// How far it has come.
    pub status: BlueprintStatus,
    /// Its newest version.
    pub version: u32,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Forward arithmetic of one example.
    pub flops_per_example: u64,
    /// Kernels compiled from it.
    pub n_kernels: u64,
    /// The run that wrote the newest version.
    pub run: String,
}

/// A kernel in a table.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct KernelRow {
    /// Its name.
    pub id: KernelId,
    /// What it was compiled from.
    pub blueprint: BlueprintId,
    /// The blueprint's family.
    pub family: String,
    /// The shape it keeps.
    pub contract: Contract,
    /// Where it runs.
    pub device: String,
    /// The variant's name.
    pub variant: String,
    /// How far it has come.
    pub status: KernelStatus,
    /// Its newest version.
    pub version: u32,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Forward and backward arithmetic of one example.
    pub flops_per_example: u64,
    /// Working memory of one example, in bytes.
    pub workspace_bytes: u64,
    /// Forward and backward time of the measured batch.
    pub latency_ns: Option<u64>,
    /// Seeds it ran in that have ended.
    pub n_deployments: u64,
    /// Of those, seeds that were fossilised.
    pub n_fossilized: u64,
    /// Mean drop in validation loss over the deployments that were measured against a twin.
    pub gain_mean: Option<f64>,
    /// What Urabrask calls it.
    pub tags: Vec<String>,
    /// The run that wrote the newest version.
    pub run: String,
}

/// All there is to know of one id.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Details {
    /// It names a blueprint.
    Blueprint(Box<BlueprintDetails>),
    /// It names a kernel.
    Kernel(Box<KernelDetails>),
}

/// All there is to know of a blueprint.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct BlueprintDetails {
    /// Oldest first.
    pub versions: Vec<Versioned<BlueprintRecord>>,
    /// Its nodes in topological order, as `name: op`.
    pub nodes: Vec<String>,
    /// Its kernels, best first.
    pub kernels: Vec<KernelRow>,
}

/// All there is to know of a kernel.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct KernelDetails {
    /// The blueprint's family.
    pub family: String,
    /// Oldest first.
    pub versions: Vec<Versioned<KernelRecord>>,
    /// Whether the newest version's signature fits it; `None` when there is none.
    pub is_signature_valid: Option<bool>,
    /// What became of it, in the order of run, host and seed.
    pub deployments: Vec<DeploymentRecord>,
}

/// What the library at `path` holds that `query` accepts. A run may write to it meanwhile.
///
/// # Errors
///
/// Fails when there is no library at `path` or it can not be read.
pub fn ls(path: impl AsRef<Path>, query: &KernelQuery) -> Result<Listing, LibraryError> {
    LibraryStore::open_read_only(path)?.list(query)
}

/// All that the library at `path` knows of the one blueprint or kernel whose id begins with `prefix`.
///
/// # Errors
///
/// Fails when there is no library at `path`, it can not be read, or `prefix` fits none or several.
pub fn show(path: impl AsRef<Path>, prefix: &str) -> Result<Details, LibraryError> {
    LibraryStore::open_read_only(path)?.show(prefix)
}

impl LibraryStore {
    /// What `query` accepts, as tables.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read.
    pub fn list(&self, query: &KernelQuery) -> Result<Listing, LibraryError> {
        self.read(|tx| {
            let kernels = kernel_rows(tx, select(tx, query)?)?;
            let is_filtered = *query != KernelQuery::default();
            let mut blueprints = Vec::new();
            let table = tx.open_table(BLUEPRINTS)?;
            for id in ids(&table)? {
                if !is_filtered || kernels.iter().any(|kernel| kernel.blueprint.0 == id) {
                    blueprints.extend(blueprint_row(tx, BlueprintId(id))?);
                }
            }
            Ok(Listing { blueprints, kernels })
        })
    }

    /// All there is to know of the one id that begins with `prefix`.
    ///
    /// # Errors
    ///
    /// Fails when `prefix` fits none or several, and when the library can not be read.
    pub fn show(&self, prefix: &str) -> Result<Details, LibraryError> {
        self.read(|tx| match resolve(tx, prefix)? {
            (id, true) => Ok(Details::Blueprint(Box::new(blueprint_details(tx, BlueprintId(id))?))),
            (id, false) => Ok(Details::Kernel(Box::new(kernel_details(tx, KernelId(id))?))),
        })
    }

    /// The one id of a blueprint or kernel that begins with `prefix`.
    ///
    /// # Errors
    ///
    /// Fails when `prefix` fits none or several, and when the library can not be read.
    pub fn resolve(&self, prefix: &str) -> Result<Digest, LibraryError> {
        self.read(|tx| resolve(tx, prefix).map(|(id, _)| id))
    }
}

/// The id that begins with `prefix`, and whether it is a blueprint's.
fn resolve(tx: &ReadTransaction, prefix: &str) -> Result<(Digest, bool), LibraryErrorKind> {
    let wanted = prefix.to_ascii_lowercase();
    let mut found = Vec::new();
    for (table, is_blueprint) in
        [(tx.open_table(BLUEPRINTS)?, true), (tx.open_table(KERNELS)?, false)]
    {
        let fitting = ids(&table)?.into_iter().filter(|id| id.to_string().starts_with(&wanted));
        found.extend(fitting.map(|id| (id, is_blueprint)));
    }
    match found.as_slice() {
        [] => Err(LibraryErrorKind::NoMatch { prefix: prefix.to_owned() }),
        [one] => Ok(*one),
        [..] => {
            let candidates = found.iter().take(CANDIDATES_MAX).map(|(id, _)| id.short()).collect();
            Err(LibraryErrorKind::Ambiguous { prefix: prefix.to_owned(), candidates })
        }
    }
}

fn blueprint_details(
    tx: &ReadTransaction,
    id: BlueprintId,
) -> Result<BlueprintDetails, LibraryErrorKind> {
    let versions: Vec<Versioned<BlueprintRecord>> =
        versions("blueprints", &tx.open_table(BLUEPRINTS)?, &id.0)?;
    let newest =
        versions.last().ok_or(LibraryErrorKind::Missing { what: "blueprint", id: id.0 })?;
    let graph = newest.record.graph;
    let bytes = read_blob(&tx.open_table(BLOBS)?, graph)?;
    let bytes = bytes.ok_or(LibraryErrorKind::Missing { what: "blob", id: graph.digest })?;
    let nodes = match postcard::from_bytes::<NetworkGraph>(&bytes) {
        Ok(graph) => {
            graph.nodes().map(|(_, node)| format!("{}: {:?}", node.name, node.op)).collect()
        }
        Err(error) => vec![format!("the graph can not be decoded: {error}")],
    };
    let query = KernelQuery { contract: Some(newest.record.contract), ..KernelQuery::default() };
    let mut kernels = select(tx, &query)?;
    kernels.retain(|kernel| kernel.blueprint == id);
    Ok(BlueprintDetails { kernels: kernel_rows(tx, kernels)?, versions, nodes })
}

fn kernel_details(tx: &ReadTransaction, id: KernelId) -> Result<KernelDetails, LibraryErrorKind> {
    let versions: Vec<Versioned<KernelRecord>> =
        versions("kernels", &tx.open_table(KERNELS)?, &id.0)?;
    let newest = versions.last().ok_or(LibraryErrorKind::Missing { what: "kernel", id: id.0 })?;
    let signature = newest.record.signature;
    Ok(KernelDetails {
        family: family_of(tx, newest.record.blueprint)?,
        is_signature_valid: signature.map(|it| it.is_valid_for(&newest.record.signed_digest())),
        deployments: deployments_of(&tx.open_table(DEPLOYMENTS)?, id)?,
        versions,
    })
}

fn blueprint_row(
    tx: &ReadTransaction,
    id: BlueprintId,
) -> Result<Option<BlueprintRow>, LibraryErrorKind> {
    let newest = latest::<BlueprintRecord>("blueprints", &tx.open_table(BLUEPRINTS)?, &id.0)?;
    let kernels = tx.open_table(BY_BLUEPRINT)?;
    let n_kernels = kernels.range((&id.0.0, &[0; 32])..=(&id.0.0, &[0xff; 32]))?.count() as u64;
    Ok(newest.map(|Versioned { version, record }| BlueprintRow {
        id,
        family: record.family,
        contract: record.contract,
        status: record.status,
        version,
        params_elems: record.params_elems,
        flops_per_example: record.flops_per_example,
        n_kernels,
        run: record.run,
    }))
}

fn kernel_rows(
    tx: &ReadTransaction,
    kernels: Vec<KernelRecord>,
) -> Result<Vec<KernelRow>, LibraryErrorKind> {
    let (table, deployments) = (tx.open_table(KERNELS)?, tx.open_table(DEPLOYMENTS)?);
    let mut families: BTreeMap<BlueprintId, String> = BTreeMap::new();
    let mut rows = Vec::with_capacity(kernels.len());
    for kernel in kernels {
        let family = match families.entry(kernel.blueprint) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(family_of(tx, kernel.blueprint)?).clone(),
        };
        let newest = table.range((&kernel.id.0.0, 0)..=(&kernel.id.0.0, u32::MAX))?.next_back();
        let version = newest.transpose()?.map_or(0, |(key, _)| key.value().1);
        rows.push(kernel_row(kernel, family, version, &deployments)?);
    }
    Ok(rows)
}

fn kernel_row(
    kernel: KernelRecord,
    family: String,
    version: u32,
    deployments: &impl ReadableTable<(super::schema::Id, super::schema::Id), super::schema::Sealed>,
) -> Result<KernelRow, LibraryErrorKind> {
    let deployments = deployments_of(deployments, kernel.id)?;
    let n_fossilized = deployments.iter().filter(|it| it.outcome == Stage::Fossilized).count();
    let gains: Vec<f64> = deployments.iter().filter_map(|it| it.gain).map(|it| it.mean).collect();
    let gain_mean = (!gains.is_empty()).then(|| gains.iter().sum::<f64>() / gains.len() as f64);
    Ok(KernelRow {
        id: kernel.id,
        blueprint: kernel.blueprint,
        family,
        contract: kernel.contract,
        status: kernel.status,
        version,
        params_elems: kernel.params_elems,
        flops_per_example: kernel.flops_forward.saturating_add(kernel.flops_backward),
        workspace_bytes: kernel.workspace_bytes,
        latency_ns: kernel.latency_ns(),
        n_deployments: deployments.len() as u64,
        n_fossilized: n_fossilized as u64,
        gain_mean,
        device: kernel.device,
        variant: kernel.variant,
        tags: kernel.tags,
        run: kernel.run,
    })
}

fn family_of(tx: &ReadTransaction, id: BlueprintId) -> Result<String, LibraryErrorKind> {
    let newest = latest::<BlueprintRecord>("blueprints", &tx.open_table(BLUEPRINTS)?, &id.0)?;
    newest
        .map(|it| it.record.family)
        .ok_or(LibraryErrorKind::Missing { what: "blueprint", id: id.0 })
}
