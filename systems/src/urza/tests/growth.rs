//! A library does not grow for ever, and collecting garbage takes nothing that is needed.

use esper_engine::world::kernel::{KernelStatus, KernelStore};

use super::{batch_of, filled, place, validated};
use crate::urza::{GcOptions, GcReport, KernelQuery, LibraryErrorKind, LibraryStore, gc, verify};

#[test]
fn garbage_goes_and_everything_else_stays() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    for run in ["run-b", "run-c", "run-d"] {
        store
            .commit(&validated(
                run,
                "glu",
                100 + run.len() as u64 + u64::from(run.as_bytes()[4]),
                &[],
            ))
            .unwrap();
    }
    assert_eq!(store.kernel(names[1]).unwrap().unwrap().version, 3);
    let kept: Vec<_> = store
        .query(&KernelQuery { status: Some(KernelStatus::Validated), ..KernelQuery::default() })
        .unwrap();
    let bytes: Vec<_> =
        names[..3].iter().map(|name| store.kernel_bytes(*name).unwrap().unwrap()).collect();
    drop(store);

    let report = gc(&path, GcOptions::default()).unwrap();
    let GcReport { n_kernel_versions, n_kernels, n_blobs, n_deployments, .. } = report;
    assert_eq!((n_kernel_versions, n_kernels, n_deployments), (3, 1, 0));
    assert!(n_blobs <= 1, "the rejected kernel's program, unless another has the same");
    assert!(report.after_bytes <= report.before_bytes);
    assert_eq!(verify(&path, None).unwrap(), []);

    let store = LibraryStore::open(&path).unwrap();
    assert_eq!(store.query(&KernelQuery::default()).unwrap(), kept);
    assert_eq!(store.kernel(names[3]).unwrap(), None);
    for (name, bytes) in names.iter().zip(bytes) {
        assert_eq!(store.kernel_bytes(*name).unwrap().unwrap(), bytes);
        assert_eq!(store.deployments(*name).unwrap().len(), 1);
    }
    drop(store);
    let again = gc(&path, GcOptions::default()).unwrap();
    assert_eq!((again.n_kernel_versions, again.n_kernels, again.n_blobs), (0, 0, 0));
}

#[test]
fn a_run_that_is_kept_keeps_its_versions_and_its_refusals() {
    let (_dir, path) = place();
    let store = LibraryStore::open(&path).unwrap();
    store.commit(&validated("old", "glu", 100, &[])).unwrap();
    store.commit(&batch_of("old", "bad_dead", KernelStatus::Rejected, None)).unwrap();
    store.commit(&validated("young", "glu", 200, &[])).unwrap();
    store.commit(&batch_of("young", "bad_nan", KernelStatus::Rejected, None)).unwrap();
    store.commit(&validated("third", "glu", 300, &[])).unwrap();
    drop(store);
    let report = gc(&path, GcOptions { keep_runs: 2 }).unwrap();
    assert_eq!((report.n_kernel_versions, report.n_kernels), (1, 1), "what only `old` knew");
    assert_eq!(verify(&path, None).unwrap(), []);
    let report = gc(&path, GcOptions { keep_runs: 0 }).unwrap();
    assert_eq!((report.n_kernel_versions, report.n_kernels), (1, 1));
}

#[test]
fn garbage_is_not_collected_under_a_run() {
    let (_dir, path) = place();
    let (_store, _) = filled(&path);
    let error = gc(&path, GcOptions::default()).unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::InUse), "{error}");
}
