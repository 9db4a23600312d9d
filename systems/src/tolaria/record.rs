//! The world as a checkpoint keeps it: entities by lasting name, numbers in a book of tensors.

use std::collections::BTreeMap;

use bevy_ecs::{prelude::*, system::SystemState};
use esper_engine::{
    journal::JournalPosition,
    runtime::{HostRuntime, LoadHostError, Runtimes, SavedHost, TensorMap},
    world::{
        blueprint::{Attempts, Blueprint, BlueprintBundle, BlueprintStatus},
        components::{
            Active, Alpha, Blend, Embargo, ModuleContract, NonFinite, Pinned, Recompiling,
            Rollbacks, Runtime, SeedModule, SeedOf, StageClock, Telemetry, TwinOf, Withdrawing,
        },
        gate::GateState,
        hosts::{HostSites, Hosts, HostsMut, spawn_host},
        ids::{BlueprintId, HostId, Index, KernelId, SeedId, SiteId},
        kernel::{
            DeploymentCount, Kernel, KernelBundle, KernelOf, KernelStatus, Measured, Penalties,
            SafetySheet,
        },
        plugin::{Clock, RunSeed, RunStatus},
        save::{self, LoadError},
        stage::Stage,
    },
};
use serde::{Deserialize, Serialize};

use super::{config::HostConfigs, snapshots::Snapshots};

/// Everything of a run but its tensors.
#[derive(Serialize, Deserialize)]
pub(super) struct WorldRecord {
    pub tick: u64,
    /// Whether every host had taken its steps: a run killed after its last checkpoint has no tick left to take.
    is_over: bool,
    pub run_seed: u64,
    pub journal: JournalPosition,
    hosts: Vec<HostRecord>,
    rings: Vec<(HostId, bool, Vec<SavedHost>)>,
    seeds: Vec<SeedRecord>,
    blueprints: Vec<BlueprintRecord>,
    kernels: Vec<KernelRecord>,
    resources: Vec<(String, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct HostRecord {
    id: HostId,
    sites: HostSites,
    rollbacks: Option<Rollbacks>,
    is_recompiling: bool,
    saved: SavedHost,
    twin: Option<TwinRecord>,
}

#[derive(Serialize, Deserialize)]
struct TwinRecord {
    is_pinned: bool,
    saved: SavedHost,
}

#[derive(Serialize, Deserialize)]
struct SeedRecord {
    id: SeedId,
    host: HostId,
    site: SiteId,
    stage: Stage,
    is_active: bool,
    clock: Option<StageClock>,
    seed_module: Option<SeedModule>,
    alpha: Option<Alpha>,
    blend: Option<Blend>,
    non_finite: Option<NonFinite>,
    telemetry: Option<Telemetry>,
    gate_state: Option<GateState>,
    embargo: Option<Embargo>,
    withdrawing: Option<Withdrawing>,
}

#[derive(Serialize, Deserialize)]
struct BlueprintRecord {
    id: BlueprintId,
    blueprint: Blueprint,
    contract: ModuleContract,
    status: BlueprintStatus,
    attempts: Option<Attempts>,
}

#[derive(Serialize, Deserialize)]
struct KernelRecord {
    id: KernelId,
    blueprint: BlueprintId,
    kernel: Kernel,
    status: KernelStatus,
    deployments: Option<DeploymentCount>,
    penalties: Option<Penalties>,
    sheet: Option<SafetySheet>,
    measured: Option<Measured>,
}

/// Why a record does not fit this engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A host can not be had back.
    #[error("{host}: {source}")]
    Host {
        /// The host.
        host: HostId,
        /// What is wrong with it.
        source: LoadHostError,
    },
    /// The record names a host, a stream or a blueprint that is not in it.
    #[error("the checkpoint names {what}, which is not in it")]
    Dangling {
        /// What is missing.
        what: String,
    },
    /// Saved resources do not fit.
    #[error(transparent)]
    Resources(#[from] LoadError),
}

impl WorldRecord {
    /// Reads the world; its tensors go into `book`.
    pub(super) fn capture(
        world: &mut World,
        journal: JournalPosition,
        book: &mut TensorMap,
    ) -> Self {
        Self {
            tick: world.resource::<Clock>().0,
            is_over: *world.resource::<RunStatus>() == RunStatus::Completed,
            run_seed: world.resource::<RunSeed>().0,
            journal,
            hosts: capture_hosts(world, book),
            rings: capture_rings(world, book),
            seeds: capture_seeds(world),
            blueprints: capture_blueprints(world),
            kernels: capture_kernels(world),
            resources: save::save_resources(world),
        }
    }

    /// The hosts, by name; each with the owner of its tensors. Twins are left out.
    pub(super) fn principals(&self) -> impl Iterator<Item = (HostId, String, &SavedHost)> {
        self.hosts.iter().map(|host| (host.id, host_owner(host.id), &host.saved))
    }

    /// Fills a world that has plugins and nothing else.
    pub(super) fn restore(self, world: &mut World, book: &TensorMap) -> Result<(), RecordError> {
        world.resource_mut::<Clock>().0 = self.tick;
        if self.is_over {
            world.insert_resource(RunStatus::Completed);
        }
        world.insert_resource(RunSeed(self.run_seed));
        restore_hosts(world, self.hosts, book)?;
        restore_rings(world, self.rings, book)?;
        for record in self.seeds {
            restore_seed(world, record)?;
        }
        for BlueprintRecord { id, blueprint, contract, status, attempts } in self.blueprints {
            let attempts = attempts.unwrap_or_default();
            world.spawn(BlueprintBundle { id, blueprint, contract, status, attempts });
        }
        for record in self.kernels {
            restore_kernel(world, record)?;
        }
        save::load_resources(world, &self.resources)?;
        Ok(())
    }
}

fn capture_hosts(world: &mut World, book: &mut TensorMap) -> Vec<HostRecord> {
    let mut state = SystemState::<(Hosts, Query<&Rollbacks>)>::new(world);
    let (hosts, rollbacks) = state.get(world).expect("the engine has hosts");
    let mut record = |(id, host)| HostRecord {
        id,
        sites: hosts.sites(host).clone(),
        rollbacks: rollbacks.get(host).ok().copied(),
        is_recompiling: hosts.is_recompiling(host),
        saved: hosts.runtime(host).save(&host_owner(id), book),
        twin: hosts.twin(host).map(|twin| TwinRecord {
            is_pinned: hosts.is_pinned(twin),
            saved: hosts.runtime(twin).save(&twin_owner(id), book),
        }),
    };
    hosts.principals().map(&mut record).collect()
}

fn capture_rings(world: &World, book: &mut TensorMap) -> Vec<(HostId, bool, Vec<SavedHost>)> {
    let configs = world.resource::<HostConfigs>();
    let rings = world.resource::<Snapshots>().0.iter();
    rings
        .map(|(id, ring)| {
            let config = &configs.0[&id.0];
            let saved = ring.snapshots.iter().enumerate();
            let saved = saved
                .map(|(n, snapshot)| snapshot.save(config, &snapshot_owner(*id, n), book))
                .collect();
            (*id, ring.is_used, saved)
        })
        .collect()
}

fn host_owner(host: HostId) -> String {
    format!("{host}/")
}

fn twin_owner(host: HostId) -> String {
    format!("{host}/twin/")
}

fn snapshot_owner(host: HostId, n: usize) -> String {
    format!("{host}/snapshot{n}/")
}

fn capture_seeds(world: &mut World) -> Vec<SeedRecord> {
    let mut query = world.query::<(EntityRef, &SeedId, &SeedOf, &SiteId, &Stage)>();
    let mut seeds: Vec<SeedRecord> = query
        .iter(world)
        .map(|(entity, id, of, site, stage)| SeedRecord {
            id: *id,
            host: *world.get::<HostId>(of.0).expect("every seed has a host"),
            site: *site,
            stage: *stage,
            is_active: entity.contains::<Active>(),
            clock: entity.get().copied(),
            seed_module: entity.get().copied(),
            alpha: entity.get().copied(),
            blend: entity.get().copied(),
            non_finite: entity.get().copied(),
            telemetry: entity.get().copied(),
            gate_state: entity.get().copied(),
            embargo: entity.get().copied(),
            withdrawing: entity.get().copied(),
        })
        .collect();
    seeds.sort_unstable_by_key(|seed| seed.id);
    seeds
}

fn capture_blueprints(world: &mut World) -> Vec<BlueprintRecord> {
    let mut query = world.query::<(
        &BlueprintId,
        &Blueprint,
        &ModuleContract,
        &BlueprintStatus,
        Option<&Attempts>,
    )>();
    let mut blueprints: Vec<BlueprintRecord> = query
        .iter(world)
        .map(|(id, blueprint, contract, status, attempts)| BlueprintRecord {
            id: *id,
            blueprint: blueprint.clone(),
            contract: *contract,
            status: *status,
            attempts: attempts.copied(),
        })
        .collect();
    blueprints.sort_unstable_by_key(|blueprint| blueprint.id);
    blueprints
}

fn capture_kernels(world: &mut World) -> Vec<KernelRecord> {
    let mut query = world.query::<(EntityRef, &KernelId, &Kernel, &KernelStatus, &KernelOf)>();
    let mut kernels: Vec<KernelRecord> = query
        .iter(world)
        .map(|(entity, id, kernel, status, of)| KernelRecord {
            id: *id,
            blueprint: *world.get::<BlueprintId>(of.0).expect("every kernel has a blueprint"),
            kernel: kernel.clone(),
            status: *status,
            deployments: entity.get().copied(),
            penalties: entity.get().copied(),
            sheet: entity.get().cloned(),
            measured: entity.get().cloned(),
        })
        .collect();
    kernels.sort_unstable_by_key(|kernel| kernel.id);
    kernels
}

fn load_host(
    world: &World,
    id: HostId,
    saved: SavedHost,
    owner: &str,
    book: &TensorMap,
) -> Result<HostRuntime, RecordError> {
    let stream = saved.stream();
    let config = world.resource::<HostConfigs>().0.get(&stream).cloned();
    let config =
        config.ok_or_else(|| RecordError::Dangling { what: format!("stream {stream}") })?;
    HostRuntime::load(config, saved, owner, book)
        .map_err(|source| RecordError::Host { host: id, source })
}

fn restore_hosts(
    world: &mut World,
    hosts: Vec<HostRecord>,
    book: &TensorMap,
) -> Result<(), RecordError> {
    for HostRecord { id, sites, rollbacks, is_recompiling, saved, twin } in hosts {
        let runtime = load_host(world, id, saved, &host_owner(id), book)?;
        let host = spawn_host(world, id, runtime);
        let mut entity = world.entity_mut(host);
        entity.insert(sites);
        if let Some(rollbacks) = rollbacks {
            entity.insert(rollbacks);
        }
        if is_recompiling {
            entity.insert(Recompiling);
        }
        let Some(TwinRecord { is_pinned, saved }) = twin else { continue };
        let runtime = load_host(world, id, saved, &twin_owner(id), book)?;
        let handle = world.resource_mut::<Runtimes>().insert(runtime);
        let mut twin = world.spawn((TwinOf(host), Runtime(handle)));
        if is_pinned {
            twin.insert(Pinned);
        }
    }
    Ok(())
}

fn restore_rings(
    world: &mut World,
    rings: Vec<(HostId, bool, Vec<SavedHost>)>,
    book: &TensorMap,
) -> Result<(), RecordError> {
    let mut restored = BTreeMap::new();
    for (id, is_used, saved) in rings {
        let mut ring = super::snapshots::Ring { is_used, ..Default::default() };
        for (n, saved) in saved.into_iter().enumerate() {
            let host = load_host(world, id, saved, &snapshot_owner(id, n), book)?;
            let snapshot = host.to_snapshot().map_err(LoadHostError::from);
            let snapshot = snapshot.map_err(|source| RecordError::Host { host: id, source })?;
            ring.snapshots.push_back(snapshot);
        }
        restored.insert(id, ring);
    }
    share_programs(world, &mut restored);
    world.insert_resource(Snapshots(restored));
    Ok(())
}

/// Snapshots of one network share its program with the host, or with its twin, as they did before.
fn share_programs(world: &mut World, rings: &mut BTreeMap<HostId, super::snapshots::Ring>) {
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
        if let Some((runtime, twin)) = hosts.pair_mut(host) {
            twin.share_network(runtime);
        }
    }
}

fn restore_seed(world: &mut World, record: SeedRecord) -> Result<(), RecordError> {
    let host = world.resource::<Index<HostId>>().entity(record.host);
    let host = host.ok_or_else(|| RecordError::Dangling { what: record.host.to_string() })?;
    let mut entity = world.spawn((record.id, SeedOf(host), record.site, record.stage));
    if record.is_active {
        entity.insert(Active);
    }
    macro_rules! put {
        ($($field:ident),*) => {
            $(if let Some(component) = record.$field { entity.insert(component); })*
        };
    }
    put!(clock, seed_module, alpha, blend, non_finite, telemetry, gate_state, embargo, withdrawing);
    Ok(())
}

fn restore_kernel(world: &mut World, record: KernelRecord) -> Result<(), RecordError> {
    let of = world.resource::<Index<BlueprintId>>().entity(record.blueprint);
    let of = of.ok_or_else(|| RecordError::Dangling { what: format!("{:?}", record.blueprint) })?;
    let mut entity = world.spawn(KernelBundle::new(record.id, record.kernel, record.status, of));
    macro_rules! put {
        ($($field:ident),*) => {
            $(if let Some(component) = record.$field { entity.insert(component); })*
        };
    }
    put!(deployments, penalties, sheet, measured);
    Ok(())
}
