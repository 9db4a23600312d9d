//! The ring of snapshots: where a host can go back to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::HostId,
    runtime::{HostRuntime, HostSnapshot},
    world::{hosts::Hosts, plugin::RunStatus},
};
use esper_nn::device::DeviceError;

use super::config::TolariaConfig;

/// The newest snapshots of each host, oldest first; none has an unjudged graft in it.
#[derive(Resource, Default)]
pub struct Snapshots(pub(super) BTreeMap<HostId, Ring>);

/// The snapshots of one host.
#[derive(Default)]
pub(super) struct Ring {
    pub snapshots: VecDeque<HostSnapshot>,
    /// Whether the newest has been gone back to since it was taken.
    pub is_used: bool,
}

impl Snapshots {
    /// The newest snapshot of `host`, or the one before it if the host already came back from it in vain.
    pub(super) fn back_to(&mut self, host: HostId) -> &HostSnapshot {
        let ring =
            self.0.get_mut(&host).expect("the first snapshot is taken before the first step");
        if ring.is_used && ring.snapshots.len() > 1 {
            ring.snapshots.pop_back();
        }
        ring.is_used = true;
        ring.snapshots.back().expect("a ring has a snapshot")
    }

    /// How many snapshots of `host` there are.
    pub fn len(&self, host: HostId) -> usize {
        self.0.get(&host).map_or(0, |ring| ring.snapshots.len())
    }
}

impl Ring {
    fn take(&mut self, host: &HostRuntime, snapshots_max: usize) -> Result<(), DeviceError> {
        self.is_used = false;
        if self.snapshots.len() < snapshots_max {
            self.snapshots.push_back(host.to_snapshot()?);
        } else {
            // The oldest one's memory becomes the newest's.
            let mut oldest = self.snapshots.pop_front().expect("a ring has a snapshot");
            host.update_snapshot(&mut oldest)?;
            self.snapshots.push_back(oldest);
        }
        Ok(())
    }

    /// Whether a snapshot of `host` belongs to another network than the ring's, so that the ring has to go.
    fn is_of_another_network(&self, host: &HostRuntime) -> bool {
        self.snapshots.back().is_some_and(|newest| {
            // Blended modules are fossils that are not part of the program yet: both have the same.
            let is_same = Arc::ptr_eq(&newest.program, host.program());
            !is_same || !newest.blended().eq(host.blended())
        })
    }
}

/// Takes a first snapshot of every host before its first step.
///
/// # Errors
///
/// Fails when the device has no room.
pub(super) fn take_first(
    snapshots: &mut Snapshots,
    id: HostId,
    host: &HostRuntime,
) -> Result<(), DeviceError> {
    snapshots.0.entry(id).or_default().take(host, 1)
}

/// Takes the snapshots that are due. While a seed is grafted, the twin's are the host's.
pub(super) fn take_snapshots(
    config: Res<TolariaConfig>,
    hosts: Hosts,
    mut snapshots: ResMut<Snapshots>,
    mut status: ResMut<RunStatus>,
) {
    for (id, host) in hosts.principals() {
        let source = hosts.twin(host).unwrap_or(host);
        if hosts.fault(source).is_some() {
            continue;
        }
        let runtime = hosts.runtime(source);
        let ring = snapshots.0.entry(id).or_default();
        if ring.is_of_another_network(runtime) {
            ring.snapshots.clear();
        }
        let is_due = ring.snapshots.back().is_none_or(|newest| {
            newest.state.step + config.governor.snapshot_every_steps <= runtime.state.step
        });
        if is_due
            && !hosts.is_pinned(source)
            && let Err(error) = ring.take(runtime, config.governor.snapshots_max)
        {
            status.fail(error.to_string());
        }
    }
}
