//! In the world: what changed is recorded once, and a library that fails ends the run with a reason.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use esper_engine::world::{
    blueprint::BlueprintStatus,
    components::{ModuleContract, SeedModule, Telemetry},
    ids::{BlueprintId, HostId, KernelId, SeedId, SiteId},
    kernel::{KernelOf, KernelStatus, Library, SafetySheet},
    kernel_cache::KernelCache,
    plugin::{BuildError, Engine, RunStatus},
    stage::Stage,
};
use esper_nn::digest::Digest;

use super::{blueprint, contract, kernel, measured, place};
use crate::{
    oona::{KernelJudged, OonaPlugin, StageChanged},
    urza::{
        KernelQuery, LibraryErrorKind, LibraryPlace, LibraryStore, OpenLibrary, UrzaConfig,
        UrzaPlugin, open_library::Unread, verify,
    },
};

fn engine(path: &std::path::Path, run: &str) -> Engine {
    let config = UrzaConfig { place: LibraryPlace::File(path.to_owned()), run: run.to_owned() };
    let mut engine = Engine::default();
    engine.add_plugin(OonaPlugin).unwrap();
    engine.add_plugin(UrzaPlugin { config }).unwrap();
    engine
}

/// One tick, and then what a checkpoint waits for.
fn tick(engine: &mut Engine) -> Result<(), String> {
    engine.tick();
    engine.world().resource::<OpenLibrary>().settle()
}

/// Spawns a blueprint and a kernel that waits for its verdict; the kernel's entity and both names.
fn spawn(world: &mut World, family: &str) -> (Entity, BlueprintId, KernelId) {
    let plan = blueprint(family, 8);
    let (made, program) = kernel(&plan, "fused");
    let id = plan.id(contract(8));
    let name = super::Kernel::id(id, "cpu", "fused");
    world.resource_mut::<KernelCache>().insert(name, Arc::new(program));
    let parent =
        world.spawn((id, plan, ModuleContract(contract(8)), BlueprintStatus::Compiling)).id();
    let entity =
        world.spawn((name, made, KernelStatus::PendingBenchmarking, KernelOf(parent))).id();
    (entity, id, name)
}

fn judge(world: &mut World, entity: Entity, blueprint: BlueprintId, kernel: KernelId) {
    let sheet = SafetySheet { memory_bytes: 77, ..SafetySheet::default() };
    world.entity_mut(entity).insert((KernelStatus::Validated, measured(100, &["fast"]), sheet));
    world.write_message(KernelJudged {
        kernel,
        blueprint,
        family: "glu".to_owned(),
        variant: "fused".to_owned(),
        status: KernelStatus::Validated,
        reasons: vec!["sound".to_owned()],
    });
}

fn end_seed(world: &mut World, blueprint: BlueprintId, kernel: Option<Digest>, to: Stage) {
    let seen = Telemetry {
        twin_gain: Some(0.5),
        twin_gain_low: Some(0.25),
        twin_gain_high: Some(0.75),
        ..Telemetry::default()
    };
    let seed = SeedId(world.query::<&SeedId>().iter(world).count() as u64);
    world.spawn((seed, SeedModule { blueprint, kernel }, seen));
    world.write_message(StageChanged {
        seed,
        host: HostId(0),
        site_id: SiteId(0),
        site: "hidden0".to_owned(),
        from: Stage::Evaluating,
        to,
        step: 900,
        family: None,
        blueprint: Some(blueprint),
        reason: "command".to_owned(),
    });
}

#[test]
fn a_run_records_what_it_made_judged_and_used() {
    let (_dir, path) = place();
    let mut engine = engine(&path, "run-a");
    let world = engine.world_mut();
    let (entity, plan, name) = spawn(world, "glu");
    let bytes = postcard::to_stdvec(&**world.resource::<KernelCache>().get(name).unwrap()).unwrap();
    tick(&mut engine).unwrap();
    let library = engine.world().resource::<OpenLibrary>().clone();
    let newest = library.store().kernel(name).unwrap().unwrap();
    assert_eq!((newest.version, newest.record.status), (0, KernelStatus::PendingBenchmarking));
    let found = engine.world().resource::<Library>().0.kernel_bytes(name).unwrap();
    assert_eq!(found, Some(bytes));

    judge(engine.world_mut(), entity, plan, name);
    tick(&mut engine).unwrap();
    let newest = library.store().kernel(name).unwrap().unwrap();
    assert_eq!((newest.version, newest.record.reasons), (1, vec!["sound".to_owned()]));
    assert_eq!(
        (newest.record.tags, newest.record.safety.unwrap().memory_bytes),
        (vec!["fast".to_owned()], 77)
    );

    end_seed(engine.world_mut(), plan, Some(name.0), Stage::Fossilized);
    end_seed(engine.world_mut(), plan, None, Stage::Cancelled);
    tick(&mut engine).unwrap();
    let ended = library.store().deployments(name).unwrap();
    assert_eq!(ended.len(), 1, "a seed without a kernel deployed none");
    assert_eq!((ended[0].outcome, ended[0].gain.unwrap().low), (Stage::Fossilized, 0.25));

    let before = library.recorded();
    for _ in 0..5 {
        tick(&mut engine).unwrap();
    }
    assert_eq!(library.recorded(), before, "a tick without news commits nothing");
    assert_eq!(before.n_commits, 3);
    assert!(library.describe().contains("4 records"), "{}", library.describe());
    drop((library, engine));
    assert_eq!(verify(&path, None).unwrap(), []);
}

#[test]
fn a_kernel_whose_program_comes_late_is_completed() {
    let (_dir, path) = place();
    let mut engine = engine(&path, "run-a");
    let world = engine.world_mut();
    let (_, _, name) = spawn(world, "glu");
    let program = world.resource::<KernelCache>().get(name).unwrap().clone();
    world.insert_resource(KernelCache::default());
    tick(&mut engine).unwrap();
    let library = engine.world().resource::<OpenLibrary>().clone();
    assert_eq!(library.store().kernel(name).unwrap().unwrap().record.program_len_bytes, None);
    engine.world_mut().resource_mut::<KernelCache>().insert(name, program);
    tick(&mut engine).unwrap();
    assert!(library.store().kernel(name).unwrap().unwrap().record.program_len_bytes.is_some());
}

#[test]
fn two_runs_share_a_library_one_after_the_other() {
    let (_dir, path) = place();
    let mut names = Vec::new();
    for (run, family) in [("run-a", "glu"), ("run-b", "norm"), ("run-b", "norm")] {
        let mut engine = engine(&path, run);
        let (entity, plan, name) = spawn(engine.world_mut(), family);
        tick(&mut engine).unwrap();
        judge(engine.world_mut(), entity, plan, name);
        tick(&mut engine).unwrap();
        names.push(name);
    }
    let store = LibraryStore::open(&path).unwrap();
    assert_eq!(store.query(&KernelQuery::default()).unwrap().len(), 2);
    assert_eq!(store.known_kernels(&names[..2], "run-b").unwrap()[0].id, names[0]);
    assert_eq!(store.kernel(names[2]).unwrap().unwrap().version, 1, "the repeat added nothing");
}

#[test]
fn engines_of_one_process_share_a_handle() {
    let (_dir, path) = place();
    let store = LibraryStore::open(&path).unwrap();
    for (run, family) in [("run-a", "glu"), ("run-b", "norm")] {
        let config = UrzaConfig { place: LibraryPlace::Open(store.clone()), run: run.to_owned() };
        let mut engine = Engine::default();
        engine.add_plugin(OonaPlugin).unwrap();
        engine.add_plugin(UrzaPlugin { config }).unwrap();
        spawn(engine.world_mut(), family);
        tick(&mut engine).unwrap();
        assert_eq!(*engine.world().resource::<RunStatus>(), RunStatus::Running);
    }
    assert_eq!(store.query(&KernelQuery::default()).unwrap().len(), 2);
}

#[test]
fn a_library_in_use_refuses_the_plugin_with_a_reason() {
    let (_dir, path) = place();
    let _first = engine(&path, "run-a");
    let config = UrzaConfig { place: LibraryPlace::File(path), run: "run-b".to_owned() };
    let mut second = Engine::default();
    second.add_plugin(OonaPlugin).unwrap();
    let Err(error) = second.add_plugin(UrzaPlugin { config }) else {
        panic!("the library is in use")
    };
    assert!(matches!(&error, BuildError::Plugin { plugin: "urza", .. }));
    assert!(error.to_string().contains("in use by another run"), "{error}");
}

#[test]
fn a_library_that_can_not_be_written_fails_the_run() {
    let (_dir, path) = place();
    drop(LibraryStore::open(&path).unwrap());
    let store = LibraryStore::open_read_only(&path).unwrap();
    let config = UrzaConfig { place: LibraryPlace::Open(store), run: "run-a".to_owned() };
    let mut engine = Engine::default();
    engine.add_plugin(OonaPlugin).unwrap();
    engine.add_plugin(UrzaPlugin { config }).unwrap();
    tick(&mut engine).unwrap();
    assert_eq!(*engine.world().resource::<RunStatus>(), RunStatus::Running);
    spawn(engine.world_mut(), "glu");
    tick(&mut engine).unwrap_err();
    // No tick waits for the library: the next one learns of it.
    engine.tick();
    let RunStatus::Failed(reason) = engine.world().resource::<RunStatus>() else {
        panic!("the run goes on")
    };
    assert!(reason.contains(&LibraryErrorKind::ReadOnly.to_string()), "{reason}");
}

#[test]
fn a_run_that_is_not_kept_has_a_library_all_the_same() {
    let config = UrzaConfig { place: LibraryPlace::Memory, run: "run-a".to_owned() };
    let mut engine = Engine::default();
    engine.add_plugin(OonaPlugin).unwrap();
    engine.add_plugin(UrzaPlugin { config }).unwrap();
    let (_, _, name) = spawn(engine.world_mut(), "glu");
    tick(&mut engine).unwrap();
    let library = engine.world().resource::<Library>();
    assert!(library.0.kernel_bytes(name).unwrap().is_some());
}

#[test]
fn a_resumed_run_looks_for_no_program_that_the_library_has() {
    let (_dir, path) = place();
    for has_program in [true, false] {
        let mut engine = engine(&path, "run-a");
        spawn(engine.world_mut(), "glu");
        if !has_program {
            engine.world_mut().insert_resource(KernelCache::default());
        }
        tick(&mut engine).unwrap();
        assert!(engine.world().resource::<Unread>().0.is_empty());
    }
}
