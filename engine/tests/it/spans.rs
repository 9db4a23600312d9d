//! Modules that read at one site and write at a later one: what holds for those of one site holds for them.

use std::sync::Arc;

use esper_engine::{
    ids::SeedId,
    runtime::{FlopsAccount, HostRuntime, Ramp, Split, module_prefix},
};
use esper_nn::{
    graph::{Op, fossilize_span},
    module::{Composition, Incubation},
    op::Residual,
    optim::Curve,
    plan::{Binding, BindingMode, PortError, Variant},
    program::{CompileOptions, Program},
};

use crate::support::{Family, Settings, bind, bind_span};

const HOW: [Incubation; 3] = [Incubation::StraightThrough, Incubation::Shadow, Incubation::None];

fn graft(host: &mut HostRuntime, id: u64, n_steps: u64) {
    let start_step = host.state.step;
    let ramp = Ramp { start_step, n_steps, from: 0.0, to: 1.0, curve: Curve::Linear };
    assert!(host.set_blend(SeedId(id), ramp, true));
}

fn bits(host: &HostRuntime) -> [Vec<Vec<u32>>; 2] {
    let bits = |blocks: [Vec<f32>; 2]| {
        blocks.map(|block| block.into_iter().map(f32::to_bits).collect()).to_vec()
    };
    [bits(host.weights()), bits(host.moments())]
}

#[test]
fn incubating_spans_leave_every_bit_of_the_host_alone_and_learn() {
    for family in Family::ALL {
        let data = family.data();
        for how in HOW {
            let mut alone = family.host(&Settings::default(), &data);
            let mut watched = family.host(&Settings::default(), &data);
            bind_span(&mut watched, 1, how);
            bind(&mut watched, 2, 1, how);
            let at_birth = watched.module_weights(SeedId(1)).unwrap();
            for step in 0..20 {
                alone.step().unwrap();
                watched.step().unwrap();
                assert_eq!(bits(&alone), bits(&watched), "{family:?} {how:?} step {step}");
            }
            let has_learnt = watched.module_weights(SeedId(1)).unwrap() != at_birth;
            assert_eq!(has_learnt, how != Incubation::None, "{family:?} {how:?}");
        }
    }
}

#[test]
fn the_twin_of_a_span_is_the_host_that_never_grafted() {
    for family in Family::ALL {
        let data = family.data();
        let mut alone = family.host(&Settings::default(), &data);
        let mut host = family.host(&Settings::default(), &data);
        bind_span(&mut host, 1, Incubation::StraightThrough);
        for _ in 0..10 {
            host.step().unwrap();
            alone.step().unwrap();
        }
        let mut twin = host.fork(SeedId(1)).unwrap();
        graft(&mut host, 1, 10);
        for _ in 0..20 {
            host.step().unwrap();
            twin.step().unwrap();
            alone.step().unwrap();
            assert_eq!(bits(&alone), bits(&twin), "{family:?}");
        }
        assert_ne!(bits(&host), bits(&twin), "{family:?}: the graft acts");
    }
}

#[test]
fn a_span_computes_the_same_bits_on_any_number_of_threads() {
    for family in Family::ALL {
        let data = family.data();
        let [one, two] = [1, 2].map(|threads| {
            let mut host = family.host(&Settings { threads, ..Settings::default() }, &data);
            bind_span(&mut host, 1, Incubation::Shadow);
            bind(&mut host, 2, 0, Incubation::Shadow);
            (0..5).for_each(|_| host.step().unwrap());
            graft(&mut host, 1, 5);
            (0..10).for_each(|_| host.step().unwrap());
            let modules = [1, 2].map(|id| host.module_weights(SeedId(id)).unwrap());
            (bits(&host), modules)
        });
        assert!(one == two, "{family:?}");
    }
}

#[test]
fn a_snapshot_gives_back_every_bit_of_a_grafted_span() {
    for family in Family::ALL {
        let mut host = family.host(&Settings::default(), &family.data());
        bind_span(&mut host, 1, Incubation::StraightThrough);
        bind(&mut host, 2, 1, Incubation::Shadow);
        (0..5).for_each(|_| host.step().unwrap());
        graft(&mut host, 1, 5);
        (0..5).for_each(|_| host.step().unwrap());
        let (snapshot, mut copy) = (host.to_snapshot().unwrap(), host.duplicate().unwrap());
        let go_on = |host: &mut HostRuntime| {
            (0..10).for_each(|_| host.step().unwrap());
            (bits(host), [1, 2].map(|id| host.module_weights(SeedId(id)).unwrap()))
        };
        let expected = go_on(&mut host);
        host.restore(&snapshot).unwrap();
        assert!(go_on(&mut host) == expected, "{family:?}: put back");
        assert!(go_on(&mut copy) == expected, "{family:?}: a copy");
    }
}

/// What a shadow finds is the gradient that the module has when it is blended in by one.
#[test]
fn a_shadow_trains_a_span_as_if_it_were_grafted() {
    for family in Family::ALL {
        let data = family.data();
        let mut shadowed = family.host(&Settings::default(), &data);
        let mut grafted = family.host(&Settings::default(), &data);
        bind_span(&mut shadowed, 1, Incubation::Shadow);
        bind_span(&mut grafted, 1, Incubation::Shadow);
        let at_birth = grafted.module_weights(SeedId(1)).unwrap();
        let whole = Ramp { start_step: 0, n_steps: 0, from: 1.0, to: 1.0, curve: Curve::Linear };
        assert!(grafted.set_blend(SeedId(1), whole, true));
        shadowed.step().unwrap();
        grafted.step().unwrap();
        let [found, expected] =
            [&shadowed, &grafted].map(|host| host.module_weights(SeedId(1)).unwrap());
        assert_ne!(found, at_birth, "{family:?}");
        assert_eq!(found, expected, "{family:?}");
    }
}

/// A compiled network's gradients are held to central differences; those of a bound span are the same bits.
#[test]
fn fossilising_a_span_keeps_every_bit_of_what_follows() {
    for family in Family::ALL {
        let mut bound = family.host(&Settings::default(), &family.data());
        let module = bind_span(&mut bound, 1, Incubation::StraightThrough);
        (0..15).for_each(|_| bound.step().unwrap());
        graft(&mut bound, 1, 10);
        (0..15).for_each(|_| bound.step().unwrap());
        let sites = &bound.program().sites;
        let ends = [sites[0].name.as_str(), sites[sites.len() - 1].name.as_str()];
        let join = Op::Residual(Residual { alpha: 1.0 });
        let prefix = module_prefix(SeedId(1));
        let graph = fossilize_span(&bound.graph, ends, &module, join, &prefix).unwrap();
        let program = Program::compile(&graph, CompileOptions::HOST).unwrap();
        let mut fossil = bound.duplicate().unwrap();
        fossil.merge(SeedId(1), Arc::new(graph), Arc::new(program)).unwrap();
        // Another that reads where the fossil does.
        for host in [&mut bound, &mut fossil] {
            bind_span(host, 2, Incubation::Shadow);
        }
        for step in 0..20 {
            let part = Split::Validation;
            let [mut a, mut b] = [Vec::new(), Vec::new()];
            bound.evaluate(part, FlopsAccount::Validation, None, Some(&mut a)).unwrap();
            fossil.evaluate(part, FlopsAccount::Validation, None, Some(&mut b)).unwrap();
            assert_eq!(a, b, "{family:?}, step {step}: outputs");
            bound.step().unwrap();
            fossil.step().unwrap();
            for place in &bound.program().params {
                let name = &place.spec.name;
                let grown = fossil.program().params.iter().find(|it| it.spec.name == *name);
                let [expected, _] = bound.weights();
                let [found, _] = fossil.weights();
                let found = &found[grown.expect("the host's stay").range()];
                assert_eq!(expected[place.range()], *found, "{family:?}, step {step}: {name}");
            }
            let [bound, fossil] =
                [&bound, &fossil].map(|host| host.module_weights(SeedId(2)).unwrap());
            assert_eq!(bound, fossil, "{family:?}, step {step}: the other span");
        }
    }
}

#[test]
fn a_grafted_span_costs_what_the_network_with_it_costs() {
    let family = Family::Mlp;
    let mut host = family.host(&Settings::default(), &family.data());
    let module = bind_span(&mut host, 1, Incubation::StraightThrough);
    graft(&mut host, 1, 0);
    let ends = ["input", "hidden0"];
    let join = Op::Residual(Residual { alpha: 1.0 });
    let graph = fossilize_span(&host.graph, ends, &module, join, "m.").unwrap();
    let grown = Program::compile(&graph, CompileOptions::HOST).unwrap();
    let found = host.plan().list(Variant::Evaluate).flops;
    assert_eq!(found.host_per_example + found.modules_per_example, grown.flops_forward());
}

#[test]
fn ports_that_can_not_be_are_refused_by_name() {
    let family = Family::Transformer;
    let mut host = family.host(&Settings::default(), &family.data());
    bind_span(&mut host, 1, Incubation::StraightThrough);
    let module = host.module_program(SeedId(1)).unwrap().clone();
    let mode = BindingMode::Incubating(Incubation::None);
    let check = |read, write, composition| {
        let binding = Binding { read, write, mode, trains: false };
        binding.check(host.program(), &module, composition)
    };
    let residual = Composition::Residual;
    assert_eq!(check(0, 2, residual), Ok(()));
    assert!(matches!(check(2, 0, residual), Err(PortError::ReadsLater { .. })));
    assert!(matches!(check(0, 9, residual), Err(PortError::NoSite { place: 9, n_sites: 3 })));
    assert!(matches!(check(0, 2, Composition::Blend), Err(PortError::Blended { .. })));
    let error = check(2, 0, residual).unwrap_err().to_string();
    assert!(error.contains("`embed`") && error.contains("`block1.out`"), "{error}");
}

#[test]
fn ranked_in_one_pass_a_span_saves_what_it_saves_tried_alone() {
    for family in Family::ALL {
        let data = family.data();
        let mut host = family.host(&Settings::default(), &data);
        bind_span(&mut host, 1, Incubation::StraightThrough);
        bind(&mut host, 2, 1, Incubation::StraightThrough);
        for _ in 0..20 {
            host.step().unwrap();
        }
        let (seeds, scales) = ([SeedId(1), SeedId(2)], [0.3, 1.0]);
        let account = FlopsAccount::Evaluation;
        let ranking = host.rank(Split::Validation.into(), account, &seeds, &scales).unwrap();
        let plain = host.evaluate(Split::Validation, account, None, None).unwrap();
        assert_eq!(ranking.loss.to_bits(), plain.loss.to_bits(), "{family:?}");
        for (seed, tried) in seeds.iter().zip(&ranking.tried) {
            for (scale, loss) in scales.iter().zip(tried) {
                let alone = host.evaluate(Split::Validation, account, Some((*seed, *scale)), None);
                let alone = alone.unwrap().loss;
                assert_eq!(loss.to_bits(), alone.to_bits(), "{family:?} {seed} at {scale}");
                assert_ne!(alone, plain.loss, "{family:?} {seed}: it has learnt");
            }
        }
    }
}
