//! What a policy is shown.

use std::cell::OnceCell;

use esper_engine::{
    ids::{BlueprintId, HostId, SeedId, SiteId},
    stage::Stage,
    world::trials::{Trial, TrialHistory},
};
use esper_nn::contract::Contract;

use crate::oona::{EpochEnded, HostReport, SeedReport};

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

impl DormantSeed {
    /// How much its site is asked to change for its size; a site not sampled yet comes last.
    pub fn urgency(&self) -> f32 {
        match (self.x_rms, self.gradient_rms) {
            (Some(x), Some(gradient)) if x > 0.0 => gradient / x,
            _ => f32::MIN,
        }
    }
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
    pub(super) trials: &'a TrialHistory,
    pub(super) dormant: OnceCell<Vec<DormantSeed>>,
    pub(super) find_dormant: &'a dyn Fn() -> Vec<DormantSeed>,
    pub(super) candidates: OnceCell<Vec<Candidate>>,
    pub(super) find_candidates: &'a dyn Fn() -> Vec<Candidate>,
}

impl Observation<'_> {
    /// Seeds that could germinate now, sorted by name. Looked up when first asked for: there may be a million.
    pub fn dormant(&self) -> &[DormantSeed] {
        self.dormant.get_or_init(self.find_dormant)
    }

    /// Blueprints that could be tried, sorted by family and name; invalid ones are left out.
    pub fn candidates(&self) -> &[Candidate] {
        self.candidates.get_or_init(self.find_candidates)
    }

    /// That blueprint, if it could be tried.
    pub fn candidate(&self, blueprint: BlueprintId) -> Option<&Candidate> {
        self.candidates().iter().find(|it| it.blueprint == blueprint)
    }

    /// How that blueprint fared at that site, if it was tried there in this run.
    pub fn past(&self, host: HostId, site: SiteId, blueprint: BlueprintId) -> Option<Trial> {
        self.trials.at(host, site, blueprint)
    }

    /// How that blueprint fared at any site of any host of this run.
    pub fn past_anywhere(&self, blueprint: BlueprintId) -> impl Iterator<Item = Trial> + '_ {
        self.trials.of(blueprint)
    }

    /// The seeds of `host` that incubate.
    pub fn in_training(&self, host: HostId) -> impl Iterator<Item = &SeedReport> {
        self.seeds_of(host).filter(|seed| seed.stage == Stage::Training)
    }

    /// Living seeds of `host`.
    pub fn seeds_of(&self, host: HostId) -> impl Iterator<Item = &SeedReport> {
        self.seeds.iter().filter(move |seed| seed.host == host)
    }
}
