//! Planting: every site has a dormant seed, from the start and after each end.

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::Runtimes,
    world::{
        blueprint::SiteContracts,
        components::{Embargo, HostRole, Runtime, SeedOf, Site},
        ids::{HostId, SeedId},
        stage::Stage,
    },
};
use esper_nn::contract::Contract;

use super::{
    components::{NextSeed, Withdrawals},
    config::KasminaConfig,
};
use crate::oona::SeedPlanted;

/// Plants the sites of every host that has no seeds yet, and says what modules have to fit.
pub(super) fn plant_first_seeds(
    world: &mut World,
    hosts: &mut QueryState<(Entity, &HostId, &HostRole), (With<Runtime>, Without<Planted>)>,
) {
    let mut bare: Vec<(HostId, Entity)> = hosts
        .iter(world)
        .filter(|(_, _, role)| **role == HostRole::Principal)
        .map(|(entity, id, _)| (*id, entity))
        .collect();
    if bare.is_empty() {
        return;
    }
    bare.sort_unstable();
    let config = world.resource::<KasminaConfig>().clone();
    for (_, host) in bare {
        world.entity_mut(host).insert(Planted);
        if !config.plants_seeds {
            continue;
        }
        let Runtime(handle) = *world.get::<Runtime>(host).expect("it was queried");
        let mut runtimes = world.resource_mut::<Runtimes>();
        let runtime = runtimes.get_mut(handle).expect("the handle is live");
        let n_sites = runtime.program.sites.len();
        runtime.sampled_sites = if n_sites == 0 { 0 } else { u64::MAX >> (64 - n_sites) };
        let contracts: Vec<Contract> =
            (0..n_sites).map(|site| runtime.program.contract(site)).collect();
        for (site, contract) in contracts.into_iter().enumerate() {
            world.resource_mut::<SiteContracts>().0.insert(contract);
            // A host that comes back from a checkpoint has its seeds already.
            let n_present = seeds_at(world, host, site as u16);
            for _ in n_present..config.kasmina.seeds_per_site {
                plant(world, host, Site(site as u16), None);
            }
        }
    }
}

/// The host's sites have their seeds.
#[derive(Component)]
pub(super) struct Planted;

fn seeds_at(world: &mut World, host: Entity, site: u16) -> usize {
    let mut seeds = world.query::<(&SeedOf, &Site, &Stage)>();
    let here = seeds
        .iter(world)
        .filter(|(of, at, stage)| of.0 == host && at.0 == site && (!stage.is_terminal()));
    here.count()
}

/// Gives every site whose seed ended in this tick a new dormant one, which rests first.
pub(super) fn replant_sites(world: &mut World) {
    if world.resource::<Withdrawals>().0.is_empty() {
        return;
    }
    let ended = std::mem::take(&mut world.resource_mut::<Withdrawals>().0);
    let embargo_epochs = world.resource::<KasminaConfig>().kasmina.embargo_epochs;
    for seed in ended {
        let site = *world.get::<Site>(seed).expect("every seed has a site");
        let SeedOf(host) = *world.get::<SeedOf>(seed).expect("every seed has a host");
        let stage = *world.get::<Stage>(seed).expect("every seed has a stage");
        let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
        let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
        let rest = (embargo_epochs * runtime.config.steps_per_epoch as f64).round() as u64;
        let until_step = runtime.state.step + rest;
        // A kept module leaves its site free at once; a refused one leaves it to rest.
        let embargo = (stage != Stage::Fossilized).then_some(Embargo { until_step });
        plant(world, host, site, embargo);
    }
}

fn plant(world: &mut World, host: Entity, site: Site, embargo: Option<Embargo>) {
    let NextSeed(id) = *world.resource::<NextSeed>();
    if id.0 > world.resource::<KasminaConfig>().limits.seeds_max as u64 {
        return; // The limit on what grows: the site stays bare, and `inspect` shows it.
    }
    world.resource_mut::<NextSeed>().0 = SeedId(id.0 + 1);
    let seed = world.spawn((id, SeedOf(host), site)).id();
    if let Some(embargo) = embargo {
        world.entity_mut(seed).insert(embargo);
    }
    let host_id = *world.get::<HostId>(host).expect("every host has a name");
    let Runtime(handle) = *world.get::<Runtime>(host).expect("every host has numbers");
    let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
    let name = runtime.program.sites[site.0 as usize].name.clone();
    world.write_message(SeedPlanted { seed: id, host: host_id, site: name });
}
