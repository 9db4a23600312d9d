//! Binding a kernel: from the cache, and from the library.

use std::{hint::black_box, sync::Arc};

use esper::engine::{
    program::{CompileOptions, Program},
    world::{kernel::KernelStore, kernel_cache::KernelCache},
};
use esper::scenario::{Adam, Incubation, Optimizer};

use crate::{
    row::Row,
    support::{
        growth::{cache_of, library_with},
        hosts::{SEED, bind},
        modules::residual_mlp,
        setup::Setup,
        timing::{median, seconds, seconds_per_call},
    },
};

/// As many as a catalogue of 16 families, in two variants, at two widths of site has.
const N_KERNELS: usize = 64;
const LEN_MAX_BYTES: usize = 64 * 1024;

pub fn measure() -> Vec<Row> {
    let (cache, id) = cache_of(N_KERNELS);
    let cached = seconds_per_call(101, 10_000, || {
        black_box(black_box(&cache).get(black_box(id)).cloned());
    });
    let mut rows = vec![Row::at_most("bind a cached kernel", cached * 1e9, "ns", 200.0)];
    rows.push(memory_of_a_seed());
    rows.push(from_library());
    rows
}

/// What Kasmina does beside it: room for a seed's parameters, gradients and activations.
fn memory_of_a_seed() -> Row {
    let adamw = Optimizer::AdamW(Adam::default());
    let mut host = Setup::mlp(&[64, 32, 10], 64, adamw).host();
    let program = Program::compile(&residual_mlp(&[32], 32), CompileOptions::MODULE);
    let program = Arc::new(program.expect("a module compiles"));
    let times = (0..1001).map(|_| {
        let time = seconds(|| bind(&mut host, 1, &program, Incubation::StraightThrough));
        host.unbind(SEED);
        time
    });
    let time = median(times.collect());
    Row::shown("  room for its numbers (2,112 parameters, batch 64)", time * 1e6, "us")
}

fn from_library() -> Row {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("library.redb");
    let (library, id, len_bytes) = library_with(&path, LEN_MAX_BYTES);
    let time = seconds_per_call(301, 1, || {
        let mut cache = KernelCache::default();
        let bytes = library.kernel_bytes(id).expect("the library is sound");
        let program = postcard::from_bytes(&bytes.expect("it was stored")).expect("it decodes");
        cache.insert(id, Arc::new(program));
        black_box(cache.get(id));
    });
    let name = format!("bind from the library, {len_bytes} bytes: read, check, decode");
    Row::at_most(name, time * 1e6, "us", 300.0)
}
