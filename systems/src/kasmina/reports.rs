//! What Kasmina reports in Sense: hosts, and living seeds with what was sampled of them.

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::{SeedId, SiteId},
    stage::Stage,
    world::{
        components::{Active, NonFinite, SeedModule, SeedOf, StageClock, Telemetry, Withdrawing},
        gate::GateState,
        hosts::Hosts,
    },
};

use super::{budget::is_affordable, config::KasminaConfig};
use crate::oona::{HostReport, SeedReport};

/// Writes one report a host, sorted by [`HostId`](esper_engine::ids::HostId); twins report nothing.
pub(super) fn report_hosts(
    hosts: Hosts,
    config: Res<KasminaConfig>,
    mut reports: MessageWriter<HostReport>,
) {
    let report = |(host, entity)| {
        let runtime = hosts.runtime(entity);
        HostReport {
            host,
            step: runtime.state.step,
            total_steps: runtime.config.total_steps,
            steps_per_epoch: runtime.config.steps_per_epoch,
            loss: runtime.state.monitor.last,
            loss_mean: runtime.state.monitor.mean,
            params_elems: runtime.program().params_elems(),
            seed_params_elems: runtime.module_params_elems(),
            can_judge: is_affordable(runtime, &config),
        }
    };
    reports.write_batch(hosts.principals().map(report));
}

/// Copies what the last sampled step saw of each living seed into its telemetry, and marks those whose module has left
/// the finite numbers.
pub(super) fn sample_seeds(
    mut seeds: Query<(Entity, &SeedId, &SeedOf, &mut Telemetry, Has<NonFinite>), With<Active>>,
    hosts: Hosts,
    mut commands: Commands,
) {
    for (entity, id, of, mut telemetry, is_marked) in &mut seeds {
        let Some(bound) = hosts.runtime(of.0).module_memory(*id) else { continue };
        if let Some(sample) = bound.sample {
            telemetry.x_rms = Some(sample.x_rms);
            telemetry.gradient_rms = Some(sample.gradient_rms);
            telemetry.output_rms = Some(sample.output_rms);
            telemetry.gradient_norm = Some(sample.gradient_norm);
        }
        match (bound.is_finite, is_marked) {
            (false, false) => _ = commands.entity(entity).insert(NonFinite),
            (true, true) => _ = commands.entity(entity).remove::<NonFinite>(),
            _ => {}
        }
    }
}

/// Writes one report a living seed, sorted by [`SeedId`].
pub(super) fn report_seeds(
    seeds: Query<
        (
            &SeedId,
            &SiteId,
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
    hosts: Hosts,
    mut reports: MessageWriter<SeedReport>,
) {
    let mut found: Vec<SeedReport> = seeds
        .iter()
        .map(|(id, site, stage, of, clock, module, telemetry, gate_state, is_withdrawing)| {
            let runtime = hosts.runtime(of.0);
            SeedReport {
                seed: *id,
                host: hosts.id(of.0),
                site: *site,
                contract: hosts.sites(of.0).contract(*site, runtime.program()),
                stage: *stage,
                stage_steps: runtime.state.step.saturating_sub(clock.entered_step),
                blueprint: Some(module.blueprint),
                telemetry: *telemetry,
                gate_state: *gate_state,
                is_withdrawing,
            }
        })
        .collect();
    // A query's own sort makes a new query state each time: half a microsecond of every tick.
    found.sort_unstable_by_key(|report| report.seed);
    reports.write_batch(found);
}
