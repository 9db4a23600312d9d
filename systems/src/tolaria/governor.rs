//! The governor: a host at fault goes back to a snapshot, and is trained more gently from there.

use bevy_ecs::prelude::*;
use esper_engine::world::{
    components::{Faulted, HostRestored, Rollbacks},
    hosts::HostsMut,
    ids::HostId,
    plugin::RunStatus,
};

use super::{config::TolariaConfig, snapshots::Snapshots};
use crate::oona::{HostRolledBack, RollbackTo};

/// Rolls back every host that Kasmina's withdrawal has not already put right.
pub(super) fn restore_hosts(
    config: Res<TolariaConfig>,
    faulty: Query<(&HostId, Entity, &Faulted, Option<&Rollbacks>)>,
    mut hosts: HostsMut,
    mut snapshots: ResMut<Snapshots>,
    mut status: ResMut<RunStatus>,
    mut messages: MessageWriter<HostRolledBack>,
    mut commands: Commands,
) {
    let governor = &config.governor;
    let mut faulty: Vec<_> = faulty.iter().collect();
    faulty.sort_unstable_by_key(|(id, ..)| **id);
    for (&id, entity, Faulted(fault), rollbacks) in faulty {
        let n_rollbacks = rollbacks.map_or(0, |count| count.0) + 1;
        commands.entity(entity).insert(Rollbacks(n_rollbacks));
        let runtime = hosts.runtime_mut(entity);
        let from_step = runtime.state.step;
        if n_rollbacks > governor.rollbacks_max as u64 {
            *status = RunStatus::Failed(format!(
                "{id} met `{}` at step {from_step} after {} rollbacks (governor.rollbacks_max); a lower \
                 train.optimizer.lr or train.clip_norm may help",
                fault.name(),
                n_rollbacks - 1
            ));
            continue;
        }
        let spent = runtime.state.flops;
        let lr_scale = runtime.state.lr_scale * governor.lr_backoff;
        let restored = runtime.restore(snapshots.back_to(id));
        if runtime.noting(restored).is_err() {
            continue; // The device failed, and the run ends.
        }
        runtime.fault = None;
        runtime.state.flops = spent;
        runtime.state.lr_scale = lr_scale;
        let (to_step, to) = (runtime.state.step, RollbackTo::Snapshot);
        messages.write(HostRolledBack { host: id, from_step, to_step, to, n_rollbacks });
        commands.entity(entity).remove::<Faulted>();
        commands.trigger(HostRestored { entity });
    }
}
