//! A seed in TRAINING does not touch its host, and a twin is the host that never grafted.

use std::sync::Arc;

use esper_engine::{
    ids::SeedId,
    runtime::{DataView, FlopsAccount, HostRuntime, Ramp, Split, TrainPlan, module_prefix},
};
use esper_nn::{
    graph::{Op, fossilize},
    module::{Composition, Incubation},
    op::{Blend, Residual},
    optim::{Adam, Curve, Optimizer, Sgd, Train},
    program::{CompileOptions, PlacedParam, Program},
};

use crate::support::{Family, Settings, bind};

pub fn graft(host: &mut HostRuntime, id: u64, n_steps: u64) {
    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps, from: 0.0, to: 1.0, curve: Curve::Linear };
    assert!(host.set_blend(SeedId(id), ramp, true));
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

/// The host with its seed, trained by another rule.
fn retrained(host: &HostRuntime, optimizer: Optimizer) -> HostRuntime {
    let mut copy = host.duplicate().unwrap();
    let train = copy.train_plan().0.clone();
    copy.set_train_plan(&TrainPlan(Train { optimizer, ..train })).unwrap();
    copy
}

#[test]
fn moments_go_on_where_the_new_rule_has_the_same_and_begin_at_zero_where_not() {
    let family = Family::Mlp;
    let mut host = family.host(&Settings::default(), &family.data());
    bind(&mut host, 1, 1, Incubation::StraightThrough);
    (0..10).for_each(|_| host.step().unwrap());
    let monitor = host.state.monitor;
    let adam = retrained(&host, Optimizer::Adam(Adam { lr: 1e-3, ..Adam::default() }));
    assert_eq!(adam.moments(), host.moments());
    assert_eq!(adam.state, host.state);

    let mut sgd = retrained(&host, Optimizer::Sgd(Sgd { lr: 1e-2, ..Sgd::default() }));
    let [m, v] = sgd.moments();
    assert!(m.iter().all(|it| *it == 0.0) && v.is_empty());
    let counts = |host: &HostRuntime| {
        let groups = host.state.groups.iter().chain(host.modules().iter().map(|it| &it.group));
        groups.map(|group| group.n_updates).collect::<Vec<u64>>()
    };
    assert_eq!((counts(&host), counts(&sgd)), (vec![10, 10], vec![0, 0]));
    assert_eq!(sgd.weights(), host.weights());
    assert_eq!((sgd.state.monitor, sgd.state.step), (monitor, 10), "the rest goes on");
    (0..5).for_each(|_| sgd.step().unwrap());

    // A snapshot of the time before brings no moments back that the rule of today has not, and the other way round.
    sgd.restore(&host.to_snapshot().unwrap()).unwrap();
    assert!(sgd.moments()[1].is_empty());
    assert_eq!(counts(&sgd), [0, 0]);
    sgd.step().unwrap();
    let snapshot = sgd.to_snapshot().unwrap();
    host.restore(&snapshot).unwrap();
    let [m, v] = host.moments();
    assert!(v.len() == m.len() && v.iter().all(|it| *it == 0.0));
    host.step().unwrap();
    assert_eq!(counts(&host), [1, 1]);
}

#[test]
fn a_view_says_how_many_examples_a_step_and_a_pass_have() {
    let family = Family::Mlp;
    let mut host = family.host(&Settings::default(), &family.data());
    host.step().unwrap();
    let flops_of_step = |host: &mut HostRuntime| {
        let before = host.state.flops.host;
        host.step().unwrap();
        host.state.flops.host - before
    };
    let whole = flops_of_step(&mut host);
    let n_examples = host.config.data.train.len();
    host.set_data_view(DataView { batch: Some(16), n_examples: Some(40) });
    let mut seen = Vec::new();
    for _ in 0..4 {
        let half = flops_of_step(&mut host);
        assert!(half < whole, "{half} {whole}");
        seen.push((host.state.epoch, host.state.position));
    }
    assert_eq!(seen, [(1, 16), (1, 32), (1, 40), (2, 16)], "another pass is another order");
    // More than there is, or than there is room for, is all.
    host.set_data_view(DataView { batch: Some(usize::MAX), n_examples: Some(usize::MAX) });
    assert_eq!(flops_of_step(&mut host), whole);
    assert_eq!((host.state.epoch, host.state.position), (3, 64));
    assert!(host.state.position < n_examples);
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
