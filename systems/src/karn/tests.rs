use std::collections::BTreeSet;

use esper_engine::{
    graph::{NetworkGraph, Op},
    program::Variant,
    scenario::Karn,
    world::{
        catalog::{Blueprint, BlueprintStatus, SiteContracts},
        components::Contract,
        ids::BlueprintId,
        plugin::Engine,
    },
};

use super::{controls::CONTROLS, families::FAMILIES, *};
use crate::{oona::OonaPlugin, testing::Bench};

fn contract(width: usize) -> Contract {
    Contract::Vector { width: width as u32 }
}

fn design(family: &dyn BlueprintFamily, width: usize) -> Blueprint {
    family
        .design(&contract(width))
        .expect("a network")
        .expect("every family has something for vectors")
}

#[test]
fn every_family_keeps_the_shape_is_an_identity_at_birth_and_learns_at_once_at_every_width() {
    for width in 1..=65 {
        for family in FAMILIES {
            let blueprint = design(&family, width);
            for variant in Variant::ALL {
                let program = variant.compile(&blueprint.graph).unwrap();
                assert_eq!([&program.input_shape, &program.output_shape], [&[width], &[width]]);
                let birth = Bench::birth(&program, 16);
                let what = format!("{} at width {width}, {}", family.name, variant.name());
                assert!(birth.output.iter().all(|y| *y == 0.0), "{what} is no identity");
                let norm = birth.gradients.iter().map(|it| it * it).sum::<f32>().sqrt();
                assert!(1e-3 < norm && norm.is_finite(), "{what}: gradient {norm} at birth");
            }
        }
    }
}

#[test]
fn the_controls_are_what_they_say() {
    for width in [1, 2, 7, 16, 64] {
        for control in CONTROLS {
            let blueprint = design(&control, width);
            assert!(blueprint.is_control() && !blueprint.is_trainable);
            let program = Variant::Fused.compile(&blueprint.graph).unwrap();
            let output = Bench::birth(&program, 256).output;
            let rms = (output.iter().map(|y| y * y).sum::<f32>() / output.len() as f32).sqrt();
            match control.name {
                "noop" => assert_eq!((rms, blueprint.params_elems), (0.0, 0)),
                _ => assert!((0.05..0.5).contains(&rms), "width {width}: rms {rms}"),
            }
        }
    }
    let program = Variant::Fused.compile(&design(&CONTROLS[1], 64).graph).unwrap();
    let output = Bench::birth(&program, 256).output;
    let rms = (output.iter().map(|y| y * y).sum::<f32>() / output.len() as f32).sqrt();
    assert!((0.15..0.25).contains(&rms), "about 0.2 of a unit input: {rms}");
}

#[test]
fn a_blueprints_name_is_its_content() {
    let ids = |width| -> Vec<BlueprintId> {
        FAMILIES.iter().map(|family| design(family, width).id(contract(width))).collect()
    };
    assert_eq!(ids(16), ids(16));
    let all: BTreeSet<BlueprintId> = ids(16).into_iter().chain(ids(17)).collect();
    assert_eq!(all.len(), 2 * FAMILIES.len());
    let blueprint = design(&FAMILIES[0], 16);
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
        let config = KarnConfig { karn, ..KarnConfig::default() };
        let mut engine = Engine::default();
        engine.add_plugin(OonaPlugin).unwrap();
        let error = engine.add_plugin(KarnPlugin { config }).err().expect("no such blueprint");
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
    ) -> Result<Option<Blueprint>, esper_engine::graph::GraphError> {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Op::Input { shape: vec![contract.len_elems()] }, &[])?;
        graph.add("w", Op::LayerScale { weight: 0.0 }, &[x])?;
        Blueprint::new(self.name(), graph, "doubles what is worth it", "a test").map(Some)
    }
}

#[test]
fn each_contract_is_designed_for_once_and_strangers_take_part() {
    let mut engine = Engine::default();
    let karn = Karn { catalogue: vec!["low_rank".into(), "noop".into()], adversarial: vec![] };
    let config = KarnConfig { karn, ..KarnConfig::default() };
    engine.add_plugin(OonaPlugin).unwrap();
    engine.add_plugin(KarnPlugin { config }).unwrap();
    engine.add_blueprint(Doubling).unwrap();
    assert!(engine.add_blueprint(Doubling).is_err(), "the name is taken");
    let count = |engine: &mut Engine| {
        let world = engine.world_mut();
        let mut blueprints = world.query::<(&Blueprint, &BlueprintStatus, &Contract)>();
        blueprints.iter(world).filter(|it| *it.1 == BlueprintStatus::Unvalidated).count()
    };
    engine.tick();
    assert_eq!(count(&mut engine), 0);
    engine.world_mut().resource_mut::<SiteContracts>().0.extend([contract(8), contract(9)]);
    engine.tick();
    engine.tick();
    assert_eq!(count(&mut engine), 6);
}
