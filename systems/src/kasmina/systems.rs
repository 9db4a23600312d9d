//! What Kasmina does in Sense: report hosts, sample seeds, judge them, report them.

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::Runtimes,
    world::{
        components::{
            Active, HostRole, Runtime, SeedModule, SeedOf, Site, StageClock, Telemetry, Withdrawing,
        },
        gate::GateState,
        ids::{HostId, SeedId},
        stage::Stage,
    },
};

use super::{config::KasminaConfig, gates};
use crate::oona::{HostReport, SeedReport};

/// Writes one report a host, sorted by [`HostId`]; forks report nothing.
pub(super) fn report_hosts(
    hosts: Query<(&HostId, &HostRole, &Runtime)>,
    runtimes: Res<Runtimes>,
    mut reports: MessageWriter<HostReport>,
) {
    let principals = hosts.iter().filter(|(_, role, _)| **role == HostRole::Principal);
    let mut found: Vec<HostReport> = principals
        .map(|(host, _, Runtime(handle))| {
            let runtime = runtimes.get(*handle).expect("the handle is live");
            HostReport {
                host: *host,
                step: runtime.state.step,
                total_steps: runtime.config.total_steps,
                steps_per_epoch: runtime.config.steps_per_epoch,
                loss: runtime.state.watch.last,
                loss_mean: runtime.state.watch.mean,
                params_elems: runtime.program.params_elems(),
                seed_params_elems: runtime.seeds.iter().map(|it| it.program.params_elems()).sum(),
            }
        })
        .collect();
    // A query's own sort makes a new query state each time: half a microsecond of every tick.
    found.sort_unstable_by_key(|report| report.host);
    reports.write_batch(found);
}

/// Copies what the last sampled step saw of each living seed into its telemetry.
pub(super) fn sample_seeds(
    mut seeds: Query<(&SeedId, &SeedOf, &mut Telemetry), With<Active>>,
    hosts: Query<&Runtime>,
    runtimes: Res<Runtimes>,
) {
    for (id, of, mut telemetry) in &mut seeds {
        let Runtime(handle) = hosts.get(of.0).expect("every seed has a host");
        let runtime = runtimes.get(*handle).expect("the handle is live");
        if let Some(sample) = runtime.seed(*id).and_then(|seed| seed.sample) {
            telemetry.x_rms = Some(sample.x_rms);
            telemetry.gradient_rms = Some(sample.gradient_rms);
            telemetry.output_rms = Some(sample.output_rms);
            telemetry.gradient_norm = Some(sample.gradient_norm);
        }
    }
}

/// Measures G2 and G5 for every seed whose time has come.
pub(super) fn judge_seeds(
    world: &mut World,
    seeds: &mut QueryState<
        (Entity, &SeedId, &Stage, &SeedOf, &StageClock, &GateState),
        (With<Active>, Without<Withdrawing>),
    >,
) {
    let train_min_steps = world.resource::<KasminaConfig>().kasmina.train_min_steps;
    let mut due: Vec<(SeedId, Entity, Stage)> = Vec::new();
    for (entity, id, stage, of, clock, gate_state) in seeds.iter(world) {
        let Some(Runtime(handle)) = world.get::<Runtime>(of.0) else { continue };
        let runtime = world.resource::<Runtimes>().get(*handle).expect("the handle is live");
        let step = runtime.state.step;
        if runtime.fault.is_some() {
            continue; // The numbers of a failed step are nobody's evidence.
        }
        let is_due = match stage {
            Stage::Training => {
                let is_sound = runtime.seed(*id).is_some_and(|seed| seed.state.is_finite);
                let from = gate_state.next_step.max(clock.entered_step + train_min_steps);
                from <= step || !is_sound
            }
            Stage::Evaluating | Stage::FineTuning => gate_state.next_step <= step,
            _ => false,
        };
        if is_due {
            due.push((*id, entity, *stage));
        }
    }
    due.sort_unstable_by_key(|(id, ..)| *id);
    for (_, seed, stage) in due {
        match stage {
            Stage::Training => gates::judge_incubation(world, seed),
            stage => gates::judge_graft(world, seed, stage),
        }
    }
}

/// Writes one report a living seed, sorted by [`SeedId`].
pub(super) fn report_seeds(
    seeds: Query<
        (
            &SeedId,
            &Site,
            &Stage,
            &SeedOf,
            &StageClock,
            &SeedModule,
            &Telemetry,
            &GateState,
            Has<Withdrawing>,
        ),
        With<Active>,
    >,
    hosts: Query<(&HostId, &Runtime)>,
    runtimes: Res<Runtimes>,
    mut reports: MessageWriter<SeedReport>,
) {
    let mut found: Vec<SeedReport> = seeds
        .iter()
        .map(|(id, site, stage, of, clock, seed_module, telemetry, gate_state, is_withdrawing)| {
            let (host, Runtime(handle)) = hosts.get(of.0).expect("every seed has a host");
            let runtime = runtimes.get(*handle).expect("the handle is live");
            SeedReport {
                seed: *id,
                host: *host,
                site: site.0,
                contract: runtime.program.contract(usize::from(site.0)),
                stage: *stage,
                stage_steps: runtime.state.step.saturating_sub(clock.entered_step),
                blueprint: Some(seed_module.blueprint),
                telemetry: *telemetry,
                gate_state: *gate_state,
                is_withdrawing,
            }
        })
        .collect();
    found.sort_unstable_by_key(|report| report.seed);
    reports.write_batch(found);
}
