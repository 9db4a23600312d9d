//! What Nissa writes and shows.

use bevy_ecs::prelude::*;
use esper_engine::scenario::Scenario;

/// How a run shows its progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// A bar on standard error, with a line above it for each event: for a terminal.
    Bar,
    /// Lines on standard error.
    Plain,
    /// One JSON object a line on standard output.
    Json,
    /// Nothing.
    #[default]
    Quiet,
}

/// What Nissa writes and shows.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct NissaConfig {
    /// Epochs from one row of `metrics.csv` to the next, at least 1.
    pub metrics_every_epochs: u64,
    /// Lines of `events.jsonl`.
    pub events_max: u64,
    /// How progress is shown.
    pub progress: ProgressMode,
}

impl NissaConfig {
    /// What `scenario` asks for, shown as `progress` unless the scenario wants nothing shown; who asks for JSON
    /// gets it.
    pub fn of(scenario: &Scenario, progress: ProgressMode) -> Self {
        let is_shown = scenario.nissa.progress || progress == ProgressMode::Json;
        Self {
            metrics_every_epochs: scenario.nissa.metrics_every_epochs,
            events_max: scenario.limits.events_max,
            progress: if is_shown { progress } else { ProgressMode::Quiet },
        }
    }
}

impl Default for NissaConfig {
    fn default() -> Self {
        Self::of(&Scenario::default(), ProgressMode::Quiet)
    }
}
