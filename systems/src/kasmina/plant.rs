//! Planting: every site has a dormant seed, from the start and after each end.

use bevy_ecs::{prelude::*, system::SystemParam};
use esper_engine::{
    ids::{HostId, SeedId, SiteId},
    runtime::last_fossil,
    stage::Stage,
    world::{
        blueprint::SiteContracts,
        components::{Embargo, Principal, SeedOf},
        hosts::HostsMut,
    },
};
use serde::{Deserialize, Serialize};

use super::{config::KasminaConfig, lifecycle::EndedSeeds};
use crate::oona::SeedPlanted;

/// The name the next seed will get.
#[derive(Resource, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextSeed(pub SeedId);

impl Default for NextSeed {
    fn default() -> Self {
        Self(SeedId(1))
    }
}

/// The host's sites have their seeds.
#[derive(Component)]
pub(super) struct Planted;

/// Hosts whose sites have yet to be planted.
pub(super) type BareHost = (With<Principal>, Without<Planted>);

/// What it takes to plant a seed.
#[derive(SystemParam)]
pub(super) struct Planter<'w, 's> {
    config: Res<'w, KasminaConfig>,
    next: ResMut<'w, NextSeed>,
    hosts: HostsMut<'w, 's>,
    commands: Commands<'w, 's>,
    messages: MessageWriter<'w, SeedPlanted>,
}

/// Where every seed of the world is, history included.
pub(super) type SeedPlaces<'w, 's> =
    Query<'w, 's, (&'static SeedOf, &'static SiteId, &'static Stage)>;

/// Plants the sites of every host that has no seeds yet, and says what modules have to fit.
pub(super) fn plant_first_seeds(
    bare: Query<(&HostId, Entity), BareHost>,
    seeds: SeedPlaces,
    mut contracts: ResMut<SiteContracts>,
    mut planter: Planter,
) {
    let mut bare: Vec<(HostId, Entity)> = bare.iter().map(|(id, entity)| (*id, entity)).collect();
    bare.sort_unstable();
    for (_, host) in bare {
        planter.commands.entity(host).insert(Planted);
        if !planter.config.plants_seeds {
            continue;
        }
        let runtime = planter.hosts.runtime(host);
        let program = runtime.program().clone();
        if let Some(SeedId(last)) = last_fossil(&runtime.graph) {
            planter.next.0 = planter.next.0.max(SeedId(last + 1));
        }
        let sites: Vec<SiteId> = planter.hosts.sites(host).iter().collect();
        for site in sites {
            let sites = planter.hosts.sites(host);
            // A blend mixes what a module reads with what it writes: a span has no such thing.
            if sites.span(site).is_some() && planter.config.kasmina.composition.needs_joined() {
                continue;
            }
            contracts.0.insert(sites.contract(site, &program));
            // A host that comes back from a checkpoint has its seeds already.
            for _ in n_seeds_at(&seeds, host, site)..planter.config.kasmina.seeds_per_site {
                planter.plant(host, site, None);
            }
        }
    }
}

fn n_seeds_at(seeds: &SeedPlaces, host: Entity, site: SiteId) -> usize {
    let is_here =
        |of: &SeedOf, at: SiteId, stage: Stage| of.0 == host && at == site && !stage.is_terminal();
    seeds.iter().filter(|(of, at, stage)| is_here(of, **at, **stage)).count()
}

/// Gives every site whose seed ended in this tick a new dormant one, which rests first.
pub(super) fn replant_sites(
    mut ended: ResMut<EndedSeeds>,
    seeds: SeedPlaces,
    mut planter: Planter,
) {
    for seed in std::mem::take(&mut ended.0) {
        let (SeedOf(host), site, stage) = seeds.get(seed).expect("a seed is never despawned");
        let runtime = planter.hosts.runtime(*host);
        let steps_per_epoch = runtime.config.steps_per_epoch as f64;
        let rest = (planter.config.kasmina.embargo_epochs * steps_per_epoch).round() as u64;
        let until_step = runtime.state.step + rest;
        // A kept module leaves its site free at once; a refused one leaves it to rest.
        let embargo = (*stage != Stage::Fossilized).then_some(Embargo { until_step });
        if !planter.plant(*host, *site, embargo) {
            sample_planted_sites(&mut planter.hosts, *host, &seeds);
        }
    }
}

impl Planter<'_, '_> {
    /// Plants a dormant seed, unless that would be one too many. The site stays bare then, and `inspect` shows it.
    fn plant(&mut self, host: Entity, site: SiteId, embargo: Option<Embargo>) -> bool {
        let NextSeed(id) = *self.next;
        if id.0 > self.config.limits.seeds_max as u64 {
            return false;
        }
        self.next.0 = SeedId(id.0 + 1);
        let mut seed = self.commands.spawn((id, SeedOf(host), site));
        if let Some(embargo) = embargo {
            seed.insert(embargo);
        }
        let site_name = self.hosts.sites(host).name(site).to_owned();
        let message =
            SeedPlanted { seed: id, host: self.hosts.id(host), site_id: site, site: site_name };
        self.messages.write(message);
        sample_site(&mut self.hosts, host, site);
        true
    }
}

/// Has the host and its twin sample `site`: activation and gradient are telemetry of the seeds planted there.
fn sample_site(hosts: &mut HostsMut, host: Entity, site: SiteId) {
    let place = hosts.sites(host).place(site, hosts.runtime(host).program());
    for entity in hosts.with_twin(host) {
        let runtime = hosts.runtime_mut(entity);
        runtime.set_sampled_sites(runtime.plan().sampled_sites() | 1 << place);
    }
}

/// Has the host sample those sites at which a seed is planted, and no other.
pub(super) fn sample_planted_sites(hosts: &mut HostsMut, host: Entity, seeds: &SeedPlaces) {
    for entity in hosts.with_twin(host) {
        hosts.runtime_mut(entity).set_sampled_sites(0);
    }
    for (_, site, _) in seeds.iter().filter(|(of, _, stage)| of.0 == host && !stage.is_terminal()) {
        sample_site(hosts, host, *site);
    }
}
