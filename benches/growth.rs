//! What growth needs beside arithmetic: kernels bound, hosts snapshotted and put back.

#[allow(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use esper::{
    engine::{program::Program, world::kernel::KernelStore},
    scenario::{Adam, Optimizer},
};
use support::{
    growth::{cache_of, library_with},
    hosts::take_steps,
    setup::Setup,
};

fn bind_kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bind");
    let (cache, id) = cache_of(64);
    group.bench_function("cached", |bencher| {
        bencher.iter(|| black_box(&cache).get(black_box(id)).cloned());
    });
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (library, id, len_bytes) = library_with(&folder.path().join("library.redb"), 64 * 1024);
    group.throughput(Throughput::Bytes(len_bytes as u64));
    group.bench_function("library", |bencher| {
        bencher.iter(|| {
            let bytes = library.kernel_bytes(id).expect("the library is sound");
            let bytes = bytes.expect("it was stored");
            postcard::from_bytes::<Program>(&bytes).expect("it decodes")
        });
    });
    group.finish();
}

fn snapshots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    let adam = Optimizer::Adam(Adam::default());
    let mut host = Setup::mlp(&[1000, 1000, 10], 16, adam).host();
    take_steps(&mut host, 1);
    let mut snapshot = host.to_snapshot().expect("there is room");
    // Parameters and both moments.
    group.throughput(Throughput::Bytes(12 * host.program().params_elems()));
    group.bench_function("take", |bencher| {
        bencher.iter(|| host.update_snapshot(&mut snapshot).expect("there is room"))
    });
    group.bench_function("go_back", |bencher| {
        bencher.iter(|| host.restore(&snapshot).expect("there is room"))
    });
    group.finish();
}

criterion_group!(benches, bind_kernels, snapshots);
criterion_main!(benches);
