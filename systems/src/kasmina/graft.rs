//! Grafts: how they begin with a fork of the host, and the ways they end without a trace.

use bevy_ecs::{message::MessageCursor, prelude::*};
use esper_engine::{
    runtime::{Flops, HostRuntime, Ramp, Runtimes, SeedMode},
    scenario::{Counterfactual, Incubation},
    world::{
        catalog::Penalties,
        components::{
            Active, Fork, HostRole, Rollbacks, Runtime, SeedModule, SeedOf, StageClock, Withdrawing,
        },
        ids::{HostId, Index, KernelId, SeedId},
        stage::Stage,
    },
};

use super::{bind::fork_of, config::KasminaConfig, transition::transition};
use crate::oona::{FaultReported, HostRolledBack, RollbackTo};

/// Twins and pinned forks are named from here on, so that hosts keep the small numbers.
const FORK_IDS: u64 = 1 << 32;

/// Forks the host and starts to blend the seed in.
pub(super) fn begin(world: &mut World, seed: Entity, host: Entity, role: HostRole) {
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let config = world.resource::<KasminaConfig>().kasmina.clone();
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let mut runtimes = world.resource_mut::<Runtimes>();
    let runtime = runtimes.get_mut(handle).expect("the handle is live");
    let mut fork = runtime.fork(id);
    fork.is_pinned = matches!(role, HostRole::Pinned { .. });
    // A module that never incubated is inserted whole: it is an identity, and learns with the host from this step.
    let n_steps = if config.incubation == Incubation::None { 0 } else { config.graft_steps };
    let ramp = Ramp {
        start_step: runtime.state.step,
        n_steps,
        from: 0.0,
        to: config.alpha_target as f32,
        curve: config.curve,
    };
    runtime.seed_mut(id).expect("a training seed is bound").state.mode =
        SeedMode::Blended { ramp, trains: true };
    let fork_handle = runtimes.insert(fork);
    let host_id = *world.get::<HostId>(host).expect("every host has a name");
    let fork_id = HostId(FORK_IDS + host_id.0);
    world.spawn((fork_id, role, Runtime(fork_handle)));
    world.entity_mut(host).insert(Fork(fork_id));
}

/// Ends the graft for good: the fork is dropped, and what it spent is counted as evaluation.
pub(super) fn drop_fork(world: &mut World, host: Entity) {
    let Some(fork) = fork_of(world, host) else { return };
    let spent = spent_by(world, fork);
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let mut runtimes = world.resource_mut::<Runtimes>();
    let runtime = runtimes.get_mut(handle).expect("the handle is live");
    runtime.state.flops.evaluation += spent.total();
    world.despawn(fork);
    world.entity_mut(host).remove::<Fork>();
}

fn spent_by(world: &World, fork: Entity) -> Flops {
    let Runtime(handle) = *world.get::<Runtime>(fork).expect("every fork has numbers");
    world.resource::<Runtimes>().get(handle).expect("the handle is live").state.flops
}

/// The host becomes its fork, bit for bit; what both spent stays on the books.
pub(super) fn become_fork(world: &mut World, host: Entity) {
    let fork = fork_of(world, host).expect("a grafted host has a fork");
    let (Runtime(a), Runtime(b)) = (
        *world.get::<Runtime>(host).expect("every host has numbers"),
        *world.get::<Runtime>(fork).expect("every fork has numbers"),
    );
    let mut runtimes = world.resource_mut::<Runtimes>();
    let (runtime, other) = runtimes.get_pair_mut(a, b).expect("both handles are live");
    let host_spent = runtime.state.flops;
    let fork_spent = other.state.flops.total();
    std::mem::swap::<HostRuntime>(runtime, other);
    runtime.is_pinned = false;
    runtime.state.flops = host_spent;
    runtime.state.flops.evaluation += fork_spent;
    world.despawn(fork);
    world.entity_mut(host).remove::<Fork>();
}

/// Takes a seed that never touched its host off its site, in the host and in its fork.
pub(super) fn unbind(world: &mut World, seed: Entity) {
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    for entity in [Some(host), fork_of(world, host)].into_iter().flatten() {
        let Runtime(handle) = *world.get::<Runtime>(entity).expect("every host has numbers");
        let mut runtimes = world.resource_mut::<Runtimes>();
        runtimes.get_mut(handle).expect("the handle is live").unbind(id);
    }
}

/// Ends a seed that was judged not worth keeping.
///
/// With a twin the host becomes it at once. Without one the blend ramps back to 0 first, and the seed keeps its
/// stage until then.
pub(super) fn cull(world: &mut World, seed: Entity, reason: &str) {
    let stage = *world.get::<Stage>(seed).expect("every seed has a stage");
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    if !stage.is_grafted() {
        unbind(world, seed);
    } else if world.resource::<KasminaConfig>().kasmina.counterfactual == Counterfactual::Twin {
        become_fork(world, host);
    } else {
        if world.get::<Withdrawing>(seed).is_none() {
            ramp_back(world, seed, host);
        }
        return;
    }
    transition(world, seed, Stage::Culled, reason).expect("the caller checked the step");
}

fn ramp_back(world: &mut World, seed: Entity, host: Entity) {
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let config = world.resource::<KasminaConfig>().kasmina.clone();
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let mut runtimes = world.resource_mut::<Runtimes>();
    let runtime = runtimes.get_mut(handle).expect("the handle is live");
    let step = runtime.state.step;
    let bound = runtime.seed_mut(id).expect("a grafted seed is bound");
    let from = bound.alpha(step.saturating_sub(1));
    let ramp =
        Ramp { start_step: step, n_steps: config.graft_steps, from, to: 0.0, curve: config.curve };
    bound.state.mode = SeedMode::Blended { ramp, trains: false };
    world.entity_mut(seed).insert(Withdrawing { since_step: step });
}

/// Whether a grafted seed's parameters train from the next step on.
pub(super) fn set_training(world: &mut World, seed: Entity, trains: bool) {
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let mut runtimes = world.resource_mut::<Runtimes>();
    let runtime = runtimes.get_mut(handle).expect("the handle is live");
    if let SeedMode::Blended { trains: now, .. } =
        &mut runtime.seed_mut(id).expect("a grafted seed is bound").state.mode
    {
        *now = trains;
    }
}

/// Withdraws the graft of every host that met a fault, before anybody looks for a snapshot.
///
/// The host becomes its fork if that is sound. If the twin itself failed, both go, and Tolaria restores the host.
pub(super) fn withdraw_grafts(world: &mut World, mut cursor: Local<MessageCursor<FaultReported>>) {
    let faults: Vec<FaultReported> =
        cursor.read(world.resource::<Messages<FaultReported>>()).copied().collect();
    for report in faults {
        let Some(entity) = world.resource::<Index<HostId>>().entity(report.host) else { continue };
        let host = match *world.get::<HostRole>(entity).expect("every host has a role") {
            HostRole::Principal => entity,
            HostRole::Twin { of } | HostRole::Pinned { of } => {
                world.resource::<Index<HostId>>().entity(of).expect("a fork has a host")
            }
        };
        if let Some(seed) = grafted_seed(world, host) {
            roll_back(world, seed, host, report.fault.name());
        }
    }
}

/// The seed that is blended into `host`, if there is one.
fn grafted_seed(world: &mut World, host: Entity) -> Option<Entity> {
    let mut seeds = world.query_filtered::<(Entity, &SeedOf, &Stage), With<Active>>();
    let mut grafted = seeds.iter(world).filter(|(_, of, stage)| of.0 == host && stage.is_grafted());
    grafted.next().map(|(entity, ..)| entity)
}

fn roll_back(world: &mut World, seed: Entity, host: Entity, reason: &str) {
    let fork = fork_of(world, host).expect("a grafted host has a fork");
    let Runtime(fork_handle) = *world.get::<Runtime>(fork).expect("every fork has numbers");
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let runtimes = world.resource::<Runtimes>();
    let from_step = runtimes.get(handle).expect("the handle is live").state.step;
    let is_fork_sound = runtimes.get(fork_handle).expect("the handle is live").fault.is_none();
    penalise(world, seed);
    if is_fork_sound {
        become_fork(world, host);
        let runtimes = world.resource::<Runtimes>();
        let to_step = runtimes.get(handle).expect("the handle is live").state.step;
        let mut count = world.entity_mut(host);
        let n_rollbacks = count.get::<Rollbacks>().map_or(0, |count| count.0) + 1;
        count.insert(Rollbacks(n_rollbacks));
        let host_id = *world.get::<HostId>(host).expect("every host has a name");
        world.write_message(HostRolledBack {
            host: host_id,
            from_step,
            to_step,
            to: RollbackTo::Twin,
            n_rollbacks,
        });
    } else {
        // The host keeps its fault, and with it Tolaria's attention.
        let fault = world.resource::<Runtimes>().get(fork_handle).expect("live").fault;
        drop_fork(world, host);
        let mut runtimes = world.resource_mut::<Runtimes>();
        let runtime = runtimes.get_mut(handle).expect("the handle is live");
        runtime.fault = runtime.fault.or(fault);
        unbind(world, seed);
    }
    transition(world, seed, Stage::RolledBack, reason).expect("a grafted seed may be rolled back");
}

fn penalise(world: &mut World, seed: Entity) {
    let Some(kernel) = world.get::<SeedModule>(seed).and_then(|seed_module| seed_module.kernel)
    else {
        return;
    };
    let Some(entity) = world.resource::<Index<KernelId>>().entity(KernelId(kernel)) else { return };
    let n = world.get::<Penalties>(entity).map_or(0, |penalties| penalties.0);
    world.entity_mut(entity).insert(Penalties(n + 1));
}

/// Brings seeds and numbers back into step after a snapshot was restored.
///
/// A seed that trains in the world and is not in the snapshot was born after it: it is cancelled.
pub(super) fn reconcile_seeds(
    world: &mut World,
    restored: &mut QueryState<Entity, With<esper_engine::world::components::Restored>>,
    seeds: &mut QueryState<(Entity, &SeedId, &SeedOf, &Stage), With<Active>>,
) {
    let hosts: Vec<Entity> = restored.iter(world).collect();
    for host in hosts {
        world.entity_mut(host).remove::<esper_engine::world::components::Restored>();
        let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
        let mut here: Vec<(SeedId, Entity, Stage)> = seeds
            .iter(world)
            .filter(|(_, _, of, _)| of.0 == host)
            .map(|(entity, id, _, stage)| (*id, entity, *stage))
            .collect();
        here.sort_unstable_by_key(|(id, ..)| *id);
        let mut runtimes = world.resource_mut::<Runtimes>();
        let runtime = runtimes.get_mut(handle).expect("the handle is live");
        runtime.seeds.retain(|seed| {
            let is_alive = |(id, _, stage): &(SeedId, Entity, Stage)| {
                *id == seed.state.id && *stage == Stage::Training
            };
            // A blended seed in a graft-free snapshot is a fossil whose program has not come back yet.
            seed.is_blended() || here.iter().any(is_alive)
        });
        let step = runtime.state.step;
        let bound: Vec<SeedId> = runtime.seeds.iter().map(|seed| seed.state.id).collect();
        for (id, entity, stage) in here {
            if stage == Stage::Training && !bound.contains(&id) {
                transition(world, entity, Stage::Cancelled, "born after the snapshot")
                    .expect("a training seed may be cancelled");
            } else if let Some(mut clock) = world.get_mut::<StageClock>(entity) {
                clock.entered_step = clock.entered_step.min(step);
            }
        }
    }
}
