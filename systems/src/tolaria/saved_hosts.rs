//! What checkpoints keep of hosts: their components, their numbers and their snapshots.
//!
//! Tensors go into the [`TensorMap`] that the checkpoint puts into the world for as long as it saves or loads.

use std::collections::BTreeMap;

use bevy_ecs::{prelude::*, system::SystemState};
use esper_engine::{
    ids::{HostId, Index},
    runtime::{DataView, HostRuntime, LoadHostError, Runtimes, SavedHost, TensorMap, TrainPlan},
    world::{
        components::{
            FinalModel, Pinned, Principal, Recompiling, ReplicaOf, Rollbacks, Runtime, TwinOf,
        },
        hosts::{HostSites, Hosts, HostsMut},
        plugin::{Clock, Engine, RunSeed, RunStatus},
        save::{LoadError, LoadFailure, SavedAs, SavedWorld},
    },
};
use serde::{Deserialize, Serialize};

use super::{
    config::HostConfigs,
    snapshots::{Ring, Snapshots},
};

const NUMBERS: &str = "host.numbers";

/// Registers everything of a run and its hosts that is saved.
pub(super) fn register(engine: &mut Engine) {
    engine
        .add_saved::<Clock>("run.clock")
        .add_saved::<RunSeed>("run.seed")
        .add_saved_as::<IsCompleted>("run.is_completed")
        .add_saved_entities::<HostId>("host")
        .add_saved_component::<HostId, Principal>("host.is_principal")
        .add_saved_component::<HostId, HostSites>("host.sites")
        .add_saved_component::<HostId, Rollbacks>("host.rollbacks")
        .add_saved_component::<HostId, TrainPlan>("host.train_plan")
        .add_saved_component::<HostId, DataView>("host.data_view")
        .add_saved_component::<HostId, FinalModel>("host.final_model")
        .add_saved_component::<HostId, Recompiling>("host.is_recompiling")
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

/// The run has no host of that name.
#[derive(Debug, thiserror::Error)]
#[error("{host} is in the checkpoint, and this run has not so many hosts")]
struct UnknownHost {
    host: HostId,
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

/// Parameters, moments, buffers and cursors of every host and of its twin.
struct HostNumbers;

/// A host, and what was forked from it while a seed is grafted: copies have no names of their own.
#[derive(Serialize, Deserialize)]
struct SavedNumbers {
    host: SavedHost,
    twin: Option<SavedTwin>,
    /// The hosts of the other pairs with their twins.
    replicas: Vec<[SavedHost; 2]>,
}

#[derive(Serialize, Deserialize)]
struct SavedTwin {
    is_pinned: bool,
    numbers: SavedHost,
}

impl SavedAs for HostNumbers {
    type Form = Vec<(HostId, SavedNumbers)>;

    fn save(world: &mut World) -> Self::Form {
        let mut state = SystemState::<(Hosts, ResMut<TensorMap>)>::new(world);
        let (hosts, mut tensors) = state.get_mut(world).expect("a checkpoint has tensors");
        hosts
            .principals()
            .map(|(id, entity)| {
                let host = hosts.runtime(entity).save(&owner_of(id), &mut tensors);
                let twin = hosts.twin(entity).map(|twin| SavedTwin {
                    is_pinned: hosts.is_pinned(twin),
                    numbers: hosts.runtime(twin).save(&twin_owner(id), &mut tensors),
                });
                let replicas = hosts.replicas(entity).iter().enumerate().map(|(n, replica)| {
                    let twin = hosts.twin(*replica).expect("a replica has a twin");
                    let [owner, twin_owner] = replica_owners(id, n);
                    let replica = hosts.runtime(*replica).save(&owner, &mut tensors);
                    [replica, hosts.runtime(twin).save(&twin_owner, &mut tensors)]
                });
                let replicas = replicas.collect();
                (id, SavedNumbers { host, twin, replicas })
            })
            .collect()
    }

    fn load(world: &mut World, saved: Self::Form) -> Result<(), LoadFailure> {
        for (id, SavedNumbers { host, twin, replicas }) in saved {
            let entity = world.resource::<Index<HostId>>().entity(id);
            let entity = entity.ok_or_else(|| format!("{id} is not in the checkpoint"))?;
            let mut host = load_host(world, id, host, &owner_of(id))?;
            apply_plans(world, id, entity, &mut host)?;
            let handle = world.resource_mut::<Runtimes>().insert(host);
            world.entity_mut(entity).insert(Runtime(handle));
            let load_copy = |world: &mut World, saved, owner: &str| {
                let mut copy = load_host(world, id, saved, owner)?;
                apply_plans(world, id, entity, &mut copy)?;
                Ok::<_, LoadFailure>(Runtime(world.resource_mut::<Runtimes>().insert(copy)))
            };
            if let Some(SavedTwin { is_pinned, numbers }) = twin {
                let runtime = load_copy(world, numbers, &twin_owner(id))?;
                let mut twin = world.spawn((TwinOf(entity), runtime));
                if is_pinned {
                    twin.insert(Pinned);
                }
            }
            for (n, [replica, twin]) in replicas.into_iter().enumerate() {
                let [owner, twin_owner] = replica_owners(id, n);
                let runtime = load_copy(world, replica, &owner)?;
                let replica = world.spawn((ReplicaOf(entity), runtime)).id();
                let runtime = load_copy(world, twin, &twin_owner)?;
                world.spawn((TwinOf(replica), runtime));
            }
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
            let configs = world.resource::<HostConfigs>();
            let rings = world.resource::<Snapshots>().0.iter();
            rings
                .map(|(id, ring)| {
                    let config = &configs.0[id];
                    let snapshots = ring.snapshots.iter().enumerate();
                    let saved = snapshots.map(|(n, snapshot)| {
                        snapshot.save(config, &snapshot_owner(*id, n), &mut tensors)
                    });
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
                let snapshot = host.to_snapshot().map_err(LoadHostError::from);
                let failure = |source| HostFailure { host: id, source };
                ring.snapshots.push_back(snapshot.map_err(failure)?);
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

fn twin_owner(host: HostId) -> String {
    format!("{host}/twin/")
}

fn replica_owners(host: HostId, n: usize) -> [String; 2] {
    [format!("{host}/replica{n}/"), format!("{host}/replica{n}/twin/")]
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
    let config = world.resource::<HostConfigs>().0.get(&host).cloned();
    let config = config.ok_or(UnknownHost { host })?;
    HostRuntime::load(config, saved, owner, world.resource::<TensorMap>())
        .map_err(|source| HostFailure { host, source }.into())
}

/// Has the numbers of a host, or of its twin, train by and on what the components of `host` say.
fn apply_plans(
    world: &World,
    id: HostId,
    host: Entity,
    runtime: &mut HostRuntime,
) -> Result<(), LoadFailure> {
    let (train, view) = (world.get::<TrainPlan>(host), world.get::<DataView>(host));
    let (Some(train), Some(view)) = (train, view) else {
        return Err(format!("what {id} is trained by is not in the checkpoint").into());
    };
    runtime.set_data_view(*view);
    let set = runtime.set_train_plan(train).map_err(LoadHostError::from);
    set.map_err(|source| HostFailure { host: id, source }.into())
}

/// Snapshots of one network share its program with the host, or with its twin, as they did before.
fn share_programs(world: &mut World, rings: &mut BTreeMap<HostId, Ring>) {
    let mut state = SystemState::<HostsMut>::new(world);
    let mut hosts = state.get_mut(world).expect("the engine has hosts");
    for (id, ring) in rings {
        let Some(host) = hosts.entity(*id) else { continue };
        let runtime = hosts.runtime(host);
        let (graph, program) = (runtime.graph.clone(), runtime.program().clone());
        for snapshot in &mut ring.snapshots {
            if snapshot.program == program {
                (snapshot.graph, snapshot.program) = (graph.clone(), program.clone());
            }
        }
        if let Some((host, twin)) = hosts.pair_mut(host) {
            twin.share_network(host);
        }
    }
}

/// The hosts of `saved` by name, twins left out; each with the owner of its tensors.
pub(super) fn principals(
    saved: &SavedWorld,
) -> Result<Vec<(HostId, String, SavedHost)>, LoadError> {
    let hosts: Vec<(HostId, SavedNumbers)> = saved.read(NUMBERS)?;
    Ok(hosts.into_iter().map(|(id, numbers)| (id, owner_of(id), numbers.host)).collect())
}

/// Names the host that `source` is about.
pub(super) fn refused(host: HostId, source: LoadHostError) -> LoadError {
    LoadError::Refused { name: NUMBERS.to_owned(), source: HostFailure { host, source }.into() }
}

/// Says that the run has no such host.
pub(super) fn unknown_host(host: HostId) -> LoadError {
    LoadError::Refused { name: NUMBERS.to_owned(), source: UnknownHost { host }.into() }
}
