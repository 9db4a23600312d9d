//! Binding: a validated kernel meets the seed that waits for it.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use esper_engine::{
    program::Program,
    runtime::{Runtimes, SeedState},
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        components::{Fork, Runtime, SeedModule, SeedOf, Site},
        gate::{Gate, GateVerdict},
        ids::{BlueprintId, HostId, Index, KernelId, SeedId},
        kernel::{DeploymentCount, Kernel, KernelStatus, Kernels, Library, Penalties},
        kernel_cache::KernelCache,
        stage::Stage,
    },
};

use super::{config::KasminaConfig, diagnostics::judge, transition::transition};

/// Starts the training of every germinated seed whose kernel is there, and cancels those whose blueprint is invalid.
pub(super) fn bind_kernels(
    world: &mut World,
    waiting: &mut QueryState<
        (Entity, &SeedId, &Stage, &SeedModule),
        With<esper_engine::world::components::Active>,
    >,
) {
    let mut germinated: Vec<(SeedId, Entity, BlueprintId)> = waiting
        .iter(world)
        .filter(|(_, _, stage, _)| **stage == Stage::Germinated)
        .map(|(entity, id, _, seed_module)| (*id, entity, seed_module.blueprint))
        .collect();
    germinated.sort_unstable_by_key(|(id, ..)| *id);
    for (_, seed, blueprint) in germinated {
        bind_one(world, seed, blueprint);
    }
}

fn bind_one(world: &mut World, seed: Entity, blueprint: BlueprintId) {
    let Some(entity) = world.resource::<Index<BlueprintId>>().entity(blueprint) else {
        return cancel(world, seed, Gate::G0, "the blueprint is gone");
    };
    if world.get::<BlueprintStatus>(entity) == Some(&BlueprintStatus::Invalid) {
        return cancel(world, seed, Gate::G1, "no kernel of the blueprint was validated");
    }
    let Some((kernel, penalties)) = choose_kernel(world, entity) else { return };
    if penalties > 0 {
        return cancel(world, seed, Gate::G1, "the kernel was penalised after a rollback");
    }
    let program = match load_program(world, kernel) {
        Ok(program) => program,
        Err(reason) => return cancel(world, seed, Gate::G1, &reason),
    };
    if let Err(reason) = check_limits(world, seed, &program) {
        return cancel(world, seed, Gate::G1, &reason);
    }
    let is_trainable = world.get::<Blueprint>(entity).expect("it is a blueprint").is_trainable;
    let Some(state) = draw(world, seed, kernel, &program, is_trainable) else {
        return cancel(world, seed, Gate::G0, "the drawn parameters are not finite");
    };
    let n_params = program.params_elems() as f64;
    deploy(world, seed, kernel, state, program);
    let numbers = [("params_elems", n_params)];
    judge(world, seed, Gate::G0, GateVerdict::Passed, &numbers, 0);
    judge(world, seed, Gate::G1, GateVerdict::Passed, &numbers, 0);
    let seed_module = SeedModule { blueprint, kernel: Some(kernel.0) };
    world.entity_mut(seed).insert(seed_module);
    transition(world, seed, Stage::Training, "kernel bound").expect("a germinated seed may train");
}

fn cancel(world: &mut World, seed: Entity, gate: Gate, reason: &str) {
    judge(world, seed, gate, GateVerdict::Failed, &[], 0);
    transition(world, seed, Stage::Cancelled, reason).expect("a germinated seed may be cancelled");
}

/// The validated kernel of a blueprint: `fused` before any other, then by name. Both give the same bits.
fn choose_kernel(world: &World, blueprint: Entity) -> Option<(KernelId, u32)> {
    let kernels = world.get::<Kernels>(blueprint)?;
    kernels
        .iter()
        .filter(|kernel| world.get::<KernelStatus>(*kernel) == Some(&KernelStatus::Validated))
        .map(|entity| {
            let id = *world.get::<KernelId>(entity).expect("every kernel has a name");
            let kernel = world.get::<Kernel>(entity).expect("it is a kernel");
            let penalties = world.get::<Penalties>(entity).map_or(0, |penalties| penalties.0);
            (kernel.variant != "fused", id, penalties)
        })
        .min()
        .map(|(_, id, penalties)| (id, penalties))
}

/// The kernel's program: a pointer from the cache; else one read, one check, one decode.
fn load_program(world: &mut World, kernel: KernelId) -> Result<Arc<Program>, String> {
    if let Some(program) = world.resource::<KernelCache>().get(kernel) {
        return Ok(program.clone());
    }
    let library = world.get_resource::<Library>().ok_or("there is no library to load it from")?;
    let bytes = library.0.kernel_bytes(kernel).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or("the library does not hold the kernel")?;
    let program: Program = postcard::from_bytes(&bytes).map_err(|error| error.to_string())?;
    let program = Arc::new(program);
    world.resource_mut::<KernelCache>().insert(kernel, program.clone());
    Ok(program)
}

fn check_limits(world: &World, seed: Entity, program: &Program) -> Result<(), String> {
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let Site(site) = *world.get::<Site>(seed).expect("every seed has a site");
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
    let shape = &runtime.program.sites[site as usize].shape;
    if program.input_shape != *shape || program.output_shape != *shape {
        return Err(format!("the module does not keep the site's shape {shape:?}"));
    }
    let allowed = world.resource::<KasminaConfig>().limits.params_max;
    let bound: u64 = runtime.seeds.iter().map(|seed| seed.program.params_elems()).sum();
    let found = runtime.program.params_elems() + bound + program.params_elems();
    if found > allowed {
        return Err(format!("limits.params_max: {found} of at most {allowed} parameters"));
    }
    Ok(())
}

fn draw(
    world: &World,
    seed: Entity,
    kernel: KernelId,
    program: &Program,
    is_trainable: bool,
) -> Option<SeedState> {
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let Site(site) = *world.get::<Site>(seed).expect("every seed has a site");
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
    let incubation = world.resource::<KasminaConfig>().kasmina.incubation;
    let site = site as usize;
    let state = SeedState::at_birth(runtime, id, site, kernel, program, incubation, is_trainable);
    esper_kernels::cpu::all_finite(&state.params).then_some(state)
}

/// Binds the seed in its host, and in the host's twin: the two differ by the grafted seed alone.
fn deploy(
    world: &mut World,
    seed: Entity,
    kernel: KernelId,
    state: SeedState,
    program: Arc<Program>,
) {
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    for entity in [Some(host), fork_of(world, host)].into_iter().flatten() {
        let Runtime(handle) = *world.get::<Runtime>(entity).expect("every host has numbers");
        let mut runtimes = world.resource_mut::<Runtimes>();
        let runtime = runtimes.get_mut(handle).expect("the handle is live");
        runtime.bind(state.clone(), program.clone());
    }
    let entity = world.resource::<Index<KernelId>>().entity(kernel).expect("it was chosen");
    if let Some(mut count) = world.get_mut::<DeploymentCount>(entity) {
        count.0 += 1;
    }
}

/// The entity of the host's fork, while a seed is grafted there.
pub(super) fn fork_of(world: &World, host: Entity) -> Option<Entity> {
    let Fork(id) = *world.get::<Fork>(host)?;
    world.resource::<Index<HostId>>().entity(id)
}
