//! What Tolaria does each tick, in the order it does it.

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::{Evaluation, FlopsAccount, HostRuntime, Split, learning_rate},
    world::{
        components::{Active, Faulted, Pinned, Runtime, SeedOf},
        hosts::{Hosts, HostsMut},
        ids::{HostId, SeedId},
        plugin::RunStatus,
    },
};
use rayon::prelude::*;

use super::config::TolariaConfig;
use crate::oona::{EpochEnded, FaultReported};

/// The threads that share the hosts.
#[derive(Resource)]
pub(super) struct Threads(Option<rayon::ThreadPool>);

impl Threads {
    /// `n_threads` threads; 0 for one a core. A single thread needs no pool.
    pub(super) fn new(n_threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        if n_threads == 1 {
            return Ok(Self(None));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build()?;
        Ok(Self((pool.current_num_threads() > 1).then_some(pool)))
    }

    /// Does `work` on every host, in parallel where there is more than one and more than one thread.
    fn for_each(
        &self,
        hosts: Vec<&mut HostRuntime>,
        work: impl Fn(&mut HostRuntime) + Sync + Send,
    ) {
        match &self.0 {
            // A small host alone stays on this thread: handing it over would take longer than its steps.
            Some(pool) if hosts.len() > 1 || hosts.iter().any(|host| host.is_split()) => {
                pool.install(|| hosts.into_par_iter().with_max_len(1).for_each(work));
            }
            _ => hosts.into_iter().for_each(work),
        }
    }
}

/// Has every host and twin take its steps of this tick, all of a tick's steps in a row: a small host on one thread, a
/// large one on those that are free.
pub(super) fn train_hosts(
    config: Res<TolariaConfig>,
    threads: Res<Threads>,
    training: Query<Entity, (With<Runtime>, Without<Pinned>)>,
    mut hosts: HostsMut,
) {
    threads.for_each(hosts.select_mut(&training), |host| host.advance(config.steps_per_tick));
}

/// Marks the hosts and twins that met a fault in this tick and reports them, sorted by [`HostId`].
pub(super) fn report_faults(
    hosts: Hosts,
    mut faults: MessageWriter<FaultReported>,
    mut status: ResMut<RunStatus>,
    mut commands: Commands,
) {
    for (host, entity) in hosts.principals() {
        for (of, is_twin) in [(Some(entity), false), (hosts.twin(entity), true)] {
            let Some(of) = of else { continue };
            let runtime = hosts.runtime(of);
            if let Some(error) = &runtime.device_error {
                *status = RunStatus::Failed(error.to_string());
            }
            let Some(fault) = runtime.fault else { continue };
            commands.entity(of).insert(Faulted(fault));
            faults.write(FaultReported { host, is_twin, step: runtime.state.step, fault });
        }
    }
}

/// Validates every host whose epoch ended in this tick, in parallel, and reports sorted by [`HostId`].
pub(super) fn validate_epochs(
    seeds: Query<&SeedOf, With<Active>>,
    threads: Res<Threads>,
    mut hosts: HostsMut,
    mut reports: MessageWriter<EpochEnded>,
) {
    let has_ended = |host: Entity, hosts: &HostsMut| {
        let runtime = hosts.runtime(host);
        let is_over = runtime.steps_in_tick > 0 && runtime.is_at_epoch_end();
        is_over && hosts.fault(host).is_none() && !hosts.is_pinned(host)
    };
    let ended = hosts.principals().filter(|(_, entity)| has_ended(*entity, &hosts));
    let ended: Vec<(HostId, Entity)> = ended.collect();
    if ended.is_empty() {
        return;
    }
    threads.for_each(hosts.select_mut(ended.iter().map(|(_, entity)| *entity)), |host| {
        let found = host.evaluate(Split::Validation, FlopsAccount::Validation, None, None);
        host.last_validation = found.ok();
    });
    for (id, entity) in ended {
        let n_active_seeds = seeds.iter().filter(|of| of.0 == entity).count() as u64;
        let runtime = hosts.runtime(entity);
        if let Some(found) = runtime.last_validation {
            reports.write(epoch_report(id, runtime, found, n_active_seeds));
        }
    }
}

fn epoch_report(
    host: HostId,
    runtime: &HostRuntime,
    found: Evaluation,
    n_active_seeds: u64,
) -> EpochEnded {
    let (state, config) = (&runtime.state, &runtime.config);
    let lr = learning_rate(
        config.train.optimizer.lr(),
        &config.train.schedule,
        state.step - 1,
        config.steps_per_epoch,
        config.total_steps,
    );
    let examples = state.epoch_examples.max(1) as f64;
    let n_labels = examples * config.data.train.labels_per_example() as f64;
    EpochEnded {
        host,
        epoch: runtime.epochs_done(),
        step: state.step,
        train_loss: state.epoch_loss_sum / examples,
        train_accuracy: found.accuracy.map(|_| state.epoch_correct as f64 / n_labels),
        val_loss: found.loss,
        val_accuracy: found.accuracy,
        lr: lr * state.lr_scale,
        params_elems: runtime.program().params_elems(),
        n_active_seeds,
    }
}

/// Ends the run once every host has taken its steps, every seed has ended and no program is on its way.
pub(super) fn end_run(
    hosts: Hosts,
    active: Query<&SeedId, With<Active>>,
    mut status: ResMut<RunStatus>,
) {
    if *status != RunStatus::Running || !active.is_empty() {
        return;
    }
    let is_over = |host| hosts.runtime(host).is_done() && !hosts.is_recompiling(host);
    if hosts.principals().all(|(_, host)| is_over(host)) {
        *status = RunStatus::Completed;
    }
}
