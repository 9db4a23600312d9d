//! A byte that changes is found, or changes nothing.

use std::fs;

use esper_engine::world::kernel::KernelStore;
use redb::ReadableTable;

use super::{filled, place};
use crate::urza::{
    Finding, GcOptions, KernelQuery, LibraryErrorKind, LibraryStore, file_digest, gc,
    schema::{BLOBS, BY_LATENCY, KERNELS},
    verify,
};

#[test]
fn a_library_as_it_was_written_has_nothing_to_report() {
    let (_dir, path) = place();
    drop(filled(&path));
    let before = file_digest(&path).unwrap();
    assert_eq!(verify(&path, Some(before)).unwrap(), []);
    assert_eq!(file_digest(&path).unwrap(), before, "verifying changes nothing");
}

#[test]
fn a_library_in_use_or_absent_is_not_verified() {
    let (_dir, path) = place();
    assert!(matches!(verify(&path, None).unwrap_err().kind, LibraryErrorKind::NotFound));
    assert!(file_digest(&path).is_err());
    let (_store, _) = filled(&path);
    assert!(matches!(verify(&path, None).unwrap_err().kind, LibraryErrorKind::InUse));
}

/// Changes rows behind the library's back, with redb's checksums in order.
fn tamper(path: &std::path::Path, f: impl FnOnce(&redb::WriteTransaction)) {
    let db = redb::Database::create(path).unwrap();
    let tx = db.begin_write().unwrap();
    f(&tx);
    tx.commit().unwrap();
}

#[test]
fn a_changed_record_is_named_by_table_and_key() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    drop(store);
    tamper(&path, |tx| {
        let mut table = tx.open_table(KERNELS).unwrap();
        let mut value = table.get((&names[0].0.0, 0)).unwrap().unwrap().value().to_vec();
        *value.last_mut().unwrap() ^= 1;
        table.insert((&names[0].0.0, 0), value.as_slice()).unwrap();
    });
    let findings = verify(&path, None).unwrap();
    let key = format!("{} version 0", names[0].0);
    assert!(findings.iter().any(|it| it.table == "kernels" && it.key == key), "{findings:?}");
    let error = LibraryStore::open(&path).unwrap().kernel(names[0]).unwrap_err();
    assert!(error.to_string().contains(&key), "{error}");
}

#[test]
fn a_changed_blob_is_named_with_its_part_and_never_bound() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    let program = store.kernel(names[0]).unwrap().unwrap().record.program;
    drop(store);
    tamper(&path, |tx| {
        let mut table = tx.open_table(BLOBS).unwrap();
        let mut value = table.get((&program.0, 0)).unwrap().unwrap().value().to_vec();
        *value.last_mut().unwrap() ^= 1;
        table.insert((&program.0, 0), value.as_slice()).unwrap();
    });
    let findings = verify(&path, None).unwrap();
    let place = format!("{program}, part 0, bytes 0..");
    assert!(
        findings.iter().any(|it| it.table == "blobs" && it.key.starts_with(&place)),
        "{findings:?}"
    );
    assert!(LibraryStore::open(&path).unwrap().kernel_bytes(names[0]).is_err());
}

#[test]
fn a_secondary_row_too_few_or_too_many_is_found() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    drop(store);
    tamper(&path, |tx| {
        let mut table = tx.open_table(BY_LATENCY).unwrap();
        table.remove((900, &names[0].0.0)).unwrap().expect("it was measured");
        table.insert((901, &names[0].0.0), ()).unwrap();
    });
    let findings = verify(&path, None).unwrap();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(|it| it.table == "by_latency"));
}

/// Every place of the file in turn: either `verify` finds the change, or everything reads as before; with the
/// digest of the closed file, every change is found.
#[test]
fn a_changed_byte_anywhere_is_found_or_harmless_and_never_panics() {
    let (dir, path) = place();
    let (store, _) = filled(&path);
    let expected = store.list(&KernelQuery::default()).unwrap();
    drop(store);
    // Pages that commits have left behind hold nothing, and would be most of what is changed.
    gc(&path, GcOptions { keep_runs: 1 }).unwrap();
    let digest = file_digest(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let bent_path = dir.path().join("bent.redb");
    // Every fifth byte of the header, and a sample of what follows. Room to grow is 0, or 255 in a debug build of redb.
    let used: Vec<usize> =
        (320..bytes.len()).filter(|place| !matches!(bytes[*place], 0 | 255)).collect();
    let sample = used.iter().copied().step_by(used.len() / 200 + 1);
    let places =
        (0..320).step_by(5).chain(sample).chain((320..bytes.len()).step_by(bytes.len() / 16));
    let (mut n_found, mut n_harmless) = (0, 0);
    for place in places {
        let mut bent = bytes.clone();
        bent[place] ^= 1 << (place % 8);
        fs::write(&bent_path, &bent).unwrap();
        match verify(&bent_path, None) {
            Ok(findings) if findings.is_empty() => {
                let read = LibraryStore::open(&bent_path).unwrap();
                assert_eq!(read.list(&KernelQuery::default()).unwrap(), expected, "byte {place}");
                n_harmless += 1;
            }
            Ok(_) | Err(_) => n_found += 1,
        }
        assert!(!verify(&bent_path, Some(digest)).is_ok_and(|it| it.is_empty()), "byte {place}");
    }
    assert!(n_harmless < n_found, "{n_found} found, {n_harmless} in space that holds nothing");
}

#[test]
fn a_changed_byte_of_a_program_in_the_file_is_found_and_its_place_named() {
    let (dir, path) = place();
    let (store, names) = filled(&path);
    let program = store.kernel(names[0]).unwrap().unwrap().record.program;
    let body = store.kernel_bytes(names[0]).unwrap().unwrap();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    let copies: Vec<usize> =
        (0..bytes.len() - body.len()).filter(|start| bytes[*start..].starts_with(&body)).collect();
    assert!(!copies.is_empty(), "the program lies in one piece");
    let bent_path = dir.path().join("bent.redb");
    for place in (0..body.len()).step_by(body.len() / 16 + 1) {
        let mut bent = bytes.clone();
        for start in &copies {
            bent[start + place] ^= 0x20; // Of pages that are free again nobody knows which they are.
        }
        fs::write(&bent_path, &bent).unwrap();
        let findings = verify(&bent_path, None).unwrap();
        let is_named =
            |it: &Finding| it.table == "blobs" && it.key.starts_with(&program.to_string());
        assert!(findings.iter().any(is_named), "byte {place}: {findings:?}");
        assert!(findings.iter().any(|it| it.table == "file"), "redb's checksum sees it too");
    }
}

#[test]
fn a_file_cut_short_is_found() {
    let (_dir, path) = place();
    drop(filled(&path));
    let bytes = fs::read(&path).unwrap();
    for len in [10, 100, 4096, 5000, bytes.len() / 2, bytes.len() - 4096, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        assert!(!verify(&path, None).is_ok_and(|it| it.is_empty()), "{len} bytes");
        fs::write(&path, &bytes).unwrap();
    }
}
