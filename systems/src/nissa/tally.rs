//! What Nissa keeps from tick to tick, and what a checkpoint keeps of it.

use std::{collections::BTreeMap, ops::AddAssign};

use bevy_ecs::prelude::*;
use esper_engine::{
    journal::JournalPosition,
    world::{ids::HostId, stage::Stage},
};
use serde::{Deserialize, Serialize};

/// How far the run's files had come at the end of the last tick, and what became of its seeds.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct NissaState {
    /// The end of the audit chain.
    pub journal: JournalPosition,
    /// The length of `metrics.csv`.
    pub metrics_bytes: u64,
    /// What became of each host's seeds.
    pub tallies: BTreeMap<HostId, SeedTally>,
}

impl NissaState {
    /// What became of the seeds of `host`.
    pub fn tally(&self, host: HostId) -> SeedTally {
        self.tallies.get(&host).copied().unwrap_or_default()
    }
}

/// How many seeds entered each of the stages that count.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeedTally {
    /// Given a blueprint.
    pub germinated: u64,
    /// Kept for good.
    pub fossilized: u64,
    /// Judged not worth keeping.
    pub culled: u64,
    /// Withdrawn before they touched the host.
    pub cancelled: u64,
    /// Removed after harm.
    pub rolled_back: u64,
}

impl SeedTally {
    /// Counts a seed that entered `stage`.
    pub fn count(&mut self, stage: Stage) {
        match stage {
            Stage::Germinated => self.germinated += 1,
            Stage::Fossilized => self.fossilized += 1,
            Stage::Culled => self.culled += 1,
            Stage::Cancelled => self.cancelled += 1,
            Stage::RolledBack => self.rolled_back += 1,
            Stage::Dormant
            | Stage::Training
            | Stage::Grafting
            | Stage::Stabilization
            | Stage::Evaluating
            | Stage::FineTuning => (),
        }
    }
}

impl AddAssign for SeedTally {
    fn add_assign(&mut self, other: Self) {
        self.germinated += other.germinated;
        self.fossilized += other.fossilized;
        self.culled += other.culled;
        self.cancelled += other.cancelled;
        self.rolled_back += other.rolled_back;
    }
}
