//! The messages, in the order of the phases that write them.

use std::fmt;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use esper_engine::{
    forge::JobOutcome,
    ids::{BlueprintId, HostId, KernelId, SeedId, SiteId},
    stage::Stage,
    world::{
        components::Telemetry,
        gate::{Gate, GateEvidence, GateState, GateVerdict},
        kernel::KernelStatus,
    },
};
use esper_nn::{contract::Contract, graph::NetworkGraph, plan::Fault, program::Program};
use serde::{Deserialize, Serialize};

/// A worker's result entered the world. Tezzeret and Urabrask write it in `Admit`; replay reads it from the journal.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct JobAdmitted {
    /// The forge's name, such as `compile`.
    pub forge: String,
    /// The job's place in the order in which that forge's jobs were sent.
    pub ticket: u64,
    /// How it ended.
    pub outcome: JobOutcome,
}

/// A kernel was validated or rejected. Urabrask writes it in `Admit`.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct KernelJudged {
    /// The kernel.
    pub kernel: KernelId,
    /// The blueprint it was compiled from.
    pub blueprint: BlueprintId,
    /// The blueprint's family.
    pub family: String,
    /// The variant, such as `fused`.
    pub variant: String,
    /// [`KernelStatus::Validated`] or [`KernelStatus::Rejected`].
    pub status: KernelStatus,
    /// What was found, one sentence each; never a measured time, which no two runs share.
    pub reasons: Vec<String>,
}

/// A host met a fault; it takes no further step until it is dealt with. Tolaria writes it in `Train`.
#[derive(Message, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct FaultReported {
    /// The host.
    pub host: HostId,
    /// Whether it was not the host itself but its twin.
    pub is_twin: bool,
    /// The step count when the fault struck.
    pub step: u64,
    /// What it met.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What one host did in one tick. Kasmina writes it in `Sense`, twins left out, sorted by host.
#[derive(Message, Clone, Copy, Debug, PartialEq)]
pub struct HostReport {
    /// The host.
    pub host: HostId,
    /// Steps it has taken.
    pub step: u64,
    /// Steps of its whole run.
    pub total_steps: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// The last training loss; `None` before the first step.
    pub loss: Option<f32>,
    /// Exponentially weighted mean of the training loss.
    pub loss_mean: Option<f32>,
    /// Parameters of the host, fossilised modules included, in elements.
    pub params_elems: u64,
    /// Parameters of its bound seeds, in elements.
    pub seed_params_elems: u64,
    /// Whether one more verdict is within the limit on evaluation: a graft is refused if not.
    pub can_judge: bool,
}

/// A host that has taken its steps became the better of its last step and of the average over its last window. Tolaria
/// writes it in `Transform`, sorted by host.
#[derive(Message, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct FinalModelChosen {
    /// The host.
    pub host: HostId,
    /// Whether it is the average.
    pub is_average: bool,
    /// Validation loss of what the last step left.
    pub last_loss: f64,
    /// Validation loss of the average.
    pub average_loss: f64,
}

/// A host ended an epoch and was validated. Tolaria writes it in `Sense`, sorted by host.
#[derive(Message, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct EpochEnded {
    /// The host.
    pub host: HostId,
    /// The epoch that ended, from 1.
    pub epoch: u64,
    /// Steps taken.
    pub step: u64,
    /// Mean training loss over the epoch.
    pub train_loss: f64,
    /// Share of training examples classified right; `None` for regression.
    pub train_accuracy: Option<f64>,
    /// Mean validation loss.
    pub val_loss: f64,
    /// Share of validation examples classified right; `None` for regression.
    pub val_accuracy: Option<f64>,
    /// The learning rate of the epoch's last step.
    pub lr: f64,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Seeds alive, DORMANT left out.
    pub n_active_seeds: u64,
}

/// What one living seed measured. Kasmina writes it in `Sense`, sorted by seed. Dormant seeds write none: there may
/// be a million of them.
#[derive(Message, Clone, Copy, Debug, PartialEq)]
pub struct SeedReport {
    /// The seed.
    pub seed: SeedId,
    /// Its host.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// What a module must keep there.
    pub contract: Contract,
    /// The stage it is in.
    pub stage: Stage,
    /// The host's steps since it entered that stage.
    pub stage_steps: u64,
    /// The blueprint it grows, once chosen.
    pub blueprint: Option<BlueprintId>,
    /// What was measured.
    pub telemetry: Telemetry,
    /// Where it stands with the gate before its next stage.
    pub gate_state: GateState,
    /// Whether it is being withdrawn.
    pub is_withdrawing: bool,
}

impl SeedReport {
    /// What a policy asks of it.
    pub const fn command(&self, action: SeedAction) -> SeedCommand {
        SeedCommand { seed: self.seed, action }
    }
}

/// What the policy asks of one seed. Tamiyo writes it in `Decide`; Kasmina carries it out or refuses it in `Transform`.
#[derive(Message, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedCommand {
    /// The seed.
    pub seed: SeedId,
    /// What it should do.
    pub action: SeedAction,
}

/// What a policy may ask.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SeedAction {
    /// DORMANT to GERMINATED with that blueprint.
    Germinate {
        /// What it should grow into.
        blueprint: BlueprintId,
    },
    /// The seed stays DORMANT, and one that is planted beside it goes to GERMINATED with that blueprint: what several
    /// blueprints do at one site at the same time.
    GerminateBeside {
        /// What it should grow into.
        blueprint: BlueprintId,
    },
    /// TRAINING to GRAFTING.
    Graft,
    /// EVALUATING to FINE_TUNING.
    FineTune,
    /// EVALUATING or FINE_TUNING to FOSSILIZED.
    Fossilize,
    /// TRAINING, GRAFTING, STABILIZATION, EVALUATING or FINE_TUNING to CULLED.
    Cull,
    /// GERMINATED or TRAINING to CANCELLED.
    Cancel,
}

/// A command that was refused; nothing changed. Kasmina writes it in `Transform`.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct CommandRefused {
    /// The seed.
    pub seed: SeedId,
    /// What was asked.
    pub action: SeedAction,
    /// Why not.
    pub refusal: Refusal,
}

/// Why a command was refused.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// No seed of that name lives.
    #[error("no such seed")]
    UnknownSeed,
    /// The stages do not follow each other.
    #[error("a seed in {from} may not become {to}")]
    IllegalTransition {
        /// The stage it is in.
        from: Stage,
        /// The stage it was asked to enter.
        to: Stage,
    },
    /// The site rests.
    #[error("the site rests until step {until_step}")]
    Embargoed {
        /// When it ends.
        until_step: u64,
    },
    /// No such blueprint, or it is invalid, or it does not fit the site.
    #[error("the blueprint is unknown, invalid, does not fit the site or was tried there before")]
    UnfitBlueprint,
    /// A limit would be passed.
    #[error("limit `{limit}`: {found} of at most {allowed}")]
    Limit {
        /// The limit's name.
        limit: String,
        /// What it would become.
        found: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// Judging the graft could take evaluation beyond its share of the run's arithmetic.
    #[error(
        "evaluation could take a share of {share:.3}, of at most {allowed:.3}: limits.evaluation_share_max"
    )]
    EvaluationShare {
        /// The share by the end of the verdict, at most.
        share: f64,
        /// What is allowed.
        allowed: f64,
    },
    /// The gate before that stage has not passed.
    #[error("gate {gate:?} has not passed")]
    Gate {
        /// The gate.
        gate: Gate,
    },
    /// The device has no room for what was asked.
    #[error("{message}")]
    Device {
        /// What the device says.
        message: String,
    },
    /// The host is being recompiled, restored, or is at fault.
    #[error("the host is busy")]
    HostBusy,
}

/// A dormant seed was planted. Kasmina writes it in `Transform` (and for the first seeds, in the first tick).
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SeedPlanted {
    /// The seed.
    pub seed: SeedId,
    /// Its host.
    pub host: HostId,
    /// Its site.
    pub site_id: SiteId,
    /// Its site's name.
    pub site: String,
}

/// A seed entered a new stage. Kasmina writes it in `Transform`, after the change.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct StageChanged {
    /// The seed.
    pub seed: SeedId,
    /// Its host.
    pub host: HostId,
    /// Its site.
    pub site_id: SiteId,
    /// Its site's name.
    pub site: String,
    /// The stage it left.
    pub from: Stage,
    /// The stage it entered.
    pub to: Stage,
    /// The host's step count.
    pub step: u64,
    /// The family of its blueprint, once chosen.
    pub family: Option<String>,
    /// Its blueprint, once chosen.
    pub blueprint: Option<BlueprintId>,
    /// Why, for people: `command`, `alpha reached`, `G5 failed`, ...
    pub reason: String,
}

/// A gate judged a seed. Kasmina writes it in `Sense` and `Transform`.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct GateJudged {
    /// The seed.
    pub seed: SeedId,
    /// Its host.
    pub host: HostId,
    /// What it decided.
    pub verdict: GateVerdict,
    /// The host's step count.
    pub step: u64,
    /// The gate, and what it saw.
    #[serde(flatten)]
    pub evidence: GateEvidence,
}

/// A host went back to a snapshot or became its twin. Kasmina or Tolaria write it in `Transform`.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct HostRolledBack {
    /// The host.
    pub host: HostId,
    /// Its step count before.
    pub from_step: u64,
    /// Its step count now.
    pub to_step: u64,
    /// What it became.
    pub to: RollbackTo,
    /// Rollbacks of this host so far.
    pub n_rollbacks: u64,
}

/// What a host is rolled back to.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RollbackTo {
    /// Its twin, which trained on without the graft.
    Twin,
    /// A snapshot from before.
    Snapshot,
}

impl fmt::Display for RollbackTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twin => "twin",
            Self::Snapshot => "snapshot",
        })
    }
}

/// A host needs the program of another network. Kasmina writes it in `Transform`; Tezzeret compiles it.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ProgramChangeRequested {
    /// Patterns of its parameters that never train.
    pub freeze: Vec<String>,
    /// The host.
    pub host: HostId,
    /// Its network to be.
    pub graph: Arc<NetworkGraph>,
    /// How the host's numbers become those of the new program.
    pub transfer: Transfer,
}

/// How a host's numbers become those of a program of another network.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    /// By name, bit for bit; those of the seed's module, which was bound, join them.
    Fossilize {
        /// The seed.
        seed: SeedId,
    },
}

/// A program that was asked for has been compiled. Tezzeret writes it in `Admit`; Kasmina swaps it in.
#[derive(Message, Clone, Debug)]
pub struct ProgramReady {
    /// What was asked for.
    pub request: ProgramChangeRequested,
    /// The program; an error is a sentence for people.
    pub program: Result<Arc<Program>, String>,
}

/// A host's program was swapped for one with a fossilised module in it. Kasmina writes it in `Transform`.
#[derive(Message, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostSwapped {
    /// The host.
    pub host: HostId,
    /// The seed whose module became part of it.
    pub seed: SeedId,
    /// Its step count.
    pub step: u64,
    /// Parameters now, in elements.
    pub params_elems: u64,
}

/// A blueprint joined the run. Karn writes it in `Dispatch`.
#[derive(Message, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BlueprintDesigned {
    /// The blueprint.
    pub blueprint: BlueprintId,
    /// Its family.
    pub family: String,
    /// What it keeps.
    pub contract: Contract,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Forward arithmetic of one example.
    pub flops_per_example: u64,
}
