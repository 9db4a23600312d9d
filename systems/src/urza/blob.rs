//! Blobs: graphs and programs, kept under the digest of their bytes and split into parts.

use esper_nn::digest::Digest;
use redb::{ReadableTable, Table};

use super::{
    error::{Damage, LibraryErrorKind},
    record::BlobRef,
    schema::{BLOB_MAX_BYTES, BLOB_PART_MAX_BYTES, Id},
};

/// Bytes of a part's own digest, which goes before it.
const PART_HEADER_BYTES: usize = 32;

/// Keeps `bytes`; parts that are there already are left alone.
///
/// An empty blob has one empty part, so that it differs from a blob that is not there.
///
/// # Errors
///
/// Fails above [`BLOB_MAX_BYTES`] and when the disk does.
pub(super) fn write_blob(
    table: &mut Table<'_, (Id, u32), &'static [u8]>,
    bytes: &[u8],
) -> Result<BlobRef, LibraryErrorKind> {
    check_len(bytes.len() as u64)?;
    let blob = BlobRef::of(bytes);
    let digest = blob.digest.0;
    if table.get((&digest, 0))?.is_some() {
        return Ok(blob);
    }
    let n_parts = bytes.len().div_ceil(BLOB_PART_MAX_BYTES).max(1);
    for part in 0..n_parts {
        let start = part * BLOB_PART_MAX_BYTES;
        let body = &bytes[start..bytes.len().min(start + BLOB_PART_MAX_BYTES)];
        let value = [Digest::of(body).0.as_slice(), body].concat();
        table.insert((&digest, part as u32), value.as_slice())?;
    }
    Ok(blob)
}

/// The bytes of `blob`, checked against its digest; `None` when the library does not have it.
///
/// # Errors
///
/// Names the blob when its bytes are not what was stored.
pub(super) fn read_blob(
    table: &impl ReadableTable<(Id, u32), &'static [u8]>,
    blob: BlobRef,
) -> Result<Option<Vec<u8>>, LibraryErrorKind> {
    check_len(blob.len_bytes)?;
    let mut bytes = Vec::with_capacity(blob.len_bytes as usize);
    let mut n_parts = 0;
    for row in table.range((&blob.digest.0, 0)..=(&blob.digest.0, u32::MAX))? {
        let (key, value) = row?;
        let body = value.value().get(PART_HEADER_BYTES..).unwrap_or_default();
        if key.value().1 != n_parts || blob.len_bytes < (bytes.len() + body.len()) as u64 {
            return Err(damaged(&blob.digest, "its parts do not add up to its length"));
        }
        bytes.extend_from_slice(body);
        n_parts += 1;
    }
    match n_parts {
        0 => Ok(None),
        _ if BlobRef::of(&bytes) == blob => Ok(Some(bytes)),
        _ => Err(damaged(&blob.digest, "its bytes do not have the digest they are named by")),
    }
}

/// Says what is wrong with each part of the table, and where: every row is read.
pub(super) fn check_parts(
    table: &impl ReadableTable<(Id, u32), &'static [u8]>,
    mut report: impl FnMut(String, String),
) -> Result<(), LibraryErrorKind> {
    for row in table.iter()? {
        let (key, value) = row?;
        let (digest, part) = key.value();
        let (header, body) =
            value.value().split_at_checked(PART_HEADER_BYTES).unwrap_or((&[], value.value()));
        if header != Digest::of(body).0 {
            let start = part as usize * BLOB_PART_MAX_BYTES;
            let place = format!("part {part}, bytes {start}..{}", start + body.len());
            report(format!("{}, {place}", Digest(*digest)), "a byte of it has changed".to_owned());
        }
    }
    Ok(())
}

fn check_len(len_bytes: u64) -> Result<(), LibraryErrorKind> {
    if len_bytes <= BLOB_MAX_BYTES as u64 {
        return Ok(());
    }
    Err(LibraryErrorKind::TooLarge {
        what: "blob bytes",
        found: len_bytes,
        limit: BLOB_MAX_BYTES as u64,
    })
}

fn damaged(digest: &Digest, what: &str) -> LibraryErrorKind {
    LibraryErrorKind::Damaged(Damage {
        table: "blobs",
        key: digest.to_string(),
        what: what.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::{Database, ReadableTableMetadata, backends::InMemoryBackend};

    use super::*;
    use crate::urza::schema::BLOBS;

    fn round_trip(bytes: &[u8]) -> (usize, Vec<u8>) {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tx = db.begin_write().unwrap();
        let mut table = tx.open_table(BLOBS).unwrap();
        let blob = write_blob(&mut table, bytes).unwrap();
        assert_eq!(write_blob(&mut table, bytes).unwrap(), blob, "twice is once");
        (table.len().unwrap() as usize, read_blob(&table, blob).unwrap().unwrap())
    }

    #[test]
    fn a_blob_is_split_at_its_boundaries_and_comes_back_whole() {
        for (len, n_parts) in
            [(0, 1), (1, 1), (64_999, 1), (65_000, 1), (65_001, 2), (130_000, 2), (200_000, 4)]
        {
            let bytes: Vec<u8> = (0..len).map(|place| (place % 251) as u8).collect();
            assert_eq!(round_trip(&bytes), (n_parts, bytes), "{len} bytes");
        }
    }

    #[test]
    fn a_blob_that_is_too_large_is_refused() {
        let error = check_len(BLOB_MAX_BYTES as u64 + 1).unwrap_err();
        assert!(matches!(error, LibraryErrorKind::TooLarge { .. }));
    }

    #[test]
    fn a_changed_part_is_named_and_never_read() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tx = db.begin_write().unwrap();
        let mut table = tx.open_table(BLOBS).unwrap();
        let blob = write_blob(&mut table, &vec![3; 70_000]).unwrap();
        let mut part = table.get((&blob.digest.0, 1)).unwrap().unwrap().value().to_vec();
        *part.last_mut().unwrap() ^= 1;
        table.insert((&blob.digest.0, 1), part.as_slice()).unwrap();
        assert!(matches!(read_blob(&table, blob), Err(LibraryErrorKind::Damaged(_))));
        let mut places = Vec::new();
        check_parts(&table, |place, _| places.push(place)).unwrap();
        assert_eq!(places.len(), 1);
        assert!(places[0].ends_with("part 1, bytes 65000..70000"), "{places:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_blob_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..150_000)) {
            prop_assert_eq!(round_trip(&bytes).1, bytes);
        }
    }
}
