//! Reading rows: versions of an id, and what became of a kernel.

use esper_engine::world::{ids::KernelId, kernel::KernelStatus};
use esper_nn::digest::Digest;
use redb::ReadableTable;
use serde::de::DeserializeOwned;

use super::{
    error::LibraryErrorKind,
    record::{DeploymentRecord, KernelRecord, Versioned},
    schema::{Id, Sealed, VersionKey, unseal},
};

/// The newest version of `id`.
pub(super) fn latest<T: DeserializeOwned>(
    name: &'static str,
    table: &impl ReadableTable<VersionKey, Sealed>,
    id: &Digest,
) -> Result<Option<Versioned<T>>, LibraryErrorKind> {
    let Some(row) = table.range((&id.0, 0)..=(&id.0, u32::MAX))?.next_back() else {
        return Ok(None);
    };
    let (key, value) = row?;
    let record = unseal(name, &key.value(), value.value())?;
    Ok(Some(Versioned { version: key.value().1, record }))
}

/// Every version of `id`, oldest first.
pub(super) fn versions<T: DeserializeOwned>(
    name: &'static str,
    table: &impl ReadableTable<VersionKey, Sealed>,
    id: &Digest,
) -> Result<Vec<Versioned<T>>, LibraryErrorKind> {
    let rows = table.range((&id.0, 0)..=(&id.0, u32::MAX))?;
    rows.map(|row| {
        let (key, value) = row?;
        let record = unseal(name, &key.value(), value.value())?;
        Ok(Versioned { version: key.value().1, record })
    })
    .collect()
}

/// Every id in a table of versions, in order.
pub(super) fn ids(
    table: &impl ReadableTable<VersionKey, Sealed>,
) -> Result<Vec<Digest>, LibraryErrorKind> {
    let mut ids: Vec<Digest> = Vec::new();
    for row in table.iter()? {
        let id = Digest(*row?.0.value().0);
        if ids.last() != Some(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// What became of kernel `id`, in the order of run, host and seed.
pub(super) fn deployments_of(
    table: &impl ReadableTable<(Id, Id), Sealed>,
    id: KernelId,
) -> Result<Vec<DeploymentRecord>, LibraryErrorKind> {
    let (first, last) = ([0; 32], [0xff; 32]);
    let mut found = Vec::new();
    for row in table.range((&id.0.0, &first)..=(&id.0.0, &last))? {
        let (key, value) = row?;
        found.push(unseal::<DeploymentRecord>("deployments", &key.value(), value.value())?);
    }
    found.sort_by(|a, b| (&a.run, a.host, a.seed).cmp(&(&b.run, b.host, b.seed)));
    Ok(found)
}

/// The newest version of `id` that another run wrote, if that one was validated and its program is here.
pub(super) fn latest_of_others(
    table: &impl ReadableTable<VersionKey, Sealed>,
    id: KernelId,
    run: &str,
) -> Result<Option<KernelRecord>, LibraryErrorKind> {
    let found = versions::<KernelRecord>("kernels", table, &id.0)?;
    let newest = found.into_iter().rev().map(|it| it.record).find(|record| record.run != run);
    Ok(newest.filter(|record| {
        record.status == KernelStatus::Validated && record.program_len_bytes.is_some()
    }))
}
