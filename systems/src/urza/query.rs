//! Which kernels fit: by contract, limits and tags.

use std::{cmp::Reverse, collections::BTreeSet};

use esper_engine::world::kernel::KernelStatus;
use esper_nn::{contract::Contract, digest::Digest};
use redb::{ReadTransaction, ReadableTable};

use super::{
    error::{LibraryError, LibraryErrorKind},
    record::KernelRecord,
    rows::{ids, latest},
    schema::{BY_CONTRACT, BY_LATENCY, BY_TAG, Id, KERNELS},
    store::LibraryStore,
    write::contract_key,
};

/// What a kernel must be, may be and must not be. The default asks for any kernel at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelQuery {
    /// The shape it keeps.
    pub contract: Option<Contract>,
    /// Where it runs, such as `cpu`.
    pub device: Option<String>,
    /// How far it has come.
    pub status: Option<KernelStatus>,
    /// Parameters, at most.
    pub params_max_elems: Option<u64>,
    /// Forward and backward time of the measured batch, at most. A kernel that was not measured does not fit.
    pub latency_max_ns: Option<u64>,
    /// Working memory of one example, at most.
    pub workspace_max_bytes: Option<u64>,
    /// Forward and backward arithmetic of one example, at most.
    pub flops_max: Option<u64>,
    /// Tags it must carry.
    pub required_tags: BTreeSet<String>,
    /// Tags of which it had better carry many.
    pub preferred_tags: BTreeSet<String>,
    /// Tags it must not carry.
    pub excluded_tags: BTreeSet<String>,
}

impl KernelQuery {
    /// Whether `kernel` is what is asked for.
    pub fn accepts(&self, kernel: &KernelRecord) -> bool {
        let within = |limit: Option<u64>, found: u64| limit.is_none_or(|limit| found <= limit);
        let carries = |tag: &String| kernel.tags.contains(tag);
        self.contract.is_none_or(|contract| contract == kernel.contract)
            && self.device.as_ref().is_none_or(|device| *device == kernel.device)
            && self.status.is_none_or(|status| status == kernel.status)
            && within(self.params_max_elems, kernel.params_elems)
            && within(self.workspace_max_bytes, kernel.workspace_bytes)
            && within(self.flops_max, kernel.flops_forward.saturating_add(kernel.flops_backward))
            && within(self.latency_max_ns, kernel.latency_ns().unwrap_or(u64::MAX))
            && self.required_tags.iter().all(carries)
            && !self.excluded_tags.iter().any(carries)
    }

    /// Most preferred tags first, then the fastest, those not measured last, then by name: a total order.
    pub fn rank(&self, kernel: &KernelRecord) -> impl Ord + use<> {
        let n_preferred =
            kernel.tags.iter().filter(|tag| self.preferred_tags.contains(*tag)).count();
        (Reverse(n_preferred), kernel.latency_ns().unwrap_or(u64::MAX), kernel.id)
    }
}

impl LibraryStore {
    /// The newest versions of the kernels that `query` accepts, best first.
    ///
    /// # Errors
    ///
    /// Fails when the library can not be read.
    pub fn query(&self, query: &KernelQuery) -> Result<Vec<KernelRecord>, LibraryError> {
        self.read(|tx| select(tx, query))
    }
}

/// What [`LibraryStore::query`] answers, within a transaction.
pub(super) fn select(
    tx: &ReadTransaction,
    query: &KernelQuery,
) -> Result<Vec<KernelRecord>, LibraryErrorKind> {
    let table = tx.open_table(KERNELS)?;
    let mut found = Vec::new();
    for id in candidates(tx, query)? {
        let kernel = latest::<KernelRecord>("kernels", &table, &id)?;
        // A row that leads nowhere is for `verify` to report.
        found.extend(kernel.map(|it| it.record).filter(|kernel| query.accepts(kernel)));
    }
    found.sort_by_cached_key(|kernel| query.rank(kernel));
    Ok(found)
}

/// Ids worth reading: those that the narrowest secondary table names, or all.
fn candidates(tx: &ReadTransaction, query: &KernelQuery) -> Result<Vec<Digest>, LibraryErrorKind> {
    if let Some(contract) = query.contract {
        return named(&tx.open_table(BY_CONTRACT)?, &contract_key(contract));
    }
    if let Some(tag) = query.required_tags.first() {
        return named(&tx.open_table(BY_TAG)?, tag);
    }
    if let Some(latency_max_ns) = query.latency_max_ns {
        let table = tx.open_table(BY_LATENCY)?;
        let range = table.range((0, &[0; 32])..=(latency_max_ns, &[0xff; 32]))?;
        return range.map(|row| Ok(Digest(*row?.0.value().1))).collect();
    }
    ids(&tx.open_table(KERNELS)?)
}

fn named(
    table: &impl ReadableTable<(&'static str, Id), ()>,
    name: &str,
) -> Result<Vec<Digest>, LibraryErrorKind> {
    let range = table.range((name, &[0; 32])..=(name, &[0xff; 32]))?;
    range.map(|row| Ok(Digest(*row?.0.value().1))).collect()
}
