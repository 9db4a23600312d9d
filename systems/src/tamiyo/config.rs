//! Tamiyo's settings: the scenario's `[tamiyo]` and what it needs to know of the rest.

use std::{collections::BTreeMap, sync::Arc};

use esper_engine::{
    scenario::{Incubation, Kasmina, Limits, Scenario, Tamiyo},
    world::ids::HostId,
};

/// Who decides, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct TamiyoConfig {
    /// The scenario's `[tamiyo]`.
    pub tamiyo: Tamiyo,
    /// The scenario's `[kasmina]`: ages and gates a policy plans with.
    pub kasmina: Kasmina,
    /// The scenario's `[limits]`.
    pub limits: Limits,
    /// Every host's sites by name, in the order of its program.
    pub sites: BTreeMap<HostId, Arc<[String]>>,
    /// What a policy's random streams are keyed by.
    pub run_seed: u64,
}

impl TamiyoConfig {
    /// What `scenario` says, for hosts with these sites.
    pub fn new(scenario: &Scenario, sites: BTreeMap<HostId, Arc<[String]>>) -> Self {
        Self {
            tamiyo: scenario.tamiyo.clone(),
            kasmina: scenario.kasmina.clone(),
            limits: scenario.limits.clone(),
            sites,
            run_seed: scenario.run.seed,
        }
    }

    /// Whether seeds are inserted without learning first.
    pub fn is_direct(&self) -> bool {
        self.kasmina.incubation == Incubation::None
    }
}
