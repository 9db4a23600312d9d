//! Parameters that never train: not a bit of them changes, and nothing is done for them.

use std::sync::Arc;

use esper_data::SplitData;
use esper_engine::{
    ids::SeedId,
    runtime::{HostConfig, HostRuntime},
};
use esper_nn::{
    glob,
    module::Incubation,
    optim::Train,
    plan::{HOST, Variant},
    program::{CompileOptions, GradMask, Program},
};

use crate::{
    isolation::graft,
    support::{Family, Settings, bind, host_of},
};

/// A host of `family` of which `freeze` is frozen.
fn host(family: Family, freeze: &[&str], data: Arc<SplitData>) -> HostRuntime {
    let free = host_of(&Settings::default(), family.graph(0.1), data);
    let freeze: Vec<String> = freeze.iter().map(|it| (*it).to_owned()).collect();
    let train = Train { freeze: freeze.clone(), clip_norm: Some(0.5), ..free.config.train.clone() };
    let program = Program::compile_frozen(&free.graph, CompileOptions::HOST, &freeze).unwrap();
    let config = HostConfig { train, ..(*free.config).clone() };
    HostRuntime::new(Arc::new(config), free.graph.clone(), Arc::new(program)).unwrap()
}

/// The bits of the parameters that `pattern` stands for, and of the others.
fn bits(host: &HostRuntime, pattern: &str) -> [Vec<u32>; 2] {
    let [params, _] = host.weights();
    let mut parts = [Vec::new(), Vec::new()];
    for param in &host.program().params {
        let part = usize::from(!glob::is_match(pattern, &param.spec.name));
        parts[part].extend(params[param.range()].iter().map(|value| value.to_bits()));
    }
    parts
}

#[test]
fn what_is_frozen_keeps_every_bit_and_the_rest_trains() {
    for (family, pattern) in [
        (Family::Mlp, "layers.0.*"),
        (Family::Cnn, "layer1.*"),
        (Family::Transformer, "blocks.0.*"),
    ] {
        let mut host = host(family, &[pattern], family.data());
        bind(&mut host, 1, 1, Incubation::StraightThrough);
        let [frozen, free] = bits(&host, pattern);
        assert!(!frozen.is_empty(), "{family:?}");
        (0..10).for_each(|_| host.step().unwrap());
        graft(&mut host, 1, 5);
        (0..10).for_each(|_| host.step().unwrap());
        let after = bits(&host, pattern);
        assert_eq!(after[0], frozen, "{family:?}");
        assert_ne!(after[1], free, "{family:?}");
    }
}

#[test]
fn of_a_frozen_host_seeds_alone_learn_and_it_costs_a_forward_pass() {
    for family in Family::ALL {
        let mut host = host(family, &["*"], family.data());
        assert_eq!(host.program().flops_backward(GradMask::PARAMS), 0, "{family:?}");
        let flops = host.plan().list(Variant::Train).flops;
        assert_eq!(flops.host_per_example, host.program().flops_forward(), "{family:?}");
        assert_eq!(flops.host_per_step, 0, "{family:?}");
        for incubation in [Incubation::StraightThrough, Incubation::Shadow] {
            bind(&mut host, 1, 1, incubation);
            let [before, _] = bits(&host, "*");
            let seed = host.module_weights(SeedId(1));
            (0..10).for_each(|_| host.step().unwrap());
            assert_ne!(host.module_weights(SeedId(1)), seed, "{family:?}: it has a gradient");
            graft(&mut host, 1, 5);
            let seed = host.module_weights(SeedId(1));
            (0..10).for_each(|_| host.step().unwrap());
            assert_ne!(host.module_weights(SeedId(1)), seed, "{family:?}: grafted");
            assert_eq!(bits(&host, "*")[0], before, "{family:?}");
            host.unbind(SeedId(1));
        }
    }
}

/// PyTorch's rule: what a batch norm has seen follows its batches whether or not its weights train.
#[test]
fn running_statistics_of_frozen_norms_follow_the_batches() {
    let mut host = host(Family::Cnn, &["*"], Family::Cnn.data());
    let [_, before] = host.weights();
    (0..3).for_each(|_| host.step().unwrap());
    assert_ne!(host.weights()[1], before);
}

#[test]
fn what_trains_beside_frozen_layers_gets_the_gradients_that_it_gets_without_them() {
    // The last layer of a perceptron sees the same batch: its first update is the same, bit for bit.
    let data = Family::Mlp.data();
    let [mut some, mut all] = [&["layers.0.*", "layers.1.*"][..], &[]]
        .map(|freeze| host(Family::Mlp, freeze, data.clone()));
    let unclipped = |host: &mut HostRuntime| {
        let mut train = host.train_plan().clone();
        train.0.clip_norm = None;
        host.set_train_plan(&train).unwrap();
        host.step().unwrap();
    };
    unclipped(&mut some);
    unclipped(&mut all);
    assert_eq!(bits(&some, "layers.2.*")[0], bits(&all, "layers.2.*")[0]);
    assert_ne!(bits(&some, "layers.2.*")[1], bits(&all, "layers.2.*")[1]);
    assert!(some.plan().units()[usize::from(HOST)].groups[0].segments.len() == 1);
}
