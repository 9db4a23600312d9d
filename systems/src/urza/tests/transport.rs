//! What is exported arrives unchanged, and what is not an export does not arrive.

use std::fs;

use esper_engine::world::kernel::{KernelStatus, KernelStore};
use esper_nn::digest::Digest;
use proptest::prelude::*;

use super::{batch_of, filled, place, validated};
use crate::urza::{
    KernelQuery, LibraryErrorKind, LibraryStore, Transferred, bundle::Bundle, export, import, ls,
    verify,
};

#[test]
fn an_import_equals_its_export() {
    let (dir, path) = place();
    let (store, names) = filled(&path);
    let (file, copy) = (dir.path().join("all.esperlib"), dir.path().join("copy.redb"));
    let sent = export(&path, &file, &[]).unwrap();
    assert_eq!((sent.n_blueprints, sent.n_kernels, sent.n_deployments), (4, 4, 3));
    assert_eq!(sent.signers, [store.public_key().unwrap()]);
    assert_eq!(import(&copy, &file).unwrap(), sent);
    assert_eq!(
        ls(&copy, &KernelQuery::default()).unwrap(),
        ls(&path, &KernelQuery::default()).unwrap()
    );
    assert_eq!(verify(&copy, None).unwrap(), []);
    let other = LibraryStore::open(&copy).unwrap();
    for name in &names {
        assert_eq!(other.kernel(*name).unwrap(), store.kernel(*name).unwrap());
        assert_eq!(other.kernel_bytes(*name).unwrap(), store.kernel_bytes(*name).unwrap());
        assert_eq!(other.deployments(*name).unwrap(), store.deployments(*name).unwrap());
    }
    assert_ne!(other.public_key(), store.public_key(), "the signer stays the one who validated");
    drop(other);
    let again = import(&copy, &file).unwrap();
    assert_eq!(again, Transferred { signers: sent.signers, ..Transferred::default() });
    let second = dir.path().join("second.esperlib");
    export(&copy, &second, &[]).unwrap();
    assert_eq!(fs::read(&second).unwrap(), fs::read(&file).unwrap());
}

#[test]
fn a_kernel_takes_its_blueprint_along_and_a_blueprint_its_kernels() {
    let (dir, path) = place();
    let (store, names) = filled(&path);
    let blueprint = store.kernel(names[1]).unwrap().unwrap().record.blueprint;
    for (n, wanted) in [names[1].0, blueprint.0].into_iter().enumerate() {
        let sent = export(&path, dir.path().join(format!("{n}")), &[wanted]).unwrap();
        assert_eq!((sent.n_blueprints, sent.n_kernels, sent.n_deployments), (1, 1, 1));
    }
    let error = export(&path, dir.path().join("none"), &[Digest::of(b"stranger")]).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::Missing { .. }), "{error}");
    let error = export(&path, dir.path().join("0"), &[]).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::Exists), "{error}");
    assert!(export(&path, dir.path().join("absent/file"), &[]).is_err());
}

#[test]
fn a_verdict_of_ones_own_stands() {
    let (dir, path) = place();
    drop(filled(&path));
    let file = dir.path().join("all.esperlib");
    export(&path, &file, &[]).unwrap();
    let own = dir.path().join("own.redb");
    let store = LibraryStore::open(&own).unwrap();
    let refused = batch_of("mine", "glu", KernelStatus::Rejected, None);
    store.commit(&refused).unwrap();
    store.commit(&batch_of("mine", "norm", KernelStatus::PendingBenchmarking, None)).unwrap();
    drop(store);
    let added = import(&own, &file).unwrap();
    assert_eq!((added.n_blueprints, added.n_kernels), (2, 3));
    let store = LibraryStore::open(&own).unwrap();
    let glu = store.kernel(refused.kernels[0].0.id).unwrap().unwrap();
    assert_eq!((glu.version, glu.record.status), (0, KernelStatus::Rejected));
    let norm = validated("x", "norm", 1, &[]).kernels[0].0.id;
    let norm = store.kernel(norm).unwrap().unwrap();
    assert_eq!((norm.version, norm.record.status), (1, KernelStatus::Validated));
    drop(store);
    assert_eq!(verify(&own, None).unwrap(), []);
}

#[test]
fn no_changed_byte_of_an_export_is_imported() {
    let (dir, path) = place();
    drop(filled(&path));
    let file = dir.path().join("all.esperlib");
    export(&path, &file, &[]).unwrap();
    let bytes = fs::read(&file).unwrap();
    for place in (0..bytes.len()).step_by(7) {
        let mut bent = bytes.clone();
        bent[place] ^= 0x10;
        assert!(
            matches!(Bundle::decode(&bent), Err(LibraryErrorKind::BadBundle(_))),
            "byte {place}"
        );
    }
    for len in [0, 1, 11, 44, 51, 52, 60, bytes.len() - 1] {
        assert!(Bundle::decode(&bytes[..len]).is_err(), "{len} bytes");
    }
    let target = dir.path().join("target.redb");
    for (name, content) in
        [("empty", vec![]), ("text", b"esperlib?".to_vec()), ("short", bytes[..99].to_vec())]
    {
        let bad = dir.path().join(name);
        fs::write(&bad, content).unwrap();
        let error = import(&target, &bad).unwrap_err();
        assert!(matches!(error.kind, LibraryErrorKind::BadBundle(_)), "{error}");
        assert!(!target.exists(), "nothing is created for a file that is refused");
    }
    assert!(matches!(
        import(&target, dir.path()).unwrap_err().kind,
        LibraryErrorKind::BadBundle(_)
    ));
    let error = import(&target, dir.path().join("absent")).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::NotFound));
}

/// A forger can recompute digests, but neither names nor signatures.
#[test]
fn a_forged_record_is_refused_by_name_or_signature() {
    let (dir, path) = place();
    drop(filled(&path));
    let file = dir.path().join("all.esperlib");
    export(&path, &file, &[]).unwrap();
    let honest = Bundle::read(&file).unwrap();
    let refuse = |forge: &dyn Fn(&mut Bundle), needle: &str| {
        let mut bundle = honest.clone();
        forge(&mut bundle);
        let forged = dir.path().join("forged.esperlib");
        fs::write(&forged, bundle.encode().unwrap()).unwrap();
        let error = import(dir.path().join("target.redb"), &forged).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    };
    refuse(&|it| it.head.kernels[0].workspace_bytes += 1, "signature");
    refuse(&|it| it.head.kernels[0].signature = None, "nobody signed");
    refuse(&|it| it.head.kernels[0].pipeline_version += 1, "pipeline");
    refuse(&|it| it.head.kernels[0].variant = "reference".to_owned(), "belongs to kernel");
    refuse(&|it| it.head.blueprints[0].is_trainable = false, "belongs to blueprint");
    refuse(&|it| drop(it.head.blueprints.remove(0)), "blueprint is missing");
    refuse(&|it| it.head.blobs.truncate(1), "missing");
    refuse(&|it| drop(it.head.kernels.drain(..)), "the kernel is missing");
    refuse(
        &|it| {
            let graph = crate::urza::BlobRef::of(b"no graph");
            it.head.blueprints[0].graph = graph;
            it.head.blobs.push(graph);
            it.blobs.insert(graph.digest, b"no graph".to_vec());
        },
        "can not be decoded",
    );
}

proptest! {
    /// A head that is sealed in order and makes no sense.
    #[test]
    fn no_head_of_random_bytes_is_imported_or_panics(head in prop::collection::vec(any::<u8>(), 0..200), rest in 0..40_usize) {
        let len = (head.len() as u64).to_le_bytes();
        let body = [len.as_slice(), &head, &vec![0; rest]].concat();
        let prefix = [b"esperlib".as_slice(), &1_u32.to_le_bytes(), &Digest::of(&body).0].concat();
        if let Ok(bundle) = Bundle::decode(&[prefix, body].concat()) {
            prop_assert!(bundle.head.kernels.is_empty(), "32 bytes that sign themselves by chance");
        }
    }

    #[test]
    fn no_bytes_at_all_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Bundle::decode(&bytes).is_err());
    }
}
