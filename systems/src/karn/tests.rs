use std::collections::{BTreeMap, BTreeSet};

use esper_engine::{
    ids::BlueprintId,
    world::{
        blueprint::{Blueprint, BlueprintStatus, SiteContracts},
        components::ModuleContract,
        plugin::Engine,
    },
};
use esper_kernels::cpu::Activation;
use esper_nn::{
    contract::{Contract, Layer, PortShape, SpanContract, Taps},
    graph::{NetworkGraph, Op},
    op::{Attention, Gate, Input, LayerScale, Windows},
    program::Variant,
};

use super::{controls::CONTROLS, families::FAMILIES, *};
use crate::{oona::OonaPlugin, testing::Bench};

fn contract(width: usize) -> Contract {
    Contract::Vector { width: width as u32 }
}

/// One site of each kind and size that is odd in its own way.
fn contracts() -> Vec<Contract> {
    let image = |[channels, height, width]: [u32; 3]| Contract::Image { channels, height, width };
    let sequence =
        |is_causal| move |[len, width]: [u32; 2]| Contract::Sequence { len, width, is_causal };
    let sequences = [[1, 4], [3, 1], [5, 17], [16, 32]];
    let images = [[1, 1, 40], [3, 8, 8], [16, 4, 4], [32, 2, 1], [5, 1, 1]];
    let vectors = (1..=65).map(contract);
    let sequences = sequences.map(sequence(true)).into_iter().chain(sequences.map(sequence(false)));
    vectors.chain(images.map(image)).chain(sequences).chain(spans()).collect()
}

/// Spans over layers of every activation, narrow and wide, of vectors and of sequences.
fn spans() -> Vec<Contract> {
    let ends: [[&[usize]; 2]; 3] = [[&[64], &[10]], [&[1], &[1]], [&[5, 17], &[5, 3]]];
    let layers = Activation::ALL.into_iter().zip([1, 2, 8, 33].into_iter().cycle());
    let span = |(activation, width)| {
        ends.map(|[read, write]| {
            let [read, write] = [read, write].map(PortShape::of);
            let layer = Layer::Linear { width, activation };
            Contract::Span(SpanContract { read, write, is_causal: true, layer })
        })
    };
    layers.flat_map(span).chain(conv_spans()).collect()
}

/// Spans over convolutions: of a stage that halves the image, of one that keeps it, and of a signal with a pool between.
fn conv_spans() -> [Contract; 3] {
    let windows = |kernel: [usize; 2], stride| {
        let padding = kernel.map(|taps| taps / 2);
        Taps::of(Windows { kernel, stride, padding }).unwrap()
    };
    let square = |stride| windows([3, 3], [stride; 2]);
    let conv = |channels, first, pool, last| {
        let activation = Activation::Relu;
        Layer::Conv { channels, activation, first, pool, last }
    };
    let pool = Taps::of(Windows::square(2, 1)).unwrap();
    let signal = windows([1, 5], [1, 1]);
    let spans: [(&[usize], &[usize], Layer); 3] = [
        (&[3, 8, 8], &[4, 4, 4], conv(4, square(2), None, square(1))),
        (&[16, 4, 4], &[16, 4, 4], conv(16, square(1), None, square(1))),
        (&[1, 1, 40], &[6, 1, 20], conv(4, signal, Some(pool), signal)),
    ];
    spans.map(|(read, write, layer)| {
        let [read, write] = [read, write].map(PortShape::of);
        Contract::Span(SpanContract { read, write, is_causal: false, layer })
    })
}

fn design(family: &dyn BlueprintFamily, contract: Contract) -> Option<Blueprint> {
    family.design(&contract).expect("a network")
}

#[test]
fn every_family_keeps_the_shape_is_an_identity_at_birth_and_learns_at_once_at_every_site() {
    let mut n_designed: BTreeMap<&str, usize> = BTreeMap::new();
    for contract in contracts() {
        for family in FAMILIES {
            let Some(blueprint) = design(&family, contract) else { continue };
            assert!(blueprint.is_trainable && !blueprint.is_control());
            *n_designed.entry(family.name).or_default() += 1;
            for variant in Variant::ALL {
                let program = variant.compile(&blueprint.graph).unwrap();
                let shapes = [contract.shape(), contract.output_shape()];
                assert_eq!([&program.input_shape, &program.output_shape], shapes.each_ref());
                let birth = Bench::birth(&program, 16);
                let what = format!("{} for {contract:?}, {}", family.name, variant.name());
                assert!(birth.output.iter().all(|y| *y == 0.0), "{what} is no identity");
                let norm = birth.gradients.iter().map(|it| it * it).sum::<f32>().sqrt();
                assert!(1e-3 < norm && norm.is_finite(), "{what}: gradient {norm} at birth");
            }
        }
    }
    assert!(FAMILIES.iter().all(|family| n_designed.contains_key(family.name)), "{n_designed:?}");
}

#[test]
fn a_module_that_ends_in_a_gate_is_an_identity_that_learns_too() {
    let mut catalogue = Catalogue::default();
    catalogue.select(&Karn::default()).unwrap();
    for contract in contracts() {
        for drawn in design::draw_all(&catalogue, design::Gated(true), contract) {
            let Blueprint { graph, family, .. } = drawn.unwrap();
            let output = graph.node(graph.output().unwrap());
            assert_eq!((&output.op, &output.shape), (&Op::Gate(Gate), &contract.output_shape()));
            let birth = Bench::birth(&Variant::Fused.compile(&graph).unwrap(), 16);
            assert!(birth.output.iter().all(|y| *y == 0.0), "{family} for {contract:?}");
            assert!(birth.gradients.iter().any(|it| *it != 0.0), "{family} for {contract:?}");
        }
    }
}

#[test]
fn every_kind_of_site_has_the_families_that_are_meant_for_it() {
    let names = |contract| -> Vec<&str> {
        FAMILIES.iter().filter(|it| design(*it, contract).is_some()).map(|it| it.name).collect()
    };
    let sequence = |is_causal| Contract::Sequence { len: 16, width: 32, is_causal };
    let image = Contract::Image { channels: 16, height: 8, width: 8 };
    let linear = [
        "residual_mlp_small",
        "residual_mlp",
        "residual_mlp_wide",
        "bottleneck_adapter",
        "low_rank",
        "glu",
    ];
    let vector = ["squeeze_excite", "norm", "pointwise", "conv1d_one", "conv1d_two"];
    let convolutions = ["conv1x1", "conv3x3", "depthwise_separable", "bottleneck_conv"];
    assert_eq!(names(contract(16)), [&linear[..], &vector].concat());
    assert_eq!(names(image), [&["squeeze_excite", "norm"][..], &convolutions].concat());
    for is_causal in [true, false] {
        assert_eq!(names(sequence(is_causal)), [&linear[..], &["norm", "attention"]].concat());
    }
    for span in spans() {
        let expected: &[&str] = match span.layer() {
            Some(Layer::Linear { .. }) => &["widen_25", "widen_50", "widen_100", "widen_300"],
            _ => &["widen_channels_100", "widen_channels_300"],
        };
        assert_eq!(names(span), expected);
    }
}

#[test]
fn attention_sees_what_its_site_allows_and_its_heads_are_not_too_narrow() {
    for (width, expected) in [(4, 1), (16, 1), (32, 2), (64, 4), (128, 4), (48, 3), (17, 1)] {
        for is_causal in [true, false] {
            let contract = Contract::Sequence { len: 3, width, is_causal };
            let family = FAMILIES.iter().find(|family| family.name == "attention").unwrap();
            let graph = design(family, contract).unwrap().graph;
            let op = &graph.node(graph.find("attention").unwrap()).op;
            assert_eq!(
                *op,
                Op::Attention(Attention { heads: expected, is_causal }),
                "width {width}"
            );
        }
    }
}

#[test]
fn the_controls_are_what_they_say() {
    for contract in contracts() {
        for control in CONTROLS {
            let Some(blueprint) = design(&control, contract) else {
                assert!(contract.layer().is_some(), "controls are for every site");
                continue;
            };
            assert!(blueprint.is_control() && !blueprint.is_trainable);
            let program = Variant::Fused.compile(&blueprint.graph).unwrap();
            let output = Bench::birth(&program, 256).output;
            let rms = (output.iter().map(|y| y * y).sum::<f32>() / output.len() as f32).sqrt();
            match control.name {
                "noop" => assert_eq!((rms, blueprint.params_elems), (0.0, 0)),
                _ => assert!((0.05..0.5).contains(&rms), "{contract:?}: rms {rms}"),
            }
        }
    }
    let program = design(&CONTROLS[1], contract(64)).unwrap();
    let program = Variant::Fused.compile(&program.graph).unwrap();
    let output = Bench::birth(&program, 256).output;
    let rms = (output.iter().map(|y| y * y).sum::<f32>() / output.len() as f32).sqrt();
    assert!((0.15..0.25).contains(&rms), "about 0.2 of a unit input: {rms}");
}

#[test]
fn a_blueprints_name_is_its_content() {
    let ids = |width| -> Vec<BlueprintId> {
        let site = contract(width);
        FAMILIES.iter().filter_map(|family| Some(design(family, site)?.id(site))).collect()
    };
    assert_eq!(ids(16), ids(16));
    let all: BTreeSet<BlueprintId> = ids(16).into_iter().chain(ids(17)).collect();
    assert_eq!(all.len(), 2 * ids(16).len());
    let blueprint = design(&FAMILIES[0], contract(16)).unwrap();
    let frozen = Blueprint { is_trainable: false, ..blueprint.clone() };
    assert_ne!(frozen.id(contract(16)), blueprint.id(contract(16)));
}

#[test]
fn a_misspelt_blueprint_is_refused_with_the_nearest_name() {
    for (catalogue, adversarial, near) in
        [(&["low_rnak"][..], &[][..], "low_rank"), (&["all"], &["bad_nam"], "bad_nan")]
    {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let karn = Karn { catalogue: owned(catalogue), adversarial: owned(adversarial) };
        let error = Catalogue::default().select(&karn).unwrap_err();
        assert!(error.to_string().contains(&format!("did you mean `{near}`")), "{error}");
    }
}

struct Doubling;

impl BlueprintFamily for Doubling {
    fn name(&self) -> &str {
        "doubling"
    }

    fn design(
        &self,
        contract: &Contract,
    ) -> Result<Option<Blueprint>, esper_nn::graph::GraphError> {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Input { shape: vec![contract.len_elems()] }, &[])?;
        graph.add("w", LayerScale { weight: 0.0 }, &[x])?;
        Blueprint::new(self.name(), graph, "doubles what is worth it", "a test").map(Some)
    }
}

#[test]
fn each_contract_is_designed_for_once_and_strangers_take_part() {
    let mut engine = Engine::default();
    engine.world_mut().insert_resource(crate::testing::scenario(|scenario| {
        scenario[KARN].catalogue = vec!["low_rank".into(), "noop".into()];
    }));
    engine.add_plugin(OonaPlugin).unwrap().add_plugin(KarnPlugin).unwrap();
    engine.add_blueprint(Doubling).unwrap();
    assert!(engine.add_blueprint(Doubling).is_err(), "the name is taken");
    let count = |engine: &mut Engine| {
        let world = engine.world_mut();
        let mut blueprints = world.query::<(&Blueprint, &BlueprintStatus, &ModuleContract)>();
        blueprints.iter(world).filter(|it| *it.1 == BlueprintStatus::Unvalidated).count()
    };
    engine.tick();
    assert_eq!(count(&mut engine), 0);
    engine.world_mut().resource_mut::<SiteContracts>().0.extend([contract(8), contract(9)]);
    engine.tick();
    engine.tick();
    assert_eq!(count(&mut engine), 6);
}
