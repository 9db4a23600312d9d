//! Tolaria's settings: the scenario's `[run]`, `[governor]` and `[checkpoint]`.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::HostConfig,
    scenario::{Checkpoint, Governor, Scenario},
};

/// How hosts are trained, watched and saved.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct TolariaConfig {
    /// Optimizer steps of every host in one tick.
    pub steps_per_tick: u64,
    /// Threads that share the hosts; 0 for one a core.
    pub threads: usize,
    /// The scenario's `[governor]`.
    pub governor: Governor,
    /// The scenario's `[checkpoint]`.
    pub checkpoint: Checkpoint,
}

impl TolariaConfig {
    /// What `scenario` says.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            steps_per_tick: scenario.run.steps_per_tick,
            threads: scenario.run.threads,
            governor: scenario.governor.clone(),
            checkpoint: scenario.checkpoint.clone(),
        }
    }
}

/// The fixed side of every host, by random stream: what a checkpoint does not repeat.
#[derive(Resource, Clone, Default)]
pub struct HostConfigs(pub BTreeMap<u64, Arc<HostConfig>>);
