use std::sync::Arc;

use bevy_ecs::prelude::*;
use esper_engine::{
    forge::JobOutcome,
    ids::{BlueprintId, HostId, Index, KernelId, SeedId},
    world::{
        blueprint::{Attempts, Blueprint, BlueprintBundle, BlueprintStatus},
        kernel::{Kernel, KernelStatus, Kernels},
        kernel_cache::KernelCache,
        plugin::{Engine, Tick, TickSystems},
    },
};
use esper_nn::{
    contract::Contract,
    digest::Digest,
    graph::{Loss, MlpConfig, NetworkGraph, Op},
    op::{Add, Input},
    program::{CompileOptions, Program},
};

use super::{config::TEZZERET, *};
use crate::{
    oona::{JobAdmitted, OonaPlugin, ProgramChangeRequested, ProgramReady, Transfer},
    testing::scenario,
};

/// What the journal would have kept of admissions.
#[derive(Resource, Default)]
struct Journal(Vec<JobAdmitted>);

fn keep(mut admissions: MessageReader<JobAdmitted>, mut journal: ResMut<Journal>) {
    journal.0.extend(admissions.read().cloned());
}

fn engine() -> Engine {
    let mut engine = Engine::default();
    engine.world_mut().insert_resource(scenario(|scenario| {
        scenario[TEZZERET].latency_ticks = 2;
        scenario[TEZZERET].queue_max = 2;
    }));
    engine.add_plugin(OonaPlugin).unwrap().add_plugin(TezzeretPlugin).unwrap();
    engine.world_mut().init_resource::<Journal>();
    engine.add_systems(Tick, keep.in_set(TickSystems::Record));
    engine
}

fn module(width: usize) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![width] }, &[]).unwrap();
    graph.add("out", Op::zero_linear(width), &[x]).unwrap();
    graph
}

fn spawn(engine: &mut Engine, blueprint: Blueprint, contract: Contract) -> Entity {
    let bundle = BlueprintBundle::new(blueprint, contract, BlueprintStatus::Unvalidated);
    engine.world_mut().spawn(bundle).id()
}

fn contract(width: usize) -> Contract {
    Contract::Vector { width: width as u32 }
}

fn status(engine: &Engine, blueprint: Entity) -> BlueprintStatus {
    *engine.world().get::<BlueprintStatus>(blueprint).unwrap()
}

#[test]
fn a_blueprint_becomes_one_kernel_a_variant() {
    let mut engine = engine();
    let blueprint = Blueprint::new("m", module(4), "", "").unwrap();
    let entity = spawn(&mut engine, blueprint, contract(4));
    engine.tick();
    assert_eq!(status(&engine, entity), BlueprintStatus::Compiling);
    engine.tick();
    assert!(engine.world().get::<Kernels>(entity).is_none(), "two ticks have not passed");
    engine.tick();
    let world = engine.world();
    let kernels: Vec<Entity> = world.get::<Kernels>(entity).unwrap().iter().collect();
    let mut variants = Vec::new();
    for kernel in kernels {
        let (id, kernel, status) = (
            world.get::<KernelId>(kernel).unwrap(),
            world.get::<Kernel>(kernel).unwrap(),
            world.get::<KernelStatus>(kernel).unwrap(),
        );
        assert_eq!(*status, KernelStatus::PendingBenchmarking);
        let program = world.resource::<KernelCache>().get(*id).expect("it is in memory");
        assert_eq!(Digest::of(&postcard::to_stdvec(program.as_ref()).unwrap()), kernel.program);
        assert_eq!(kernel.params_elems, 20);
        variants.push(kernel.variant.clone());
    }
    variants.sort();
    assert_eq!(variants, ["fused", "reference"]);
    assert_eq!(world.get::<Attempts>(entity), Some(&Attempts(1)));
    let journal = &world.resource::<Journal>().0;
    assert_eq!(journal.len(), 1);
    assert_eq!((journal[0].forge.as_str(), journal[0].outcome), ("compile", JobOutcome::Done));
}

#[test]
fn a_full_queue_delays_a_blueprint_and_loses_none() {
    let mut engine = engine();
    let all: Vec<Entity> = (3..10)
        .map(|width| {
            spawn(&mut engine, Blueprint::new("m", module(width), "", "").unwrap(), contract(width))
        })
        .collect();
    engine.tick();
    let count = |engine: &Engine| {
        all.iter().filter(|it| status(engine, **it) == BlueprintStatus::Compiling).count()
    };
    assert_eq!(count(&engine), 2);
    (0..10).for_each(|_| engine.tick());
    assert_eq!(count(&engine), all.len());
    assert!(all.iter().all(|it| engine.world().get::<Kernels>(*it).is_some()));
}

#[test]
fn a_graph_that_is_no_program_makes_its_blueprint_invalid() {
    let mut engine = engine();
    let mut graph = module(4);
    graph.add("second", Input { shape: vec![4] }, &[]).unwrap();
    let both: Vec<_> = graph.nodes().map(|(index, _)| index).collect();
    graph.add("sum", Add, &[both[1], both[2]]).unwrap();
    let good = Blueprint::new("m", module(4), "", "").unwrap();
    let entity = spawn(&mut engine, Blueprint { graph: Arc::new(graph), ..good }, contract(4));
    (0..4).for_each(|_| engine.tick());
    assert_eq!(status(&engine, entity), BlueprintStatus::Invalid);
    assert!(engine.world().resource::<Index<KernelId>>().is_empty());
    assert_eq!(engine.world().resource::<Index<BlueprintId>>().len(), 1);
}

/// The programs that came back.
#[derive(Resource, Default)]
struct Ready(Vec<ProgramReady>);

#[test]
fn a_changed_host_comes_back_compiled_and_a_full_queue_loses_none() {
    let mut engine = engine();
    engine.world_mut().init_resource::<Ready>();
    let keep = |mut ready: MessageReader<ProgramReady>, mut all: ResMut<Ready>| {
        all.0.extend(ready.read().cloned());
    };
    engine.add_systems(Tick, keep.in_set(TickSystems::Record));
    let graph = Arc::new(NetworkGraph::mlp(&MlpConfig::default(), Loss::CrossEntropy).unwrap());
    let transfer = Transfer::Fossilize { seed: SeedId(5) };
    for host in 0..5 {
        let host = HostId(host);
        let request =
            ProgramChangeRequested { host, graph: graph.clone(), freeze: Vec::new(), transfer };
        engine.world_mut().write_message(request);
    }
    engine.tick();
    assert!(engine.world().resource::<Ready>().0.is_empty(), "two ticks have not passed");
    (0..10).for_each(|_| engine.tick());
    let expected = Program::compile(&graph, CompileOptions::HOST).unwrap();
    let ready = &engine.world().resource::<Ready>().0;
    let hosts: Vec<HostId> = ready.iter().map(|it| it.request.host).collect();
    assert_eq!(hosts, (0..5).map(HostId).collect::<Vec<_>>(), "in the order of asking");
    for ProgramReady { request, program } in ready {
        assert_eq!((request.transfer, &*request.graph), (transfer, &*graph));
        assert_eq!(**program.as_ref().unwrap(), expected);
    }
}
