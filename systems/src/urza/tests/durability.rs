//! What was committed stays, in one process and from one process to the next.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use esper_engine::world::{
    ids::KernelId,
    kernel::{KernelStatus, KernelStore},
};
use esper_nn::digest::Digest;

use super::{batch_of, blueprint, contract, filled, measured, place, validated};
use crate::urza::{
    BLOB_MAX_BYTES, Batch, BlobRef, FORMAT, KernelQuery, LibraryErrorKind, LibraryStore, TAGS_MAX,
    ls, verify,
};

#[test]
fn a_library_survives_a_restart() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    let before = (store.list(&KernelQuery::default()).unwrap(), store.public_key());
    let bytes = store.kernel_bytes(names[0]).unwrap().unwrap();
    drop(store);
    let again = LibraryStore::open(&path).unwrap();
    assert_eq!((again.list(&KernelQuery::default()).unwrap(), again.public_key()), before);
    assert_eq!(again.kernel_bytes(names[0]).unwrap().unwrap(), bytes);
    assert_eq!(again.deployments(names[1]).unwrap().len(), 1);
    assert_eq!(before.0.kernels.len(), 4);
}

#[test]
fn a_resumed_run_repeats_nothing() {
    let (_dir, path) = place();
    let store = LibraryStore::open(&path).unwrap();
    let batch = validated("run-a", "glu", 100, &["fast"]);
    assert_eq!(store.commit(&batch).unwrap().n_records, 2);
    assert_eq!(store.commit(&batch).unwrap().n_records, 0, "the same facts");
    let mut slower = validated("run-a", "glu", 170, &["fast"]);
    assert_eq!(store.commit(&slower).unwrap().n_records, 0, "the same verdict, measured again");
    slower.kernels[0].0.status = KernelStatus::PendingBenchmarking;
    assert_eq!(store.commit(&slower).unwrap().n_records, 0, "a verdict that is known already");
    let other = validated("run-b", "glu", 170, &["fast"]);
    assert_eq!(store.commit(&other).unwrap().n_records, 1, "another run's measurement is news");
    let newest = store.kernel(other.kernels[0].0.id).unwrap().unwrap();
    assert_eq!((newest.version, newest.record.latency_ns()), (1, Some(510)));
}

#[test]
fn a_record_without_measurements_keeps_those_it_had() {
    let (_dir, path) = place();
    let store = LibraryStore::open(&path).unwrap();
    store.commit(&validated("run-a", "glu", 100, &["fast"])).unwrap();
    let mut bare = batch_of("run-b", "glu", KernelStatus::Validated, None);
    bare.kernels[0].0.reasons = vec!["another reason".to_owned()];
    store.commit(&bare).unwrap();
    let newest = store.kernel(bare.kernels[0].0.id).unwrap().unwrap();
    assert_eq!(newest.version, 1);
    assert_eq!(newest.record.measured, Some(measured(100, &["fast"])));
    assert_eq!(newest.record.tags, ["fast"]);
}

#[test]
fn a_verdict_is_the_next_version_and_is_signed() {
    let (_dir, path) = place();
    let store = LibraryStore::open(&path).unwrap();
    let batch = batch_of("run-a", "glu", KernelStatus::PendingBenchmarking, None);
    let name = batch.kernels[0].0.id;
    store.commit(&batch).unwrap();
    assert_eq!(store.kernel(name).unwrap().unwrap().record.signature, None);
    let found = Some(measured(50, &["fast", "small"]));
    let verdict = batch_of("run-a", "glu", KernelStatus::Validated, found);
    assert_eq!(store.commit(&verdict).unwrap().n_records, 1, "the kernel's news alone");
    let newest = store.kernel(name).unwrap().unwrap();
    assert_eq!((newest.version, newest.record.status), (1, KernelStatus::Validated));
    assert_eq!(newest.record.tags, ["fast", "small"], "in order");
    let signature = newest.record.signature.unwrap();
    assert_eq!(Some(signature.signer), store.public_key());
    assert!(signature.is_valid_for(&newest.record.signed_digest()));
}

#[test]
fn a_batch_is_written_whole_or_not_at_all() {
    let (_dir, path) = place();
    let store = LibraryStore::open(&path).unwrap();
    let mut batch = validated("run-a", "glu", 100, &[]);
    let mut orphan = validated("run-a", "norm", 100, &[]).kernels.remove(0);
    orphan.0.blueprint = blueprint("nowhere", 8).id(contract(8));
    batch.kernels.push(orphan);
    let error = store.commit(&batch).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::Missing { what: "blueprint", .. }), "{error}");
    assert!(store.list(&KernelQuery::default()).unwrap().blueprints.is_empty());

    let mut lying = validated("run-a", "glu", 100, &[]);
    lying.kernels[0].1.as_mut().unwrap().push(0);
    let error = store.commit(&lying).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::Mismatch { what: "program", .. }), "{error}");

    let mut loud = validated("run-a", "glu", 100, &[]);
    loud.kernels[0].0.tags = (0..=TAGS_MAX).map(|it| it.to_string()).collect();
    let error = store.commit(&loud).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::TooLarge { what: "tags", .. }), "{error}");
    assert!(store.list(&KernelQuery::default()).unwrap().blueprints.is_empty());
}

#[test]
fn readers_see_whole_commits_while_another_handle_writes() {
    let (_dir, path) = place();
    let (store, _) = filled(&path);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut n_seen = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let listing = ls(&path, &KernelQuery::default()).unwrap();
                        assert_eq!(listing.kernels.len(), listing.blueprints.len());
                        assert!(n_seen <= listing.kernels.len(), "a commit went missing");
                        n_seen = listing.kernels.len();
                    }
                    n_seen
                })
            })
            .collect();
        for n in 0..40 {
            store.commit(&validated("run-b", &format!("family{n}"), 100 + n, &["fast"])).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(4 <= reader.join().unwrap());
        }
    });
    assert_eq!(ls(&path, &KernelQuery::default()).unwrap().kernels.len(), 44);
}

#[test]
fn a_second_writer_is_told_that_the_library_is_in_use() {
    let (_dir, path) = place();
    let (store, _) = filled(&path);
    let error = LibraryStore::open(&path).err().unwrap();
    assert!(matches!(error.kind, LibraryErrorKind::InUse), "{error}");
    assert!(error.to_string().contains("in use by another run"), "{error}");
    drop(store);
    LibraryStore::open(&path).unwrap();
}

#[test]
fn what_is_no_library_is_refused_and_left_alone() {
    let (dir, path) = place();
    let error = ls(&path, &KernelQuery::default()).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::NotFound), "{error}");
    assert!(!path.exists());
    for garbage in
        [&b"PK\x03\x04 an archive"[..], b"r", b"redb", b"redb\x1a\x0a\xa9\x0d\x0a and then nothing"]
    {
        fs::write(&path, garbage).unwrap();
        for error in [LibraryStore::open(&path).err(), LibraryStore::open_read_only(&path).err()] {
            let kind = error.unwrap().kind;
            assert!(
                matches!(kind, LibraryErrorKind::NotALibrary(_) | LibraryErrorKind::Damaged(_)),
                "{kind}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }
    let error = LibraryStore::open(dir.path()).err().unwrap();
    assert!(matches!(error.kind, LibraryErrorKind::NotALibrary("a folder")), "{error}");
    let error = LibraryStore::open(dir.path().join("absent/library.redb")).err().unwrap();
    assert!(matches!(error.kind, LibraryErrorKind::NotFound), "{error}");
}

#[test]
fn a_redb_file_of_another_program_is_refused() {
    let (_dir, path) = place();
    let db = redb::Database::create(&path).unwrap();
    let tx = db.begin_write().unwrap();
    tx.open_table(redb::TableDefinition::<u64, u64>::new("prices")).unwrap();
    tx.commit().unwrap();
    drop(db);
    let error = LibraryStore::open(&path).err().unwrap();
    assert!(matches!(error.kind, LibraryErrorKind::NotALibrary(_)), "{error}");
}

#[test]
fn a_library_of_another_format_is_refused() {
    let (_dir, path) = place();
    drop(LibraryStore::open(&path).unwrap());
    let db = redb::Database::create(&path).unwrap();
    let tx = db.begin_write().unwrap();
    let sealed = crate::urza::schema::seal("meta", &"format", &99_u32).unwrap();
    tx.open_table(crate::urza::schema::META).unwrap().insert("format", sealed.as_slice()).unwrap();
    tx.commit().unwrap();
    drop(db);
    let error = LibraryStore::open(&path).err().unwrap();
    assert!(
        matches!(error.kind, LibraryErrorKind::Format { found: 99, supported } if supported == FORMAT),
        "{error}"
    );
}

#[test]
fn a_handle_for_reading_does_not_write() {
    let (_dir, path) = place();
    drop(filled(&path));
    let before = fs::read(&path).unwrap();
    let reader = LibraryStore::open_read_only(&path).unwrap();
    let error = reader.commit(&validated("run-b", "swish", 1, &[])).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::ReadOnly), "{error}");
    drop(reader);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn an_unknown_kernel_has_no_bytes_and_a_lying_length_is_refused() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    assert!(store.kernel_bytes(KernelId(Digest::of(b"a stranger"))).unwrap().is_none());
    let digest = store.kernel(names[0]).unwrap().unwrap().record.program;
    let huge = BlobRef { digest, len_bytes: BLOB_MAX_BYTES as u64 + 1 };
    assert!(store.blob(huge).is_err());
    assert!(store.blob(BlobRef { digest, len_bytes: 1 }).is_err());
    assert!(store.commit(&Batch::new("run-c")).unwrap().n_records == 0);
}

/// A copy taken while the library is open is what a killed run leaves behind.
#[test]
fn a_library_whose_run_was_killed_opens_again_with_everything_committed() {
    let (dir, path) = place();
    let (store, _) = filled(&path);
    let expected = store.list(&KernelQuery::default()).unwrap();
    let copies = ["read.redb", "written.redb", "verified.redb"].map(|name| dir.path().join(name));
    for copy in &copies {
        fs::copy(&path, copy).unwrap();
    }
    assert_eq!(ls(&copies[0], &KernelQuery::default()).unwrap(), expected);
    let again = LibraryStore::open(&copies[1]).unwrap();
    assert_eq!(again.list(&KernelQuery::default()).unwrap(), expected);
    again.commit(&validated("run-b", "swish", 5, &[])).unwrap();
    let left = fs::read(&copies[2]).unwrap();
    assert_eq!(verify(&copies[2], None).unwrap(), []);
    assert_eq!(fs::read(&copies[2]).unwrap(), left, "verifying repairs nothing");
}

#[test]
fn a_new_library_that_was_cut_short_is_refused_and_an_empty_file_is_filled() {
    let (_dir, path) = place();
    fs::write(&path, b"").unwrap();
    let store = LibraryStore::open(&path).unwrap();
    store.sync().unwrap();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = LibraryStore::open(&path).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::Damaged(_)), "{error}");
}

#[test]
fn what_the_operating_system_refuses_is_said_with_what_to_do_about_it() {
    use std::io::{Error, ErrorKind};
    for (kind, advice) in [
        (ErrorKind::StorageFull, "free some"),
        (ErrorKind::QuotaExceeded, "free some"),
        (ErrorKind::PermissionDenied, "make the file and its folder writable"),
        (ErrorKind::ReadOnlyFilesystem, "make the file and its folder writable"),
        (ErrorKind::NotFound, "check the path"),
    ] {
        let direct = LibraryErrorKind::from(Error::from(kind)).to_string();
        let stored = redb::StorageError::Io(Error::from(kind));
        assert_eq!(LibraryErrorKind::from(stored).to_string(), direct);
        assert!(direct.contains(advice), "{direct}");
    }
}
