//! What checkpoints keep of hosts: their components, their numbers and their snapshots.
//!
//! Tensors go into the [`TensorMap`] that the checkpoint puts into the world for as long as it saves or loads.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::{HostRuntime, LoadHostError, Runtimes, SavedHost, TensorMap},
    world::{
        components::{Fork, HostRole, Rollbacks, Runtime},
        ids::{HostId, Index},
        plugin::{Clock, Engine, RunSeed, RunStatus},
        save::{LoadError, LoadFailure, SavedAs, SavedWorld},
    },
};

use super::{
    config::HostConfigs,
    snapshots::{Ring, Snapshots},
};

const ROLES: &str = "host.role";
const NUMBERS: &str = "host.numbers";

/// Registers everything of a run and its hosts that is saved.
pub(super) fn register(engine: &mut Engine) {
    engine
        .add_saved::<Clock>("run.clock")
        .add_saved::<RunSeed>("run.seed")
        .add_saved_as::<IsCompleted>("run.is_completed")
        .add_saved_entities::<HostId>("host")
        .add_saved_component::<HostId, HostRole>(ROLES)
        .add_saved_component::<HostId, Fork>("host.fork")
        .add_saved_component::<HostId, Rollbacks>("host.rollbacks")
        .add_saved_as::<HostNumbers>(NUMBERS)
        .add_saved_as::<SnapshotRings>("host.snapshots");
}

/// A host can not be had back.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {source}")]
struct HostFailure {
    host: HostId,
    source: LoadHostError,
}

/// The data of a run gives no host its stream.
#[derive(Debug, thiserror::Error)]
#[error("{host} reads stream {stream}, which this run has not")]
struct UnknownStream {
    host: HostId,
    stream: u64,
}

/// Whether every host had taken its steps: a run killed after its last checkpoint has no tick left to take.
struct IsCompleted;

impl SavedAs for IsCompleted {
    type Form = bool;

    fn save(world: &mut World) -> bool {
        *world.resource::<RunStatus>() == RunStatus::Completed
    }

    fn load(world: &mut World, is_completed: bool) -> Result<(), LoadFailure> {
        if is_completed {
            world.insert_resource(RunStatus::Completed);
        }
        Ok(())
    }
}

/// Parameters, moments, buffers and cursors, host after host.
struct HostNumbers;

impl SavedAs for HostNumbers {
    type Form = Vec<(HostId, SavedHost)>;

    fn save(world: &mut World) -> Self::Form {
        world.resource_scope(|world, mut tensors: Mut<TensorMap>| {
            let hosts = world.resource::<Index<HostId>>().iter();
            hosts
                .map(|(id, entity)| {
                    let Runtime(handle) = *world.get(entity).expect("every host has numbers");
                    let host =
                        world.resource::<Runtimes>().get(handle).expect("the handle is live");
                    (id, host.save(&owner_of(id), &mut tensors))
                })
                .collect()
        })
    }

    fn load(world: &mut World, saved: Self::Form) -> Result<(), LoadFailure> {
        for (id, saved) in saved {
            let host = load_host(world, id, saved, &owner_of(id))?;
            let handle = world.resource_mut::<Runtimes>().insert(host);
            let entity = world.resource::<Index<HostId>>().entity(id);
            let entity = entity.ok_or_else(|| format!("{id} is not in the checkpoint"))?;
            world.entity_mut(entity).insert(Runtime(handle));
        }
        Ok(())
    }
}

/// Every host's ring of snapshots, oldest first.
struct SnapshotRings;

impl SavedAs for SnapshotRings {
    /// By host: whether the newest was gone back to, and the snapshots.
    type Form = Vec<(HostId, bool, Vec<SavedHost>)>;

    fn save(world: &mut World) -> Self::Form {
        world.resource_scope(|world, mut tensors: Mut<TensorMap>| {
            let rings = world.resource::<Snapshots>().0.iter();
            rings
                .map(|(id, ring)| {
                    let snapshots = ring.snapshots.iter().enumerate();
                    let saved =
                        snapshots.map(|(n, host)| host.save(&snapshot_owner(*id, n), &mut tensors));
                    (*id, ring.is_used, saved.collect())
                })
                .collect()
        })
    }

    fn load(world: &mut World, saved: Self::Form) -> Result<(), LoadFailure> {
        let mut rings = BTreeMap::new();
        for (id, is_used, saved) in saved {
            let mut ring = Ring { is_used, ..Default::default() };
            for (n, saved) in saved.into_iter().enumerate() {
                let host = load_host(world, id, saved, &snapshot_owner(id, n))?;
                ring.snapshots.push_back(host.to_snapshot());
            }
            rings.insert(id, ring);
        }
        share_programs(world, &mut rings);
        world.insert_resource(Snapshots(rings));
        Ok(())
    }
}

fn owner_of(host: HostId) -> String {
    format!("{host}/")
}

fn snapshot_owner(host: HostId, n: usize) -> String {
    format!("{host}/snapshot{n}/")
}

fn load_host(
    world: &World,
    host: HostId,
    saved: SavedHost,
    owner: &str,
) -> Result<HostRuntime, LoadFailure> {
    let stream = saved.stream();
    let config = world.resource::<HostConfigs>().0.get(&stream).cloned();
    let config = config.ok_or(UnknownStream { host, stream })?;
    HostRuntime::load(config, saved, owner, world.resource::<TensorMap>())
        .map_err(|source| HostFailure { host, source }.into())
}

/// Snapshots of one network share its program with the host, or with its twin, as they did before.
fn share_programs(world: &mut World, rings: &mut BTreeMap<HostId, Ring>) {
    for (id, ring) in rings {
        let Some(entity) = world.resource::<Index<HostId>>().entity(*id) else { continue };
        let Runtime(handle) = *world.get::<Runtime>(entity).expect("every host has numbers");
        let host = world.resource::<Runtimes>().get(handle).expect("the handle is live");
        let (graph, program) = (host.graph.clone(), host.program.clone());
        for snapshot in &mut ring.snapshots {
            if snapshot.program == program {
                (snapshot.graph, snapshot.program) = (graph.clone(), program.clone());
            }
        }
        let Some(Fork(fork)) = world.get::<Fork>(entity).copied() else { continue };
        let Some(entity) = world.resource::<Index<HostId>>().entity(fork) else { continue };
        let Runtime(handle) = *world.get::<Runtime>(entity).expect("every host has numbers");
        let mut runtimes = world.resource_mut::<Runtimes>();
        let twin = runtimes.get_mut(handle).expect("the handle is live");
        (twin.graph, twin.program) = (graph, program);
    }
}

/// The hosts of `saved` that are no forks, by name; each with the owner of its tensors.
pub(super) fn principals(
    saved: &SavedWorld,
) -> Result<Vec<(HostId, String, SavedHost)>, LoadError> {
    let roles: BTreeMap<HostId, HostRole> =
        saved.read::<Vec<(HostId, HostRole)>>(ROLES)?.into_iter().collect();
    let hosts: Vec<(HostId, SavedHost)> = saved.read(NUMBERS)?;
    let principals = hosts.into_iter().filter(|(id, _)| roles[id] == HostRole::Principal);
    Ok(principals.map(|(id, host)| (id, owner_of(id), host)).collect())
}

/// Names the host that `source` is about.
pub(super) fn refused(host: HostId, source: LoadHostError) -> LoadError {
    LoadError::Refused { name: NUMBERS.to_owned(), source: HostFailure { host, source }.into() }
}
