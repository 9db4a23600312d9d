//! Training steps: a host alone, and with one seed.

#[allow(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use esper::engine::{
    runtime::HostRuntime,
    scenario::{Adam, Incubation, Optimizer, Sgd},
};
use support::{
    hosts::{Shape, flops_per_step, graft, plant, residual_mlp, take_steps},
    timing::seconds,
};

/// A host goes back to its youth after this many steps: one that has learnt all there is trains on subnormal numbers,
/// which take longer.
const STEPS_MAX: usize = 500;

/// Throughput is in floating-point operations.
fn time_steps(criterion: &mut Criterion, group: &str, name: &str, host: &mut HostRuntime) {
    let mut group = criterion.benchmark_group(group);
    let flops = flops_per_step(host, 160);
    let young = host.to_snapshot();
    group.throughput(Throughput::Elements(flops as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|n_steps| {
            let (mut left, mut taken) = (n_steps as usize, 0.0);
            while left > 0 {
                let n_steps = left.min(STEPS_MAX);
                host.copy_state_from(&young);
                taken += seconds(|| take_steps(host, n_steps));
                left -= n_steps;
            }
            Duration::from_secs_f64(taken)
        });
    });
    group.finish();
}

fn mlp_steps(criterion: &mut Criterion) {
    let shapes: [(&[usize], usize); 2] = [(&[64, 32, 10], 64), (&[784, 128, 10], 128)];
    for (layers, batch) in shapes {
        for (rule, optimizer) in
            [("sgd", Optimizer::Sgd(Sgd::default())), ("adamw", Optimizer::AdamW(Adam::default()))]
        {
            let shape = Shape::new(layers, batch, optimizer);
            let name = format!("{}/{rule}", shape.name());
            time_steps(criterion, "mlp_step", &name, &mut shape.host(16));
        }
    }
}

fn steps_with_a_seed(criterion: &mut Criterion) {
    let shape = Shape::new(&[64, 32, 10], 64, Optimizer::AdamW(Adam::default()));
    for (name, incubation, is_grafted) in [
        ("training/straight_through", Incubation::StraightThrough, false),
        ("training/shadow", Incubation::Shadow, false),
        ("grafting", Incubation::StraightThrough, true),
    ] {
        let mut host = shape.host(16);
        plant(&mut host, 1, &residual_mlp(32, 32), incubation);
        if is_grafted {
            graft(&mut host);
        }
        time_steps(criterion, "seed_step", name, &mut host);
    }
}

criterion_group!(benches, mlp_steps, steps_with_a_seed);
criterion_main!(benches);
