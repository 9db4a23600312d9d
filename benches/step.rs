//! Training steps: each host alone, and with one seed.

#[allow(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use esper::{
    engine::runtime::HostRuntime,
    scenario::{Adam, Incubation, Optimizer, Sgd},
};
use support::{
    hosts::{flops_of_step, graft, plant, take_steps},
    modules::fitting,
    setup::Setup,
    timing::seconds,
};

/// A host goes back to its youth after this many steps: one that has learnt all there is trains on subnormal numbers,
/// which take longer.
const STEPS_MAX: usize = 500;

/// Throughput is in floating-point operations.
fn time_steps(criterion: &mut Criterion, group: &str, name: &str, host: &mut HostRuntime) {
    let mut group = criterion.benchmark_group(group);
    let flops = flops_of_step(host);
    let young = host.to_snapshot().expect("there is room");
    group.sample_size(10).throughput(Throughput::Elements(flops as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|n_steps| {
            let (mut left, mut taken) = (n_steps as usize, 0.0);
            while left > 0 {
                let n_steps = left.min(STEPS_MAX);
                host.restore(&young).expect("there is room");
                taken += seconds(|| take_steps(host, n_steps));
                left -= n_steps;
            }
            Duration::from_secs_f64(taken)
        });
    });
    group.finish();
}

/// Every host that budgets name; the perceptrons with both kinds of optimizer.
fn setups() -> Vec<Setup> {
    let shapes: [(&[usize], usize); 2] = [(&[64, 32, 10], 64), (&[784, 128, 10], 128)];
    let mlps = shapes.into_iter().flat_map(|(layers, batch)| {
        [Optimizer::Sgd(Sgd::default()), Optimizer::AdamW(Adam::default())]
            .map(|optimizer| Setup::mlp(layers, batch, optimizer))
    });
    mlps.chain(Setup::large()).collect()
}

fn steps(criterion: &mut Criterion) {
    for setup in setups() {
        time_steps(criterion, "step", &setup.name, &mut setup.host());
    }
}

fn steps_with_a_seed(criterion: &mut Criterion) {
    for (stage, incubation, is_grafted) in [
        ("training/straight_through", Incubation::StraightThrough, false),
        ("training/shadow", Incubation::Shadow, false),
        ("grafting", Incubation::StraightThrough, true),
    ] {
        for setup in setups() {
            let mut host = setup.host();
            let site = host.program().site(setup.site).expect("the host has it");
            let module = fitting(&host.program().sites[site].shape);
            plant(&mut host, site, &module, incubation);
            if is_grafted {
                graft(&mut host);
            }
            time_steps(criterion, "seed_step", &format!("{}/{stage}", setup.name), &mut host);
        }
    }
}

criterion_group!(benches, steps, steps_with_a_seed);
criterion_main!(benches);
