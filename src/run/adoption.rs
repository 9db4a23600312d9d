//! Adoption: a run that shares a library takes over what other runs found valid there, and compiles none of it again.
//!
//! It happens while the run is built, before its first tick, and what was adopted is journalled: a replay, which has no
//! library, adopts the same kernels.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bevy_ecs::prelude::*;
use esper_engine::{
    forge::Job,
    ids::{BlueprintId, KernelId},
    runtime::Runtimes,
    world::{
        blueprint::{Blueprint, BlueprintBundle, BlueprintStatus},
        hosts::HostSites,
        kernel::{Kernel, KernelBundle, KernelStatus, Measured, SafetySheet},
        kernel_cache::KernelCache,
    },
};
use esper_nn::{
    contract::Contract,
    program::{Program, Variant},
};
use esper_systems::{
    karn,
    nissa::KernelAdopted,
    tezzeret::{CompileJob, Compiled, DEVICE},
    urabrask::{Rules, UrabraskConfig},
    urza::{KernelRecord, LibraryError, OpenLibrary},
};

use crate::scenario::Scenario;

/// Adopts the kernels that another run left valid in the open library, as far as they keep this scenario's limits.
///
/// Their programs stay in the library until one is bound.
///
/// # Errors
///
/// Fails when the library can not be read.
pub fn adopt_known(
    world: &mut World,
    scenario: &Scenario,
) -> Result<Vec<KernelAdopted>, LibraryError> {
    let designs = designs(world);
    let ids: Vec<KernelId> = designs.keys().flat_map(|id| kernel_ids(*id)).collect();
    let rules = UrabraskConfig::new(scenario).rules();
    let mut adoptions = Adoptions::default();
    for record in world.resource::<OpenLibrary>().known_kernels(&ids)? {
        if keeps(&record, &rules) {
            adoptions.entry(record.blueprint).or_default().push(record.into());
        }
    }
    Ok(spawn(world, designs, adoptions))
}

/// Adopts the kernels that a journal says were adopted, compiled on the spot. One that the catalogue does not bring
/// any more is left out, and so is missed in the replay's own journal.
pub fn adopt_recorded(world: &mut World, recorded: &[KernelAdopted]) -> Vec<KernelAdopted> {
    let designs = designs(world);
    let wanted: BTreeSet<KernelId> = recorded.iter().map(|it| it.kernel).collect();
    let mut adoptions = Adoptions::default();
    for (id, (_, blueprint)) in &designs {
        if !kernel_ids(*id).any(|kernel| wanted.contains(&kernel)) {
            continue;
        }
        // What does not compile was never adopted.
        let compiled = CompileJob { blueprint: *id, graph: blueprint.graph.clone() }.run();
        let compiled = compiled.into_iter().flatten().filter(|it| wanted.contains(&it.id));
        adoptions.insert(*id, compiled.map(Into::into).collect());
    }
    spawn(world, designs, adoptions)
}

/// What Karn will design, with what it is for.
type Designs = BTreeMap<BlueprintId, (Contract, Blueprint)>;
/// What is adopted of each blueprint.
type Adoptions = BTreeMap<BlueprintId, Vec<Adopted>>;

/// A kernel that need not be compiled or judged.
struct Adopted {
    id: KernelId,
    kernel: Kernel,
    program: Option<Arc<Program>>,
    safety: Option<SafetySheet>,
    measured: Option<Measured>,
}

impl From<KernelRecord> for Adopted {
    fn from(record: KernelRecord) -> Self {
        let (id, kernel) = (record.id, record.to_kernel());
        Self { id, kernel, program: None, safety: record.safety, measured: record.measured }
    }
}

impl From<Compiled> for Adopted {
    fn from(Compiled { id, kernel, program }: Compiled) -> Self {
        Self { id, kernel, program: Some(program), safety: None, measured: None }
    }
}

fn designs(world: &World) -> Designs {
    let contracts: BTreeSet<Contract> = world
        .resource::<Runtimes>()
        .iter()
        .flat_map(|host| {
            let (sites, program) = (HostSites::of(host.program(), &host.graph), host.program());
            sites.iter().map(move |site| sites.contract(site, program))
        })
        .collect();
    let of = |contract| {
        let blueprints = karn::blueprints_for(world, contract).into_iter();
        blueprints.map(move |(id, blueprint)| (id, (contract, blueprint)))
    };
    contracts.into_iter().flat_map(of).collect()
}

fn kernel_ids(blueprint: BlueprintId) -> impl Iterator<Item = KernelId> {
    Variant::ALL.into_iter().map(move |variant| Kernel::id(blueprint, DEVICE, variant.name()))
}

/// Whether a verdict given by another scenario's rules would stand by these. One that does not say is not relied on:
/// memory and time are known for the batch they were judged at alone.
fn keeps(record: &KernelRecord, rules: &Rules) -> bool {
    let (Some(safety), Some(measured)) = (&record.safety, &record.measured) else { return false };
    let latency_us = measured.forward_ns.saturating_add(measured.backward_ns) / 1000;
    measured.batch as usize == rules.batch
        && latency_us <= rules.latency_max_us
        && safety.memory_bytes <= rules.memory_max_bytes
        && safety.flops_per_example <= rules.flops_max
        && safety.gradient_growth.is_none_or(|growth| growth <= rules.grad_growth_max)
}

/// Brings what is adopted into the world, in the order of names.
fn spawn(world: &mut World, mut designs: Designs, adoptions: Adoptions) -> Vec<KernelAdopted> {
    let mut events = Vec::new();
    for (id, mut kernels) in adoptions {
        let (contract, blueprint) = designs.remove(&id).expect("only designs are asked for");
        let (family, params_elems) = (blueprint.family.clone(), blueprint.params_elems);
        let bundle = BlueprintBundle::new(blueprint, contract, BlueprintStatus::Validated);
        let parent = world.spawn(bundle).id();
        kernels.sort_by_key(|kernel| kernel.id);
        for Adopted { id: kernel_id, kernel, program, safety, measured } in kernels {
            let (family, variant) = (family.clone(), kernel.variant.clone());
            events.push(KernelAdopted {
                kernel: kernel_id,
                blueprint: id,
                family,
                variant,
                params_elems,
            });
            if let Some(program) = program {
                world.resource_mut::<KernelCache>().insert(kernel_id, program);
            }
            let status = KernelStatus::Validated;
            let mut entity = world.spawn(KernelBundle::new(kernel_id, kernel, status, parent));
            if let Some(safety) = safety {
                entity.insert(safety);
            }
            if let Some(measured) = measured {
                entity.insert(measured);
            }
        }
    }
    events
}
