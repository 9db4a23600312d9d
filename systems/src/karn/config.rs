//! What Karn can be told.

use esper_engine::scenario::{Composition, Karn, Scenario};

/// `[karn]` of a scenario, and how what it designs will join its host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KarnConfig {
    /// Which families there are: `catalogue` (`all` stands for every family but the controls) and `adversarial`.
    pub karn: Karn,
    /// Whether every module ends in a learned gate, as the composition `gate` asks.
    pub is_gated: bool,
}

impl KarnConfig {
    /// What `scenario` says.
    pub fn new(scenario: &Scenario) -> Self {
        let is_gated = scenario.kasmina.composition == Composition::Gate;
        Self { karn: scenario.karn.clone(), is_gated }
    }
}
