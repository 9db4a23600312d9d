//! Kasmina's settings: the scenario's `[kasmina]` and the limits that bind it.

use bevy_ecs::prelude::*;
use esper_engine::scenario::{Kasmina, Limits, Policy, Scenario};

/// How seeds incubate, graft and are judged, and within which limits.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct KasminaConfig {
    /// The scenario's `[kasmina]`.
    pub kasmina: Kasmina,
    /// The scenario's `[limits]`.
    pub limits: Limits,
    /// Whether seeds are planted at all: not when nobody decides about them.
    pub plants_seeds: bool,
}

impl KasminaConfig {
    /// What `scenario` says.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            kasmina: scenario.kasmina.clone(),
            limits: scenario.limits.clone(),
            plants_seeds: scenario.tamiyo.policy != Policy::Off,
        }
    }
}
