//! The tables, and how a value is sealed into one.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | name | `format`, `signing_key` |
//! | `runs` | run | [`RunRow`] |
//! | `blueprints` | blueprint, version | [`BlueprintRecord`](super::BlueprintRecord) |
//! | `kernels` | kernel, version | [`KernelRecord`](super::KernelRecord) |
//! | `deployments` | kernel, digest of the record | [`DeploymentRecord`](super::DeploymentRecord) |
//! | `blobs` | digest of the whole, part | at most [`BLOB_PART_MAX_BYTES`] bytes |
//! | `by_contract` `by_tag` `by_latency` `by_blueprint` | what is asked for, kernel | - |
//!
//! A sealed value is `BLAKE3(table, key, body) || body` with `body` in postcard form: a byte that changes, or a
//! row that moves, is found when it is read. Versions only ever grow; [`super::gc()`] alone removes any.

use esper_nn::digest::Digest;
use redb::TableDefinition;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::error::{Damage, LibraryErrorKind};

/// What the tables above mean; a library of another format is refused.
pub const FORMAT: u32 = 2;
/// A blob is split into parts of at most this many bytes: redb rounds a value up, together with its header, to
/// the next power of two, so a part of 65,536 would take 131,072.
pub const BLOB_PART_MAX_BYTES: usize = 65_000;
/// Bytes of a graph or a program, at most; the largest module a scenario allows is far below.
pub const BLOB_MAX_BYTES: usize = 64 << 20;
/// Bytes of one sealed record, at most.
pub const RECORD_MAX_BYTES: usize = 1 << 20;

/// A digest as a key.
pub(super) type Id = &'static [u8; 32];
/// A blueprint or kernel and its version.
pub(super) type VersionKey = (Id, u32);
/// A value as sealed.
pub(super) type Sealed = &'static [u8];

pub(super) const META: TableDefinition<&str, Sealed> = TableDefinition::new("meta");
pub(super) const RUNS: TableDefinition<&str, Sealed> = TableDefinition::new("runs");
pub(super) const BLUEPRINTS: TableDefinition<VersionKey, Sealed> =
    TableDefinition::new("blueprints");
pub(super) const KERNELS: TableDefinition<VersionKey, Sealed> = TableDefinition::new("kernels");
pub(super) const DEPLOYMENTS: TableDefinition<(Id, Id), Sealed> =
    TableDefinition::new("deployments");
pub(super) const BLOBS: TableDefinition<(Id, u32), &[u8]> = TableDefinition::new("blobs");
pub(super) const BY_CONTRACT: TableDefinition<(&str, Id), ()> = TableDefinition::new("by_contract");
pub(super) const BY_TAG: TableDefinition<(&str, Id), ()> = TableDefinition::new("by_tag");
pub(super) const BY_LATENCY: TableDefinition<(u64, Id), ()> = TableDefinition::new("by_latency");
pub(super) const BY_BLUEPRINT: TableDefinition<(Id, Id), ()> = TableDefinition::new("by_blueprint");

/// Key of the format's number in `meta`.
pub(super) const META_FORMAT: &str = "format";
/// Key of the signing key in `meta`.
pub(super) const META_SIGNING_KEY: &str = "signing_key";

/// A run that wrote to the library.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunRow {
    /// Its place in the order in which runs first wrote, from 0.
    pub seq: u64,
}

/// A key as the bytes its seal covers, and as people read it.
pub(super) trait SealKey {
    /// The bytes.
    fn seal_bytes(&self) -> Vec<u8>;
    /// For people.
    fn describe(&self) -> String;
}

impl SealKey for &str {
    fn seal_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn describe(&self) -> String {
        (*self).to_owned()
    }
}

impl SealKey for (&[u8; 32], u32) {
    fn seal_bytes(&self) -> Vec<u8> {
        [self.0.as_slice(), &self.1.to_be_bytes()].concat()
    }

    fn describe(&self) -> String {
        format!("{} version {}", Digest(*self.0), self.1)
    }
}

impl SealKey for (&[u8; 32], &[u8; 32]) {
    fn seal_bytes(&self) -> Vec<u8> {
        [self.0.as_slice(), self.1].concat()
    }

    fn describe(&self) -> String {
        format!("{} / {}", Digest(*self.0), Digest(*self.1))
    }
}

/// `value` as it is stored in `table` under `key`.
///
/// # Errors
///
/// Fails above [`RECORD_MAX_BYTES`].
pub(super) fn seal<T: Serialize>(
    table: &str,
    key: &impl SealKey,
    value: &T,
) -> Result<Vec<u8>, LibraryErrorKind> {
    let body = postcard::to_stdvec(value).expect("plain data serialises");
    if RECORD_MAX_BYTES < body.len() + 32 {
        return Err(LibraryErrorKind::TooLarge {
            what: "record bytes",
            found: body.len() as u64 + 32,
            limit: RECORD_MAX_BYTES as u64,
        });
    }
    let mut sealed = seal_digest(table, key, &body).0.to_vec();
    sealed.extend_from_slice(&body);
    Ok(sealed)
}

/// The value that [`seal`] stored.
///
/// # Errors
///
/// Names the row when its bytes are not what was stored.
pub(super) fn unseal<T: DeserializeOwned>(
    table: &'static str,
    key: &impl SealKey,
    sealed: &[u8],
) -> Result<T, LibraryErrorKind> {
    let damaged =
        |what: String| Err(LibraryErrorKind::Damaged(Damage { table, key: key.describe(), what }));
    let Some((digest, body)) = sealed.split_at_checked(32) else {
        return damaged(format!("{} bytes are too few for a record", sealed.len()));
    };
    let found = seal_digest(table, key, body);
    if found.0 != digest {
        return damaged(format!(
            "its {} bytes do not have the digest they were sealed with",
            body.len()
        ));
    }
    match postcard::from_bytes(body) {
        Ok(value) => Ok(value),
        Err(error) => damaged(format!("it can not be decoded: {error}")),
    }
}

/// Lengths go first, so that no two triples have the same bytes.
fn seal_digest(table: &str, key: &impl SealKey, body: &[u8]) -> Digest {
    let key = key.seal_bytes();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(table.len() as u64).to_le_bytes()).update(table.as_bytes());
    hasher.update(&(key.len() as u64).to_le_bytes()).update(&key).update(body);
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_is_bound_to_its_row() {
        let sealed = seal("runs", &"a", &RunRow { seq: 7 }).unwrap();
        assert_eq!(unseal::<RunRow>("runs", &"a", &sealed).unwrap(), RunRow { seq: 7 });
        assert!(unseal::<RunRow>("runs", &"b", &sealed).is_err());
        assert!(unseal::<RunRow>("meta", &"a", &sealed).is_err());
        for place in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[place] ^= 1;
            assert!(unseal::<RunRow>("runs", &"a", &bent).is_err(), "byte {place}");
        }
        assert!(unseal::<RunRow>("runs", &"a", &sealed[..31]).is_err());
    }
}
