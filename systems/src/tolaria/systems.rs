//! What Tolaria does each tick, in the order it does it.

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::{FlopsAccount, HostRuntime, Runtimes, Split, learning_rate},
    world::{
        components::{Active, HostRole, Runtime, SeedOf},
        ids::{HostId, SeedId},
        plugin::RunStatus,
        program_change::HostRecompiles,
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
    mut runtimes: ResMut<Runtimes>,
) {
    let hosts = runtimes.iter_mut().collect();
    threads.for_each(hosts, |host| host.advance(config.steps_per_tick));
}

/// Says which hosts and twins met a fault in this tick, sorted by [`HostId`].
pub(super) fn report_faults(
    hosts: Query<(&HostId, &Runtime)>,
    runtimes: Res<Runtimes>,
    mut faults: MessageWriter<FaultReported>,
) {
    let mut found: Vec<FaultReported> = hosts
        .iter()
        .filter_map(|(host, Runtime(handle))| {
            let runtime = runtimes.get(*handle).expect("the handle is live");
            let (step, fault) = (runtime.state.step, runtime.fault?);
            Some(FaultReported { host: *host, step, fault })
        })
        .collect();
    found.sort_unstable_by_key(|it| it.host);
    faults.write_batch(found);
}

/// Validates every host whose epoch ended in this tick, in parallel, and reports sorted by [`HostId`].
pub(super) fn validate_epochs(
    hosts: Query<(Entity, &HostId, &HostRole, &Runtime)>,
    seeds: Query<&SeedOf, With<Active>>,
    threads: Res<Threads>,
    mut runtimes: ResMut<Runtimes>,
    mut reports: MessageWriter<EpochEnded>,
) {
    let has_ended = |host: &HostRuntime| {
        host.steps_in_tick > 0 && host.fault.is_none() && host.is_at_epoch_end() && !host.is_pinned
    };
    if !runtimes.iter_mut().any(|host| has_ended(host)) {
        return;
    }
    let mut ended: Vec<(HostId, Entity, Runtime)> = hosts
        .iter()
        .filter(|(_, _, role, _)| **role == HostRole::Principal)
        .filter(|(_, _, _, runtime)| has_ended(runtimes.get(runtime.0).expect("live")))
        .map(|(entity, id, _, runtime)| (*id, entity, *runtime))
        .collect();
    ended.sort_unstable_by_key(|(id, ..)| *id);
    let principals = runtimes.select_mut(ended.iter().map(|(_, _, runtime)| runtime.0));
    threads.for_each(principals, |host| {
        let found = host.evaluate(Split::Validation, FlopsAccount::Validation, None, None);
        host.last_validation = Some(found);
    });
    for (id, entity, Runtime(handle)) in ended {
        let runtime = runtimes.get(handle).expect("the handle is live");
        let n_active_seeds = seeds.iter().filter(|of| of.0 == entity).count() as u64;
        reports.write(epoch_report(id, runtime, n_active_seeds));
    }
}

fn epoch_report(host: HostId, runtime: &HostRuntime, n_active_seeds: u64) -> EpochEnded {
    let (state, config) = (&runtime.state, &runtime.config);
    let found = runtime.last_validation.expect("it was just validated");
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
        params_elems: runtime.program.params_elems(),
        n_active_seeds,
    }
}

/// Ends the run once every host has taken its steps, every seed has ended and no program is on its way.
pub(super) fn end_run(
    hosts: Query<(&HostId, &HostRole, &Runtime)>,
    active: Query<&SeedId, With<Active>>,
    runtimes: Res<Runtimes>,
    recompiles: Res<HostRecompiles>,
    mut status: ResMut<RunStatus>,
) {
    if *status != RunStatus::Running || !active.is_empty() {
        return;
    }
    let is_done = hosts
        .iter()
        .filter(|(_, role, _)| **role == HostRole::Principal)
        .all(|(_, _, Runtime(handle))| runtimes.get(*handle).expect("live").is_done());
    let is_pending = hosts.iter().any(|(host, ..)| recompiles.is_pending(*host));
    if is_done && !is_pending {
        *status = RunStatus::Completed;
    }
}
