//! What a policy sees and what is remembered for it.

use std::{cell::OnceCell, collections::BTreeMap};

use bevy_ecs::prelude::*;
use esper_engine::world::{
    ids::{BlueprintId, HostId, SeedId, SiteId},
    stage::Stage,
};
use esper_nn::contract::Contract;
use serde::{Deserialize, Serialize};

use super::Policy;
use crate::oona::{EpochEnded, HostReport, SeedReport};

/// The policy in charge; `None` leaves every host alone.
#[derive(Resource)]
pub struct ActivePolicy(pub Option<Box<dyn Policy>>);

/// The policy's own state, as of the last tick: what a checkpoint keeps.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default)]
pub(super) struct SavedPolicy {
    pub bytes: Vec<u8>,
    /// Whether the policy in charge has been given these bytes since they were read from a checkpoint.
    #[serde(skip)]
    pub is_current: bool,
}

/// A seed that could germinate now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DormantSeed {
    /// The seed.
    pub seed: SeedId,
    /// Its host.
    pub host: HostId,
    /// Its site.
    pub site: SiteId,
    /// What a module must keep there.
    pub contract: Contract,
    /// Root mean square of the activation at the site, once sampled.
    pub x_rms: Option<f32>,
    /// Root mean square of the task gradient at the site, once sampled.
    pub gradient_rms: Option<f32>,
}

/// A blueprint that could be tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
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
    /// Whether a kernel of it was validated; if not yet, a seed waits for it in GERMINATED.
    pub is_ready: bool,
}

/// How a seed ended, and what the twin said.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The stage it ended in.
    pub end: Stage,
    /// The gain against the twin, if it came to a verdict.
    pub gain: Option<f32>,
}

/// Past verdicts, by site and blueprint.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub verdicts: BTreeMap<(HostId, SiteId, BlueprintId), Verdict>,
    /// The last twin gain of seeds that have not ended.
    pub gains: BTreeMap<SeedId, (HostId, SiteId, f32)>,
}

/// What a policy is shown in a tick.
pub struct Observation<'a> {
    /// The tick.
    pub tick: u64,
    /// Every host, sorted by name.
    pub hosts: &'a [HostReport],
    /// Epochs that ended in this tick, sorted by host.
    pub epochs: &'a [EpochEnded],
    /// Every living seed, sorted by name.
    pub seeds: &'a [SeedReport],
    pub(super) memory: &'a Memory,
    pub(super) dormant: OnceCell<Vec<DormantSeed>>,
    pub(super) find_dormant: &'a dyn Fn() -> Vec<DormantSeed>,
    pub(super) offers: OnceCell<Vec<Candidate>>,
    pub(super) find_offers: &'a dyn Fn() -> Vec<Candidate>,
}

impl Observation<'_> {
    /// Seeds that could germinate now, sorted by name. Looked up when first asked for: there may be a million.
    pub fn dormant(&self) -> &[DormantSeed] {
        self.dormant.get_or_init(self.find_dormant)
    }

    /// Blueprints that could be tried, sorted by family and name; invalid ones are left out.
    pub fn offers(&self) -> &[Candidate] {
        self.offers.get_or_init(self.find_offers)
    }

    /// How that blueprint ended at that site, if it was tried there in this run.
    pub fn past(&self, host: HostId, site: SiteId, blueprint: BlueprintId) -> Option<Verdict> {
        self.memory.verdicts.get(&(host, site, blueprint)).copied()
    }

    /// How that blueprint ended at any site of any host of this run.
    pub fn past_anywhere(&self, blueprint: BlueprintId) -> impl Iterator<Item = Verdict> + '_ {
        let verdicts = self.memory.verdicts.iter();
        verdicts.filter(move |((_, _, of), _)| *of == blueprint).map(|(_, verdict)| *verdict)
    }

    /// Living seeds of `host`.
    pub fn seeds_of(&self, host: HostId) -> impl Iterator<Item = &SeedReport> {
        self.seeds.iter().filter(move |seed| seed.host == host)
    }
}
