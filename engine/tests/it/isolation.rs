//! A seed in TRAINING does not touch its host, and a twin is the host that never grafted.

use std::sync::Arc;

use esper_engine::{
    graph::{MlpConfig, Op, fossilize},
    program::{CompileOptions, Program},
    runtime::{Bucket, HostRuntime, Part, Ramp, SeedMode, module_prefix},
    scenario::{Composition, Curve, Incubation},
    world::ids::SeedId,
};
use esper_kernels::cpu::Activation;

use crate::support::{bind, digits, host_of, residual_mlp, scenario, small_mlp};

fn graft(host: &mut HostRuntime, id: u64, n_steps: u64) {
    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps, from: 0.0, to: 1.0, curve: Curve::Linear };
    host.seed_mut(SeedId(id)).unwrap().state.mode = SeedMode::Blended { ramp, trains: true };
}

fn same_bits(a: &HostRuntime, b: &HostRuntime) -> bool {
    a.weights_digest() == b.weights_digest() && a.state.m == b.state.m && a.state.v == b.state.v
}

#[test]
fn a_host_learns_the_digits() {
    let mut host = host_of(&scenario(), &small_mlp(), digits());
    let before = host.evaluate(Part::Validation, Bucket::Validation, None, None);
    while !host.is_done() {
        host.step().unwrap();
    }
    let after = host.evaluate(Part::Validation, Bucket::Validation, None, None);
    assert!(after.accuracy.unwrap() > 0.75, "{before:?} -> {after:?}");
}

#[test]
fn incubating_seeds_leave_every_bit_of_the_host_alone() {
    let data = digits();
    for how in [Incubation::StraightThrough, Incubation::Shadow] {
        for activation in [Activation::Relu, Activation::Gelu] {
            let mlp =
                MlpConfig { activation, dropout: 0.1, layers: vec![64, 8, 7, 10], ..small_mlp() };
            let mut alone = host_of(&scenario(), &mlp, data.clone());
            let mut watched = host_of(&scenario(), &mlp, data.clone());
            bind(&mut watched, 1, 0, &residual_mlp(64, 16), how);
            bind(&mut watched, 2, 1, &residual_mlp(8, 8), how);
            let at_birth = watched.seed(SeedId(2)).unwrap().state.params.clone();
            for step in 0..120 {
                alone.step().unwrap();
                watched.step().unwrap();
                assert!(same_bits(&alone, &watched), "{how:?} {activation:?} step {step}");
            }
            let seed = watched.seed(SeedId(2)).unwrap();
            assert_ne!(seed.state.params, at_birth, "the seed learnt");
            let forced = Some((SeedId(2), 1.0));
            let with = watched.evaluate(Part::Train, Bucket::Evaluation, forced, None).loss;
            let without = watched.evaluate(Part::Train, Bucket::Evaluation, None, None).loss;
            println!("{how:?} {activation:?}: {without:.4} -> {with:.4}");
        }
    }
}

#[test]
fn a_twin_is_the_host_that_never_grafted() {
    let data = digits();
    let mut alone = host_of(&scenario(), &small_mlp(), data.clone());
    let mut host = host_of(&scenario(), &small_mlp(), data);
    bind(&mut host, 1, 1, &residual_mlp(8, 8), Incubation::StraightThrough);
    for _ in 0..50 {
        host.step().unwrap();
        alone.step().unwrap();
    }
    let mut twin = host.fork(SeedId(1));
    graft(&mut host, 1, 20);
    for _ in 0..60 {
        host.step().unwrap();
        twin.step().unwrap();
        alone.step().unwrap();
        assert!(same_bits(&alone, &twin));
    }
    assert!(!same_bits(&host, &twin), "the graft acts");
}

#[test]
fn fossilising_keeps_every_bit_of_what_follows() {
    let data = digits();
    for composition in [Composition::Residual, Composition::Blend] {
        for site in [0, 1] {
            let mut scenario = scenario();
            scenario.kasmina.composition = composition;
            let mut bound = host_of(&scenario, &small_mlp(), data.clone());
            let width = [64, 8][site];
            let module = residual_mlp(width, 8);
            bind(&mut bound, 1, site, &module, Incubation::StraightThrough);
            (0..30).for_each(|_| bound.step().unwrap());
            graft(&mut bound, 1, 10);
            (0..30).for_each(|_| bound.step().unwrap());

            let join = match composition {
                Composition::Blend => Op::Blend { alpha: 1.0 },
                _ => Op::Residual { alpha: 1.0 },
            };
            let name = &bound.program.sites[site].name.clone();
            let prefix = module_prefix(SeedId(1));
            let graph = fossilize(&bound.graph, name, &module, join, &prefix).unwrap();
            let program = Program::compile(&graph, CompileOptions::HOST).unwrap();
            let mut fossil = bound.clone();
            fossil.adopt(SeedId(1), Arc::new(graph), Arc::new(program));
            let part = Part::Validation;
            let (mut a, mut b) = (Vec::new(), Vec::new());
            bound.evaluate(part, Bucket::Validation, None, Some(&mut a));
            fossil.evaluate(part, Bucket::Validation, None, Some(&mut b));
            assert_eq!(a, b, "{composition:?} at {name}: outputs");
            for step in 0..40 {
                bound.step().unwrap();
                fossil.step().unwrap();
                for param in &bound.program.params {
                    let own = &param.spec.name;
                    let grown =
                        fossil.program.params.iter().find(|it| it.spec.name == *own).unwrap();
                    assert_eq!(
                        bound.state.params[param.range()],
                        fossil.state.params[grown.range()],
                        "{composition:?} at {name}, step {step}: {own}"
                    );
                }
            }
            let seed = bound.seed(SeedId(1)).unwrap();
            for param in &seed.program.params {
                let own = format!("{prefix}{}", param.spec.name);
                let grown = fossil.program.params.iter().find(|it| it.spec.name == own).unwrap();
                assert_eq!(seed.state.params[param.range()], fossil.state.params[grown.range()]);
            }
        }
    }
}
