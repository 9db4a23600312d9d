//! `[nissa]`: what is shown and written while the run goes on.

use bevy_ecs::prelude::*;
use esper_engine::scenario::{Key, Keys, Scenario, Section};

/// The key of `[nissa]`.
pub const NISSA: Key<Nissa> = Key::new();

/// What is shown and written while the run goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Nissa {
    /// Whether progress is shown. Default true.
    pub progress: bool,
    /// Epochs from one row of `metrics.csv` to the next, 1 to 1,000,000. Default 1.
    pub metrics_every_epochs: u64,
}

impl Section for Nissa {
    const NAME: &'static str = "nissa";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("progress", &mut self.progress, ());
        keys.key("metrics_every_epochs", &mut self.metrics_every_epochs, 1..=1_000_000);
    }
}

impl Default for Nissa {
    fn default() -> Self {
        Self { progress: true, metrics_every_epochs: 1 }
    }
}

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
    pub fn new(scenario: &Scenario, progress: ProgressMode) -> Self {
        let nissa: Nissa = scenario.or_default();
        let is_shown = nissa.progress || progress == ProgressMode::Json;
        Self {
            metrics_every_epochs: nissa.metrics_every_epochs,
            events_max: scenario.value("limits.events_max").unwrap_or(u64::MAX),
            progress: if is_shown { progress } else { ProgressMode::Quiet },
        }
    }
}
