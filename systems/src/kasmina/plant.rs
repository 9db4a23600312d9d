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

use super::{
    config::KasminaConfig,
    lifecycle::{EndedSeeds, Seed},
};
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

/// Names seeds, and says that they were planted.
#[derive(SystemParam)]
pub(super) struct Nursery<'w> {
    next: ResMut<'w, NextSeed>,
    messages: MessageWriter<'w, SeedPlanted>,
}

/// What it takes to plant a seed.
#[derive(SystemParam)]
pub(super) struct Planter<'w, 's> {
    config: Res<'w, KasminaConfig>,
    nursery: Nursery<'w>,
    hosts: HostsMut<'w, 's>,
    commands: Commands<'w, 's>,
}

/// Where every seed of the world is, history included.
pub(super) type SeedPlaces<'w, 's> =
    Query<'w, 's, (Entity, &'static SeedOf, &'static SiteId, &'static Stage)>;

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
            planter.nursery.next.0 = planter.nursery.next.0.max(SeedId(last + 1));
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
            for _ in seeds_at(&seeds, host, site).count()..planter.config.kasmina.seeds_per_site {
                planter.plant(host, site, None);
            }
        }
    }
}

/// The seeds of a site that have not ended.
fn seeds_at<'a>(
    seeds: &'a SeedPlaces,
    host: Entity,
    site: SiteId,
) -> impl Iterator<Item = (Entity, Stage)> + 'a {
    let here = seeds.iter().filter(move |(_, of, at, _)| of.0 == host && **at == site);
    here.map(|(entity, _, _, stage)| (entity, *stage)).filter(|(_, stage)| !stage.is_terminal())
}

/// Plants a dormant seed at every site that has fewer than it should because one ended in this tick.
///
/// A site that a module was taken from rests first, with all that is dormant there. One that a module was withdrawn from
/// before it touched the host need not: there is nothing to recover from.
pub(super) fn replant_sites(
    mut ended: ResMut<EndedSeeds>,
    seeds: SeedPlaces,
    mut planter: Planter,
) {
    let wanted = planter.config.kasmina.seeds_per_site;
    let mut planted: Vec<(Entity, SiteId)> = Vec::new();
    for seed in std::mem::take(&mut ended.0) {
        let (_, SeedOf(host), site, stage) = seeds.get(seed).expect("a seed is never despawned");
        let embargo =
            matches!(stage, Stage::Culled | Stage::RolledBack).then(|| planter.embargo(*host));
        if let Some(embargo) = embargo {
            let dormant = seeds_at(&seeds, *host, *site).filter(|(_, it)| *it == Stage::Dormant);
            dormant.for_each(|(seed, _)| _ = planter.commands.entity(seed).insert(embargo));
        }
        let place = (*host, *site);
        let n_new = planted.iter().filter(|it| **it == place).count();
        if seeds_at(&seeds, *host, *site).count() + n_new >= wanted {
            continue;
        }
        match planter.plant(*host, *site, embargo) {
            true => planted.push(place),
            false => sample_planted_sites(&mut planter.hosts, *host, &seeds),
        }
    }
}

impl Planter<'_, '_> {
    /// The rest of a site that a module was taken from in this tick.
    fn embargo(&self, host: Entity) -> Embargo {
        let runtime = self.hosts.runtime(host);
        let steps_per_epoch = runtime.config.steps_per_epoch as f64;
        let rest = (self.config.kasmina.embargo_epochs * steps_per_epoch).round() as u64;
        Embargo { until_step: runtime.state.step + rest }
    }

    /// Plants a dormant seed, unless that would be one too many. The site stays bare then, and `inspect` shows it.
    fn plant(&mut self, host: Entity, site: SiteId, embargo: Option<Embargo>) -> bool {
        let Self { config, nursery, hosts, commands } = self;
        let Some(seed) = nursery.plant(config, hosts, commands, (host, site)) else { return false };
        if let Some(embargo) = embargo {
            commands.entity(seed.entity).insert(embargo);
        }
        true
    }
}

impl Nursery<'_> {
    /// Plants a dormant seed at a site of a host, unless that would be more than `limits.seeds_max`.
    pub fn plant(
        &mut self,
        config: &KasminaConfig,
        hosts: &mut HostsMut,
        commands: &mut Commands,
        (host, site): (Entity, SiteId),
    ) -> Option<Seed> {
        let NextSeed(id) = *self.next;
        if id.0 > config.limits.seeds_max as u64 {
            return None;
        }
        self.next.0 = SeedId(id.0 + 1);
        let entity = commands.spawn((id, SeedOf(host), site)).id();
        let site_name = hosts.sites(host).name(site).to_owned();
        self.messages.write(SeedPlanted {
            seed: id,
            host: hosts.id(host),
            site_id: site,
            site: site_name,
        });
        sample_site(hosts, host, site);
        Some(Seed::planted(entity, id, host, site))
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
    let living = seeds.iter().filter(|(_, of, _, stage)| of.0 == host && !stage.is_terminal());
    for (_, _, site, _) in living {
        sample_site(hosts, host, *site);
    }
}
