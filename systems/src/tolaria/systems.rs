//! What Tolaria does each tick, in the order it does it.

use bevy_ecs::{prelude::*, system::SystemParam};
use esper_engine::{
    ids::{HostId, SeedId},
    runtime::{
        Advanced, Averaging, DataView, Evaluation, FlopsAccount, HostRuntime, Runtimes, Split,
        StepError, TrainPlan, learning_rate,
    },
    world::{
        components::{Active, Faulted, FinalModel, Pinned, Runtime, SeedOf, StepsInTick},
        hosts::{Hosts, HostsMut},
        plugin::RunStatus,
    },
};
use esper_nn::device::DeviceError;
use rayon::prelude::*;

use super::config::TolariaConfig;
use crate::oona::{EpochEnded, FaultReported, FinalModelChosen};

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

    /// What `work` comes to on every host, in parallel where there is more than one and more than one thread.
    fn map<T: Send>(
        &self,
        hosts: Vec<(Entity, &mut HostRuntime)>,
        work: impl Fn(&mut HostRuntime) -> T + Sync + Send,
    ) -> Vec<(Entity, T)> {
        let work = |(entity, host)| (entity, work(host));
        match &self.0 {
            // A small host alone stays on this thread: handing it over would take longer than its steps.
            Some(pool) if hosts.len() > 1 || hosts.iter().any(|(_, host)| host.is_split()) => {
                pool.install(|| hosts.into_par_iter().with_max_len(1).map(work).collect())
            }
            _ => hosts.into_iter().map(work).collect(),
        }
    }
}

/// Hosts whose [`TrainPlan`] or [`DataView`] has changed since this was looked at.
pub(super) type Replanned = Or<(Changed<TrainPlan>, Changed<DataView>)>;

/// Whether a host is to train by or on something else than before.
pub(super) fn is_any_host_replanned(replanned: Query<(), Replanned>) -> bool {
    !replanned.is_empty()
}

/// Has hosts and what was forked from them train by and on what their components say from this tick's first step on.
pub(super) fn apply_plans(
    replanned: Query<(&HostId, Entity, &TrainPlan, &DataView), Replanned>,
    mut hosts: HostsMut,
    mut status: ResMut<RunStatus>,
) {
    let mut replanned: Vec<_> = replanned.iter().collect();
    replanned.sort_unstable_by_key(|(id, ..)| **id);
    for (_, host, train, view) in replanned {
        for entity in hosts.with_copies(host) {
            let runtime = hosts.runtime_mut(entity);
            runtime.set_data_view(*view);
            if let Err(error) = runtime.set_train_plan(train) {
                status.fail(error.to_string());
            }
        }
    }
}

/// Has every host and twin take its steps of this tick, all of a tick's steps in a row: a small host on one thread, a
/// large one on those that are free. Those that met a fault are marked and reported.
pub(super) fn train_hosts(
    config: Res<TolariaConfig>,
    threads: Res<Threads>,
    mut training: Query<
        (Entity, &mut StepsInTick),
        (With<Runtime>, Without<Pinned>, Without<Faulted>),
    >,
    mut hosts: HostsMut,
    mut failures: Failures,
) {
    let ready = hosts.select_mut(training.iter().map(|(entity, _)| entity));
    let advanced = threads.map(ready, |host| host.advance(config.steps_per_tick));
    let mut errors = Vec::new();
    for (entity, Advanced { n_steps, error }) in advanced {
        let (_, mut taken) = training.get_mut(entity).expect("it was just found");
        taken.0 = n_steps;
        errors.extend(error.map(|error| (entity, error)));
    }
    if !errors.is_empty() {
        failures.report(&hosts, &errors);
    }
}

/// Where it is told what steps ran into.
#[derive(SystemParam)]
pub(super) struct Failures<'w, 's> {
    faults: MessageWriter<'w, FaultReported>,
    status: ResMut<'w, RunStatus>,
    commands: Commands<'w, 's>,
}

impl Failures<'_, '_> {
    /// Marks hosts and twins at fault and reports them, sorted by [`HostId`]. A device's error ends the run.
    fn report(&mut self, hosts: &HostsMut, errors: &[(Entity, StepError)]) {
        for (host, entity) in hosts.principals() {
            for of in hosts.with_copies(entity) {
                let is_twin = of != entity;
                let error = errors.iter().find(|(failed, _)| *failed == of);
                match error.map(|(_, error)| error) {
                    None => {}
                    Some(StepError::Device(error)) => self.status.fail(error.to_string()),
                    Some(StepError::Fault(fault)) => {
                        let (fault, step) = (*fault, hosts.runtime(of).state.step);
                        self.commands.entity(of).insert(Faulted(fault));
                        self.faults.write(FaultReported { host, is_twin, step, fault });
                    }
                }
            }
        }
    }
}

/// Validates every host whose epoch ended in this tick, in parallel, and reports sorted by [`HostId`].
pub(super) fn validate_epochs(
    trained: Query<(Entity, &StepsInTick), (With<HostId>, Without<Faulted>, Without<Pinned>)>,
    seeds: Query<&SeedOf, With<Active>>,
    threads: Res<Threads>,
    mut hosts: HostsMut,
    mut reports: MessageWriter<EpochEnded>,
    mut status: ResMut<RunStatus>,
) {
    let trained = trained.iter().filter(|(_, steps)| steps.0 > 0);
    let ended = trained.filter(|(entity, _)| hosts.runtime(*entity).is_at_epoch_end());
    let ended: Vec<Entity> = ended.map(|(entity, _)| entity).collect();
    if ended.is_empty() {
        return;
    }
    let mut found = threads.map(hosts.select_mut(ended), |host| {
        host.evaluate(Split::Validation, FlopsAccount::Validation, None, None)
    });
    found.sort_unstable_by_key(|(entity, _)| hosts.id(*entity));
    for (entity, found) in found {
        let n_active_seeds = seeds.iter().filter(|of| of.0 == entity).count() as u64;
        let (id, runtime) = (hosts.id(entity), hosts.runtime(entity));
        match found {
            Ok(found) => _ = reports.write(epoch_report(id, runtime, found, n_active_seeds)),
            Err(error) => status.fail(error.to_string()),
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
    let TrainPlan(train) = runtime.train_plan();
    let lr = learning_rate(
        train.optimizer.lr(),
        &train.schedule,
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

/// Whether a host has taken its steps and is averaged still: its final model is to be chosen.
pub(super) fn is_any_model_to_be_chosen(runtimes: Res<Runtimes>) -> bool {
    runtimes.iter().any(|it| it.is_done() && it.averaging().is_some())
}

/// Chooses the final model of every host that has taken its steps: the average of the last window where validation finds it
/// better than what the last step left, which it is said of either way.
///
/// A host whose seeds have not all ended or whose program is on its way waits.
pub(super) fn choose_final_models(
    principals: Query<(Entity, &HostId), Without<Faulted>>,
    active: Query<&SeedOf, With<Active>>,
    mut hosts: HostsMut,
    mut chosen: MessageWriter<FinalModelChosen>,
    mut status: ResMut<RunStatus>,
    mut commands: Commands,
) {
    let is_over = |host: Entity| {
        let runtime = hosts.runtime(host);
        let is_averaged = matches!(runtime.averaging(), Some(Averaging::LastWindow { .. }));
        runtime.is_done()
            && is_averaged
            && !hosts.is_recompiling(host)
            && active.iter().all(|of| of.0 != host)
    };
    let mut over: Vec<(HostId, Entity)> = principals
        .iter()
        .map(|(host, id)| (*id, host))
        .filter(|(_, host)| is_over(*host))
        .collect();
    over.sort_unstable();
    for (host, entity) in over {
        match choose_final_model(hosts.runtime_mut(entity)) {
            Ok((last_loss, average_loss)) => {
                let is_average = average_loss < last_loss;
                commands.entity(entity).insert(FinalModel { is_average });
                _ = chosen.write(FinalModelChosen { host, is_average, last_loss, average_loss });
            }
            Err(error) => status.fail(error.to_string()),
        }
    }
}

/// Makes the better of the two what the host is; their validation losses, that of the average second.
fn choose_final_model(runtime: &mut HostRuntime) -> Result<(f64, f64), DeviceError> {
    let loss = |runtime: &mut HostRuntime| {
        let account = FlopsAccount::Validation;
        runtime.evaluate(Split::Validation, account, None, None).map(|found| found.loss)
    };
    let last = loss(runtime)?;
    let average = runtime.on_averages(loss)?;
    if average < last {
        runtime.adopt_averages();
    } else {
        runtime.end_averages();
    }
    Ok((last, average))
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
