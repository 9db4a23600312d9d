//! The governor's hand: a host at fault goes back to a snapshot, and is trained more gently from there.

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::Runtimes,
    world::{
        components::{HostRole, Restored, Rollbacks, Runtime},
        ids::HostId,
        plugin::RunStatus,
    },
};

use super::{config::TolariaConfig, snapshots::Snapshots};
use crate::oona::{HostRolledBack, RollbackTo};

/// Rolls back every host that Kasmina's withdrawal has not already put right.
pub(super) fn restore_hosts(
    world: &mut World,
    hosts: &mut QueryState<(Entity, &HostId, &HostRole, &Runtime)>,
) {
    let runtimes = world.resource::<Runtimes>();
    let mut faulty: Vec<(HostId, Entity, Runtime)> = hosts
        .iter(world)
        .filter(|(_, _, role, _)| **role == HostRole::Principal)
        .filter(|(_, _, _, runtime)| runtimes.get(runtime.0).expect("live").fault.is_some())
        .map(|(entity, id, _, runtime)| (*id, entity, *runtime))
        .collect();
    faulty.sort_unstable_by_key(|(id, ..)| *id);
    for (id, entity, runtime) in faulty {
        restore(world, id, entity, runtime);
    }
}

fn restore(world: &mut World, id: HostId, entity: Entity, Runtime(handle): Runtime) {
    let governor = world.resource::<TolariaConfig>().governor.clone();
    let n_rollbacks = world.get::<Rollbacks>(entity).map_or(0, |count| count.0) + 1;
    world.entity_mut(entity).insert(Rollbacks(n_rollbacks));
    let runtimes = world.resource::<Runtimes>();
    let runtime = runtimes.get(handle).expect("the handle is live");
    let (fault, from_step) = (runtime.fault.expect("it was queried"), runtime.state.step);
    if n_rollbacks > governor.rollbacks_max as u64 {
        world.resource_mut::<RunStatus>().fail(format!(
            "{id} met `{}` at step {from_step} after {} rollbacks (governor.rollbacks_max); a lower \
             train.optimizer.lr or train.clip_norm may help",
            fault.name(),
            n_rollbacks - 1
        ));
        return;
    }
    world.resource_scope(|world, mut snapshots: Mut<Snapshots>| {
        let mut runtimes = world.resource_mut::<Runtimes>();
        let runtime = runtimes.get_mut(handle).expect("the handle is live");
        let spent = runtime.state.flops;
        let lr_scale = runtime.state.lr_scale * governor.lr_backoff;
        runtime.copy_state_from(snapshots.back_to(id));
        runtime.fault = None;
        runtime.state.flops = spent;
        runtime.state.lr_scale = lr_scale;
    });
    let runtimes = world.resource::<Runtimes>();
    let to_step = runtimes.get(handle).expect("the handle is live").state.step;
    world.entity_mut(entity).insert(Restored);
    let to = RollbackTo::Snapshot;
    world.write_message(HostRolledBack { host: id, from_step, to_step, to, n_rollbacks });
}
