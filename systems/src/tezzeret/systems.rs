//! Jobs leave in `Dispatch` and come back in `Admit`.

use std::collections::VecDeque;

use bevy_ecs::prelude::*;
use esper_engine::{
    forge::{Admission, Job, Outcome, Workers},
    ids::{BlueprintId, Index},
    world::{
        blueprint::{Attempts, Blueprint, BlueprintStatus},
        kernel::{KernelBundle, KernelStatus},
        kernel_cache::KernelCache,
    },
};
use serde::{Deserialize, Serialize};

use super::compile::{CompileJob, HostCompileJob};
use crate::oona::{JobAdmitted, ProgramChangeRequested, ProgramReady};

/// Times a blueprint is given to the workers before it is given up.
const ATTEMPTS_MAX: u32 = 3;

/// Brings kernels into the world, or says why there are none.
pub(super) fn admit_kernels(
    mut workers: Workers<CompileJob>,
    index: Res<Index<BlueprintId>>,
    mut attempts: Query<&mut Attempts>,
    mut cache: ResMut<KernelCache>,
    mut admissions: MessageWriter<JobAdmitted>,
    mut commands: Commands,
) {
    let forge = workers.name();
    for admission in workers.admit() {
        admissions.write(admitted(forge, &admission));
        let Some(entity) = index.entity(admission.job.blueprint) else { continue };
        let mut attempts = attempts.get_mut(entity).expect("Karn counts a blueprint's attempts");
        attempts.0 += 1;
        match admission.outcome {
            Outcome::Done(Ok(kernels)) => {
                for kernel in kernels {
                    cache.insert(kernel.id, kernel.program);
                    let status = KernelStatus::PendingBenchmarking;
                    commands.spawn(KernelBundle::new(kernel.id, kernel.kernel, status, entity));
                }
            }
            // The same graph would fail again.
            Outcome::Done(Err(_)) => {
                commands.entity(entity).insert(BlueprintStatus::Invalid);
            }
            Outcome::Panicked | Outcome::TimedOut => {
                let is_lost = ATTEMPTS_MAX <= attempts.0;
                let status =
                    if is_lost { BlueprintStatus::Invalid } else { BlueprintStatus::Unvalidated };
                commands.entity(entity).insert(status);
            }
        }
    }
}

/// Says that the programs of hosts have been compiled.
pub(super) fn admit_hosts(
    mut workers: Workers<HostCompileJob>,
    mut admissions: MessageWriter<JobAdmitted>,
    mut ready: MessageWriter<ProgramReady>,
) {
    let forge = workers.name();
    for admission in workers.admit() {
        admissions.write(admitted(forge, &admission));
        let HostCompileJob(request) = admission.job;
        let program = match admission.outcome {
            Outcome::Done(result) => result.map_err(|error| error.to_string()),
            Outcome::Panicked => Err("the compiler panicked".to_owned()),
            Outcome::TimedOut => Err("the compiler took too long".to_owned()),
        };
        ready.write(ProgramReady { request, program });
    }
}

/// Whether a blueprint is to be compiled.
pub(super) fn is_any_blueprint_unvalidated(blueprints: Query<&BlueprintStatus>) -> bool {
    blueprints.iter().any(|status| *status == BlueprintStatus::Unvalidated)
}

/// Sends every blueprint that is not compiled yet, in the order of ids, as far as the queue has room.
pub(super) fn send_blueprints(
    mut workers: Workers<CompileJob>,
    blueprints: Query<(Entity, &BlueprintId, &Blueprint, &BlueprintStatus)>,
    mut commands: Commands,
) {
    let waiting = blueprints.iter().filter(|(.., status)| **status == BlueprintStatus::Unvalidated);
    let mut waiting: Vec<_> =
        waiting.map(|(entity, id, blueprint, _)| (*id, entity, blueprint)).collect();
    waiting.sort_unstable_by_key(|(id, ..)| *id);
    for (id, entity, blueprint) in waiting {
        let job = CompileJob { blueprint: id, graph: blueprint.graph.clone() };
        if workers.send(job).is_err() {
            break; // The queue is full; the rest waits for a later tick.
        }
        commands.entity(entity).insert(BlueprintStatus::Compiling);
    }
}

/// Programs of hosts that were asked for and have not been sent, oldest first.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(super) struct WaitingHosts(VecDeque<ProgramChangeRequested>);

/// Whether a program of a host is asked for and has not been sent.
pub(super) fn is_any_host_waiting(
    requests: Res<Messages<ProgramChangeRequested>>,
    waiting: Res<WaitingHosts>,
) -> bool {
    !requests.is_empty() || !waiting.0.is_empty()
}

/// Sends the hosts whose program is asked for, as far as the queue has room.
pub(super) fn send_hosts(
    mut workers: Workers<HostCompileJob>,
    mut requests: MessageReader<ProgramChangeRequested>,
    mut waiting: ResMut<WaitingHosts>,
) {
    waiting.0.extend(requests.read().cloned());
    while let Some(request) = waiting.0.front() {
        if workers.send(HostCompileJob(request.clone())).is_err() {
            return; // The queue is full; the rest waits for a later tick.
        }
        waiting.0.pop_front();
    }
}

/// The journal's line about an admission to `forge`.
fn admitted<J: Job>(forge: &str, admission: &Admission<J>) -> JobAdmitted {
    JobAdmitted {
        forge: forge.to_owned(),
        ticket: admission.ticket.0,
        outcome: admission.outcome.kind(),
    }
}
