//! Harm: grafts are withdrawn from hosts that met a fault, and seeds follow a host back to a snapshot.

use bevy_ecs::prelude::*;
use esper_engine::world::{
    components::{Active, Faulted, HostRestored, Rollbacks, StageClock},
    ids::{Index, KernelId, SeedId},
    kernel::Penalties,
    stage::Stage,
};

use super::{
    graft::{become_twin, drop_twin},
    lifecycle::{Lifecycle, Seed, SeedData},
};
use crate::oona::{FaultReported, HostRolledBack, RollbackTo};

/// Withdraws the graft of every host that met a fault, before anybody looks for a snapshot.
///
/// The host becomes its twin if that is sound. If the twin itself failed, both go, and Tolaria restores the host.
pub(super) fn withdraw_grafts(
    mut faults: MessageReader<FaultReported>,
    seeds: Query<SeedData, With<Active>>,
    rollbacks: Query<&Rollbacks>,
    kernels: Res<Index<KernelId>>,
    penalties: Query<&Penalties>,
    mut messages: MessageWriter<HostRolledBack>,
    mut lifecycle: Lifecycle,
) {
    let mut hosts: Vec<Entity> = Vec::new();
    for report in faults.read() {
        let Some(host) = lifecycle.hosts.entity(report.host) else { continue };
        // Where host and twin both failed, there are two reports of one graft.
        if hosts.contains(&host) {
            continue;
        }
        let here = |seed: &Seed| seed.host == host && seed.stage.is_grafted();
        let Some(mut seed) = seeds.iter().map(Seed::from).find(here) else { continue };
        hosts.push(host);
        let kernel = seed.module.and_then(|module| kernels.entity(KernelId(module.kernel?)));
        if let Some(kernel) = kernel {
            let n = penalties.get(kernel).map_or(0, |penalties| penalties.0);
            lifecycle.commands.entity(kernel).insert(Penalties(n + 1));
        }
        let n_rollbacks = rollbacks.get(host).map_or(0, |count| count.0) + 1;
        let twin = lifecycle.hosts.twin(host).expect("a grafted host has a twin");
        if lifecycle.hosts.fault(twin).is_none() {
            messages.write(go_on_as_twin(&mut lifecycle, &seed, n_rollbacks));
        } else {
            leave_to_tolaria(&mut lifecycle, &seed, twin);
        }
        lifecycle.enter(&mut seed, Stage::RolledBack, report.fault.name());
    }
}

fn go_on_as_twin(lifecycle: &mut Lifecycle, seed: &Seed, n_rollbacks: u64) -> HostRolledBack {
    let from_step = lifecycle.step(seed);
    become_twin(lifecycle, seed);
    lifecycle.commands.entity(seed.host).insert(Rollbacks(n_rollbacks));
    HostRolledBack {
        host: lifecycle.hosts.id(seed.host),
        from_step,
        to_step: lifecycle.step(seed),
        to: RollbackTo::Twin,
        n_rollbacks,
    }
}

/// The host is at fault if it was not, and that has Tolaria restore it.
fn leave_to_tolaria(lifecycle: &mut Lifecycle, seed: &Seed, twin: Entity) {
    let fault = lifecycle.hosts.fault(seed.host).or(lifecycle.hosts.fault(twin));
    drop_twin(lifecycle, seed);
    lifecycle.unbind(seed);
    lifecycle.hosts.runtime_mut(seed.host).fault = fault;
    lifecycle.commands.entity(seed.host).insert(Faulted(fault.expect("the twin was at fault")));
}

/// Brings the seeds of a host that was put back to a snapshot into step with it.
///
/// Those that train and are in the snapshot are bound as they were. One that is not was born later and is cancelled;
/// one that has ended since is taken out. What is blended into a snapshot is a fossil, which stays.
pub(super) fn restore_seeds(
    restored: On<HostRestored>,
    seeds: Query<SeedData, With<Active>>,
    mut lifecycle: Lifecycle,
) {
    let host = restored.entity;
    let mut here: Vec<Seed> =
        seeds.iter().map(Seed::from).filter(|seed| seed.host == host).collect();
    here.sort_unstable_by_key(|seed| seed.id);
    let runtime = lifecycle.hosts.runtime_mut(host);
    let step = runtime.state.step;
    let trains = |id| here.iter().any(|seed| seed.id == id && seed.stage == Stage::Training);
    let modules = runtime.modules().iter();
    let ended: Vec<SeedId> = modules
        .filter(|module| !module.is_blended() && !trains(module.seed))
        .map(|module| module.seed)
        .collect();
    for seed in ended {
        runtime.unbind(seed);
    }
    for mut seed in here {
        let is_bound = lifecycle.hosts.runtime(host).module(seed.id).is_some();
        if seed.stage == Stage::Training && !is_bound {
            lifecycle.enter(&mut seed, Stage::Cancelled, "born after the snapshot");
        } else {
            let entered_step = seed.clock.entered_step.min(step);
            let clock = StageClock { entered_step, ..seed.clock };
            lifecycle.commands.entity(seed.entity).insert(clock);
        }
    }
}
