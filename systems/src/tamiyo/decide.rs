//! What Tamiyo does each tick: have the policy decide, and keep what comes of it.

use std::cell::OnceCell;

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::{BlueprintId, SeedId, SiteId},
    stage::Stage,
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        components::{Active, Embargo, ModuleContract, SeedOf},
        hosts::Hosts,
        plugin::Clock,
        trials::TrialHistory,
    },
};

use super::{
    observation::{Candidate, DormantSeed, Observation},
    policy::ActivePolicy,
};
use crate::oona::{EpochEnded, HostReport, SeedCommand, SeedReport};

/// The dormant seeds of the world, without those that live or have ended.
type Dormant<'w, 's> = Query<
    'w,
    's,
    (&'static SeedId, &'static SeedOf, &'static SiteId, &'static Stage, Option<&'static Embargo>),
    Without<Active>,
>;

/// Whether the policy in charge is one that asks to be shown anything.
pub(super) fn is_anybody_deciding(policy: Res<ActivePolicy>) -> bool {
    !policy.0.is_idle()
}

/// Shows the policy what was reported and passes its commands on.
#[expect(clippy::too_many_arguments, reason = "all that a policy may see")]
pub(super) fn decide(
    mut policy: ResMut<ActivePolicy>,
    clock: Res<Clock>,
    trials: Res<TrialHistory>,
    mut host_reports: MessageReader<HostReport>,
    mut epoch_reports: MessageReader<EpochEnded>,
    mut seed_reports: MessageReader<SeedReport>,
    dormant: Dormant<'_, '_>,
    hosts: Hosts,
    blueprints: Query<(&BlueprintId, &Blueprint, &ModuleContract, &BlueprintStatus)>,
    mut commands: MessageWriter<SeedCommand>,
    mut inbox: Local<(Vec<HostReport>, Vec<EpochEnded>, Vec<SeedReport>)>,
    mut outbox: Local<Vec<SeedCommand>>,
) {
    let (host_inbox, epoch_inbox, seed_inbox) = &mut *inbox;
    host_inbox.clear();
    epoch_inbox.clear();
    seed_inbox.clear();
    host_inbox.extend(host_reports.read());
    epoch_inbox.extend(epoch_reports.read());
    seed_inbox.extend(seed_reports.read());
    let observation = Observation {
        tick: clock.0,
        hosts: host_inbox,
        epochs: epoch_inbox,
        seeds: seed_inbox,
        trials: &trials,
        dormant: OnceCell::new(),
        find_dormant: &|| find_dormant(&dormant, &hosts),
        candidates: OnceCell::new(),
        find_candidates: &|| find_candidates(&blueprints),
    };
    policy.0.decide(&observation, &mut outbox);
    commands.write_batch(outbox.drain(..));
}

fn find_dormant(dormant: &Dormant<'_, '_>, hosts: &Hosts) -> Vec<DormantSeed> {
    let mut found = Vec::new();
    // Seeds at one site often follow each other: what they share is looked up once.
    let mut last: Option<(Entity, u64, DormantSeed)> = None;
    for (seed, of, site, stage, embargo) in dormant {
        if *stage != Stage::Dormant {
            continue;
        }
        let (_, step, at_site) = match last {
            Some(last) if last.0 == of.0 && last.2.site == *site => last,
            _ => *last.insert(dormant_at(*seed, *site, of.0, hosts)),
        };
        if embargo.is_none_or(|embargo| embargo.until_step <= step) {
            found.push(DormantSeed { seed: *seed, ..at_site });
        }
    }
    found.sort_unstable_by_key(|seed| seed.seed);
    found
}

/// The host, its step, and what a policy sees of a dormant seed there.
fn dormant_at(seed: SeedId, site: SiteId, of: Entity, hosts: &Hosts) -> (Entity, u64, DormantSeed) {
    let runtime = hosts.runtime(of);
    let place = hosts.sites(of).place(site, runtime.program());
    let sample = runtime.site_sample(place as u16);
    let seen = DormantSeed {
        seed,
        host: hosts.id(of),
        site,
        contract: hosts.sites(of).contract(site, runtime.program()),
        x_rms: sample.map(|sample| sample.x_rms),
        gradient_rms: sample.map(|sample| sample.gradient_rms),
    };
    (of, runtime.state.step, seen)
}

fn find_candidates(
    blueprints: &Query<(&BlueprintId, &Blueprint, &ModuleContract, &BlueprintStatus)>,
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = blueprints
        .iter()
        .filter(|(_, _, _, status)| **status != BlueprintStatus::Invalid)
        .map(|(id, blueprint, contract, status)| Candidate {
            blueprint: *id,
            family: blueprint.family.clone(),
            contract: contract.0,
            params_elems: blueprint.params_elems,
            flops_per_example: blueprint.flops_per_example,
            is_ready: *status == BlueprintStatus::Validated,
        })
        .collect();
    candidates.sort_unstable_by(|a, b| (&a.family, a.blueprint).cmp(&(&b.family, b.blueprint)));
    candidates
}

/// Keeps how far every living seed's blueprint has come at its site; how it ends is Kasmina's to say.
pub(super) fn keep_trials(
    mut reports: MessageReader<SeedReport>,
    mut trials: ResMut<TrialHistory>,
) {
    for report in reports.read() {
        if let Some(blueprint) = report.blueprint {
            let gain = report.telemetry.twin_gain;
            trials.observe(report.host, report.site, blueprint, report.stage, gain);
        }
    }
}
