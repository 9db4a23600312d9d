//! What Tamiyo does each tick: decide, and remember what came of it.

use std::cell::OnceCell;

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::Runtimes,
    world::{
        catalog::{Blueprint, BlueprintStatus},
        components::{Active, Embargo, ModuleContract, Runtime, SeedOf, Site},
        ids::{BlueprintId, HostId, SeedId},
        plugin::{Clock, RunStatus},
        stage::Stage,
    },
};

use super::components::{
    ActivePolicy, Candidate, DormantSeed, Memory, Observation, SavedPolicy, Verdict,
};
use crate::oona::{EpochEnded, HostReport, SeedCommand, SeedReport, StageChanged};

/// The dormant seeds of the world, without those that live or have ended.
type Dormant<'w, 's> = Query<
    'w,
    's,
    (&'static SeedId, &'static SeedOf, &'static Site, &'static Stage, Option<&'static Embargo>),
    Without<Active>,
>;

/// Shows the policy what was reported and passes its commands on.
#[expect(clippy::too_many_arguments, reason = "all that a policy may see")]
pub(super) fn decide(
    mut policy: ResMut<ActivePolicy>,
    mut saved: ResMut<SavedPolicy>,
    clock: Res<Clock>,
    memory: Res<Memory>,
    mut host_reports: MessageReader<HostReport>,
    mut epoch_reports: MessageReader<EpochEnded>,
    mut seed_reports: MessageReader<SeedReport>,
    dormant: Dormant<'_, '_>,
    hosts: Query<(&HostId, &Runtime)>,
    blueprints: Query<(&BlueprintId, &Blueprint, &ModuleContract, &BlueprintStatus)>,
    runtimes: Res<Runtimes>,
    mut status: ResMut<RunStatus>,
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
    let Some(policy) = &mut policy.0 else { return };
    if !saved.is_current {
        saved.is_current = true;
        if !saved.bytes.is_empty()
            && let Err(reason) = policy.load(&saved.bytes)
        {
            status.fail(format!("the policy's saved state does not fit: {reason}"));
            return;
        }
    }
    let view = Observation {
        tick: clock.0,
        hosts: host_inbox,
        epochs: epoch_inbox,
        seeds: seed_inbox,
        memory: &memory,
        dormant: OnceCell::new(),
        find_dormant: &|| find_dormant(&dormant, &hosts, &runtimes),
        offers: OnceCell::new(),
        find_offers: &|| find_offers(&blueprints),
    };
    policy.decide(&view, &mut outbox);
    commands.write_batch(outbox.drain(..));
}

fn find_dormant(
    dormant: &Dormant<'_, '_>,
    hosts: &Query<(&HostId, &Runtime)>,
    runtimes: &Runtimes,
) -> Vec<DormantSeed> {
    let mut found = Vec::new();
    for (seed, of, Site(site), stage, embargo) in dormant {
        if *stage != Stage::Dormant {
            continue;
        }
        let (host, Runtime(handle)) = hosts.get(of.0).expect("every seed has a host");
        let runtime = runtimes.get(*handle).expect("the handle is live");
        if embargo.is_some_and(|embargo| runtime.state.step < embargo.until_step) {
            continue;
        }
        let place = usize::from(*site);
        let sample = runtime.site_samples[place];
        found.push(DormantSeed {
            seed: *seed,
            host: *host,
            site: *site,
            contract: runtime.program.contract(place),
            x_rms: sample.map(|sample| sample.x_rms),
            gradient_rms: sample.map(|sample| sample.gradient_rms),
        });
    }
    found.sort_unstable_by_key(|seed| seed.seed);
    found
}

fn find_offers(
    blueprints: &Query<(&BlueprintId, &Blueprint, &ModuleContract, &BlueprintStatus)>,
) -> Vec<Candidate> {
    let mut offers: Vec<Candidate> = blueprints
        .iter()
        .filter(|(_, _, _, status)| **status != BlueprintStatus::Invalid)
        .map(|(id, blueprint, contract, status)| Candidate {
            blueprint: *id,
            family: blueprint.family.clone(),
            contract: contract.0,
            params_elems: blueprint.params_elems,
            flops_per_example: blueprint.flops_per_example,
            is_ready: *status == BlueprintStatus::Compiled,
        })
        .collect();
    offers.sort_unstable_by(|a, b| (&a.family, a.blueprint).cmp(&(&b.family, b.blueprint)));
    offers
}

/// Keeps the last twin gain of every living seed, and its verdict once it ends.
pub(super) fn remember_outcomes(
    mut reports: MessageReader<SeedReport>,
    mut changes: MessageReader<StageChanged>,
    mut memory: ResMut<Memory>,
) {
    for report in reports.read() {
        if let Some(gain) = report.telemetry.twin_gain {
            memory.gains.insert(report.seed, (report.host, report.site, gain));
        }
        if let Some(blueprint) = report.blueprint {
            let place = (report.host, report.site, blueprint);
            let unfinished = Verdict { end: report.stage, gain: report.telemetry.twin_gain };
            memory.verdicts.insert(place, unfinished);
        }
    }
    for change in changes.read().filter(|change| change.to.is_terminal()) {
        let gain = memory.gains.remove(&change.seed).map(|(.., gain)| gain);
        let Some(blueprint) = change.blueprint else { continue };
        let of_blueprint = memory
            .verdicts
            .iter_mut()
            .filter(|((host, _, of), _)| *host == change.host && *of == blueprint)
            .filter(|(_, verdict)| !verdict.end.is_terminal());
        for (_, verdict) in of_blueprint {
            *verdict = Verdict { end: change.to, gain: gain.or(verdict.gain) };
        }
    }
}

/// Keeps the policy's own state where a checkpoint finds it.
pub(super) fn keep_policy(policy: Res<ActivePolicy>, mut saved: ResMut<SavedPolicy>) {
    if let Some(policy) = &policy.0 {
        saved.bytes = policy.save();
    }
}
