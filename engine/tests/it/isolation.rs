//! A seed in TRAINING does not touch its host, and a twin is the host that never grafted.

use std::sync::Arc;

use esper_engine::{
    graph::{Op, fossilize},
    nn::op::{Blend, Residual},
    program::{CompileOptions, PlacedParam, Program},
    runtime::{FlopsAccount, HostRuntime, ModuleMode, Ramp, Split, module_prefix},
    world::ids::SeedId,
};

use esper_nn::{
    module::{Composition, Incubation},
    optim::Curve,
};

use crate::support::{Family, Settings, bind};

fn graft(host: &mut HostRuntime, id: u64, n_steps: u64) {
    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps, from: 0.0, to: 1.0, curve: Curve::Linear };
    assert!(host.set_mode(SeedId(id), ModuleMode::Blended { ramp, trains: true }));
}

fn same_bits(a: &HostRuntime, b: &HostRuntime) -> bool {
    a.weights() == b.weights() && a.moments() == b.moments()
}

#[test]
fn a_host_of_each_family_learns() {
    for family in Family::ALL {
        let mut host = family.host(&Settings::default(), &family.data());
        let before =
            host.evaluate(Split::Validation, FlopsAccount::Validation, None, None).unwrap();
        for _ in 0..200 {
            host.step().unwrap();
        }
        let after = host.evaluate(Split::Validation, FlopsAccount::Validation, None, None).unwrap();
        let share = if family == Family::Transformer { 0.72 } else { 0.5 };
        assert!(after.loss < share * before.loss, "{family:?}: {before:?} -> {after:?}");
        assert!(after.accuracy.unwrap() > 2.0 * before.accuracy.unwrap(), "{family:?}: {after:?}");
    }
}

#[test]
fn incubating_seeds_leave_every_bit_of_the_host_alone() {
    for family in Family::ALL {
        let data = family.data();
        for how in [Incubation::StraightThrough, Incubation::Shadow] {
            let mut alone = family.host(&Settings::default(), &data);
            let mut watched = family.host(&Settings::default(), &data);
            let last = watched.program().sites.len() - 1;
            bind(&mut watched, 1, 0, how);
            bind(&mut watched, 2, last, how);
            let at_birth = watched.module_weights(SeedId(2)).unwrap();
            for step in 0..40 {
                alone.step().unwrap();
                watched.step().unwrap();
                assert!(same_bits(&alone, &watched), "{family:?} {how:?} step {step}");
            }
            let [params, buffers] = watched.module_weights(SeedId(2)).unwrap();
            assert_ne!(params, at_birth[0], "{family:?}: the seed learnt");
            if !buffers.is_empty() {
                assert_ne!(buffers, at_birth[1], "{family:?}: its norm followed");
            }
        }
    }
}

#[test]
fn a_twin_is_the_host_that_never_grafted() {
    for family in Family::ALL {
        let data = family.data();
        let mut alone = family.host(&Settings::default(), &data);
        let mut host = family.host(&Settings::default(), &data);
        bind(&mut host, 1, 1, Incubation::StraightThrough);
        for _ in 0..20 {
            host.step().unwrap();
            alone.step().unwrap();
        }
        let mut twin = host.fork(SeedId(1)).unwrap();
        graft(&mut host, 1, 10);
        for _ in 0..25 {
            host.step().unwrap();
            twin.step().unwrap();
            alone.step().unwrap();
            assert!(same_bits(&alone, &twin), "{family:?}");
        }
        assert!(!same_bits(&host, &twin), "{family:?}: the graft acts");
    }
}

#[test]
fn a_snapshot_gives_back_every_bit() {
    for family in Family::ALL {
        let mut host = family.host(&Settings::default(), &family.data());
        bind(&mut host, 1, 1, Incubation::StraightThrough);
        (0..10).for_each(|_| host.step().unwrap());
        graft(&mut host, 1, 5);
        (0..5).for_each(|_| host.step().unwrap());
        let snapshot = host.to_snapshot().unwrap();
        (0..12).for_each(|_| host.step().unwrap());
        let (expected, seed) = (host.weights_digest(), host.module_weights(SeedId(1)));
        host.restore(&snapshot).unwrap();
        assert_ne!(host.weights_digest(), expected, "{family:?}: it went back");
        (0..12).for_each(|_| host.step().unwrap());
        assert_eq!(host.weights_digest(), expected, "{family:?}");
        assert_eq!(host.module_weights(SeedId(1)), seed, "{family:?}");
    }
}

/// A host with a grafted seed, and the host in which its module is fossilised.
fn fossil_of(family: Family, composition: Composition, site: usize) -> [HostRuntime; 2] {
    let settings = Settings { composition, ..Settings::default() };
    // The masks of a module's dropout are the seed's before and the host's after: without it, bits can be compared.
    let data = family.data();
    let mut bound = family.host(&settings, &data);
    let module = bind(&mut bound, 1, site, Incubation::StraightThrough);
    (0..15).for_each(|_| bound.step().unwrap());
    graft(&mut bound, 1, 10);
    (0..15).for_each(|_| bound.step().unwrap());
    let join = match composition {
        Composition::Blend => Op::Blend(Blend { alpha: 1.0 }),
        _ => Op::Residual(Residual { alpha: 1.0 }),
    };
    let (name, prefix) = (&bound.program().sites[site].name, module_prefix(SeedId(1)));
    let graph = fossilize(&bound.graph, name, &module, join, &prefix).unwrap();
    let program = Program::compile(&graph, CompileOptions::HOST).unwrap();
    let mut fossil = bound.duplicate().unwrap();
    fossil.merge(SeedId(1), Arc::new(graph), Arc::new(program)).unwrap();
    [bound, fossil]
}

/// The values called `name` in a block.
fn values<'a>(places: &[PlacedParam], block: &'a [f32], name: &str) -> &'a [f32] {
    let place = places.iter().find(|it| it.spec.name == name);
    &block[place.unwrap_or_else(|| panic!("no `{name}`")).range()]
}

fn assert_same_numbers(bound: &HostRuntime, fossil: &HostRuntime, context: &str) {
    let module = bound.module_program(SeedId(1)).unwrap();
    let prefix = module_prefix(SeedId(1));
    let owners = [
        (bound.program(), bound.weights(), ""),
        (module, bound.module_weights(SeedId(1)).unwrap(), prefix.as_str()),
    ];
    let [grown_params, grown_buffers] = fossil.weights();
    for (program, [params, buffers], prefix) in owners {
        for (places, block, grown) in [
            (&program.params, params, (&fossil.program().params, &grown_params)),
            (&program.buffers, buffers, (&fossil.program().buffers, &grown_buffers)),
        ] {
            for place in places {
                let name = format!("{prefix}{}", place.spec.name);
                let found = values(grown.0, grown.1, &name);
                assert_eq!(block[place.range()], *found, "{context}: {name}");
            }
        }
    }
}

#[test]
fn fossilising_keeps_every_bit_of_what_follows() {
    for family in Family::ALL {
        for composition in [Composition::Residual, Composition::Blend] {
            for site in [0, 1] {
                let context = format!("{family:?} {composition:?} at site {site}");
                let [mut bound, mut fossil] = fossil_of(family, composition, site);
                let part = Split::Validation;
                let (mut a, mut b) = (Vec::new(), Vec::new());
                bound.evaluate(part, FlopsAccount::Validation, None, Some(&mut a)).unwrap();
                fossil.evaluate(part, FlopsAccount::Validation, None, Some(&mut b)).unwrap();
                assert_eq!(a, b, "{context}: outputs");
                if family == Family::Transformer {
                    continue; // The module's dropout draws from the host's stream from now on.
                }
                for step in 0..20 {
                    bound.step().unwrap();
                    fossil.step().unwrap();
                    assert_same_numbers(&bound, &fossil, &format!("{context}, step {step}"));
                }
            }
        }
    }
}
