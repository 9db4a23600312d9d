//! A training step against the peak of fused multiply-adds.

use std::sync::Arc;

use esper::{
    engine::device::Cpu,
    kernels::peak::measure_fma_peak_gflops,
    scenario::{Optimizer, Sgd},
};

use crate::{
    row::Row,
    support::{
        hosts::{flops_of_step, take_steps},
        setup::Setup,
        timing::{best_in_turns, seconds},
    },
};

/// A round of a small host is so many of its steps that it takes about a millisecond.
const FLOPS_PER_ROUND: f64 = 1e8;

/// What the columns are.
pub const HEADER: &str = "host                                   threads      a step       GFLOP   GFLOP/s  \
                          of peak    x budget";

/// Every host on one thread, and those worth it on two.
pub fn measure() -> Vec<Row> {
    let sgd = || Optimizer::Sgd(Sgd::default());
    let small = Setup::mlp(&[64, 32, 10], 64, sgd());
    let middling = Setup::mlp(&[784, 128, 10], 128, sgd());
    let mut rows = vec![on_threads(&small, 1, Some(2.0)), on_threads(&middling, 1, Some(1.25))];
    for setup in Setup::large() {
        rows.push(on_threads(&setup, 1, Some(2.0)));
        rows.push(on_threads(&setup, 2, None));
    }
    rows
}

fn on_threads(setup: &Setup, n_threads: usize, budget: Option<f64>) -> Row {
    let mut host = setup.host_on(Arc::new(Cpu), n_threads);
    let flops = flops_of_step(&mut host);
    let n_steps = (FLOPS_PER_ROUND / flops).ceil() as usize;
    let mut step = || seconds(|| take_steps(&mut host, n_steps)) / n_steps as f64;
    let [time, time_per_flop] =
        on_pool(n_threads, || best_in_turns([&mut step, &mut seconds_per_flop]));
    let (gflops, share) = (flops / time / 1e9, flops * time_per_flop / time);
    let cells = format!(
        "{:<38} {n_threads:>7} {:>8.4} ms {:>11.6} {gflops:>9.1} {:>6.1} % {:>5.2}",
        setup.name,
        time * 1e3,
        flops / 1e9,
        100.0 * share,
        1.0 / share
    );
    match budget {
        Some(budget) => Row::cells_at_most(cells, 1.0 / share, budget),
        None => Row::plain(cells),
    }
}

/// Runs `work` where it has `n_threads` threads.
pub fn on_pool<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
    pool.expect("threads can be started").install(work)
}

/// What a floating-point operation takes at the peak of every thread of this pool together.
pub fn seconds_per_flop() -> f64 {
    1e-9 / rayon::broadcast(|_| measure_fma_peak_gflops()).iter().sum::<f64>()
}
