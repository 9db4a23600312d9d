//! Messages as events of the audit chain: their kinds, and the one order they are written in.

use bevy_ecs::{prelude::*, system::SystemParam};
use esper_engine::{
    journal::{JOB_ADMITTED, Journal, JournalError},
    world::ids::{BlueprintId, KernelId},
};
use esper_nn::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::oona::{
    BlueprintDesigned, CommandRefused, EpochEnded, FaultReported, GateJudged, HostRolledBack,
    HostSwapped, JobAdmitted, KernelJudged, SeedPlanted, StageChanged,
};

/// What can be an event of the audit chain.
pub trait Recorded: Serialize {
    /// The event's `kind`.
    const KIND: &'static str;
}

/// The run began. The first event of every chain.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RunStarted {
    /// The scenario's name.
    pub scenario: String,
    /// Digest of the scenario as resolved.
    pub scenario_digest: Digest,
    /// The run's seed.
    pub seed: u64,
    /// Hosts that train.
    pub n_hosts: u64,
    /// Digest of the weights that they began with, where the scenario names some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Digest>,
}

/// A kernel that another run left valid in a shared library was taken over, before the first tick.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct KernelAdopted {
    /// The kernel.
    pub kernel: KernelId,
    /// The blueprint it was compiled from.
    pub blueprint: BlueprintId,
    /// The blueprint's family.
    pub family: String,
    /// The variant, such as `fused`.
    pub variant: String,
    /// Parameters, in elements.
    pub params_elems: u64,
}

/// The run took all its steps. The last event of a chain that is complete.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct RunEnded {
    /// Steps taken, over all hosts.
    pub steps: u64,
    /// Digest of the trained parameters.
    pub weights_digest: Digest,
}

macro_rules! kinds {
    ($($event:ty => $kind:expr),+ $(,)?) => {
        $(impl Recorded for $event {
            const KIND: &'static str = $kind;
        })+
    };
}

kinds! {
    RunStarted => "run_started",
    KernelAdopted => "kernel_adopted",
    JobAdmitted => JOB_ADMITTED,
    KernelJudged => "kernel_judged",
    FaultReported => "fault_reported",
    EpochEnded => "epoch_ended",
    CommandRefused => "command_refused",
    GateJudged => "gate_judged",
    HostRolledBack => "host_rolled_back",
    StageChanged => "stage_changed",
    HostSwapped => "host_swapped",
    SeedPlanted => "seed_planted",
    BlueprintDesigned => "blueprint_designed",
    RunEnded => "run_ended",
}

/// Everything that happened in a tick and is put on record.
#[derive(SystemParam)]
pub(super) struct Inbox<'w, 's> {
    jobs: MessageReader<'w, 's, JobAdmitted>,
    kernels: MessageReader<'w, 's, KernelJudged>,
    faults: MessageReader<'w, 's, FaultReported>,
    epochs: MessageReader<'w, 's, EpochEnded>,
    refusals: MessageReader<'w, 's, CommandRefused>,
    gates: MessageReader<'w, 's, GateJudged>,
    rollbacks: MessageReader<'w, 's, HostRolledBack>,
    stages: MessageReader<'w, 's, StageChanged>,
    swaps: MessageReader<'w, 's, HostSwapped>,
    plantings: MessageReader<'w, 's, SeedPlanted>,
    designs: MessageReader<'w, 's, BlueprintDesigned>,
}

impl Inbox<'_, '_> {
    /// Writes all of it: kind after kind in the order of the phases, each by its ids; what happened twice to one id
    /// stays in the order in which it happened.
    pub(super) fn record(&mut self, tick: u64, journal: &mut Journal) -> Result<(), JournalError> {
        record(tick, journal, &mut self.jobs, |it| (it.forge.clone(), it.ticket))?;
        record(tick, journal, &mut self.kernels, |it| it.kernel)?;
        record(tick, journal, &mut self.faults, |it| it.host)?;
        record(tick, journal, &mut self.epochs, |it| it.host)?;
        record(tick, journal, &mut self.refusals, |it| it.seed)?;
        record(tick, journal, &mut self.gates, |it| it.seed)?;
        record(tick, journal, &mut self.rollbacks, |it| it.host)?;
        record(tick, journal, &mut self.stages, |it| it.seed)?;
        record(tick, journal, &mut self.swaps, |it| it.host)?;
        record(tick, journal, &mut self.plantings, |it| it.seed)?;
        record(tick, journal, &mut self.designs, |it| it.blueprint)
    }
}

fn record<M: Message + Recorded, K: Ord>(
    tick: u64,
    journal: &mut Journal,
    messages: &mut MessageReader<M>,
    key: impl Fn(&M) -> K,
) -> Result<(), JournalError> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut messages: Vec<&M> = messages.read().collect();
    messages.sort_by_cached_key(|message| key(message));
    messages.into_iter().try_for_each(|message| journal.append(tick, M::KIND, message))
}
