//! Nissa, the record: the audit chain, metrics, progress and the summary of a run, and who reads them back.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | every fact on the bus: `StageChanged`, `GateJudged`, `EpochEnded`, ... | `Journal`, `RunStatus` on failure | `metrics.csv`, `summary.json`, [`NissaState`], [`Progress`] |
//!
//! All of it happens in `Record`. A plugin of one's own adds its events to the
//! [`Journal`] in an earlier phase.

mod components;
mod config;
mod diagnostics;
mod events;
mod inspect;
mod metrics;
mod progress;
mod run;
mod summary;
mod systems;
mod table;

pub use components::{NissaState, SeedTally};
pub use config::{NISSA, Nissa, NissaConfig, ProgressMode};
pub use diagnostics::NissaError;
pub use events::{KernelAdopted, Recorded, RunEnded, RunStarted};
pub use inspect::{Inspection, JudgedGate, SeedHistory, StageEntered};
pub use progress::Progress;
pub use run::{finish, record_adoptions, resume, start};
pub use summary::{HostSummary, RunEnd, RunFacts, Scores, Summary};
pub use table::table;

use bevy_ecs::prelude::*;
use esper_engine::{
    journal::Journal,
    scenario::Sections,
    world::plugin::{BuildError, Engine, Plugin, Tick, TickSystems},
};

/// Adds [Nissa](self), with a journal in memory until [`start`] or [`resume`] gives it a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct NissaPlugin {
    /// How progress is shown.
    pub progress: ProgressMode,
}

impl Plugin for NissaPlugin {
    fn name(&self) -> &'static str {
        "nissa"
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Nissa>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        if !engine.has_plugin("oona") {
            return Err(BuildError::Missing { plugin: self.name(), needs: "oona" });
        }
        // A configuration that was put in place before stays.
        let asked = NissaConfig::new(engine.scenario(), self.progress);
        let world = engine.world_mut();
        let config = *world.get_resource_or_insert_with(|| asked);
        world.insert_resource(Journal::in_memory(config.events_max));
        world.insert_resource(Progress::new(config.progress));
        world.init_resource::<NissaState>();
        world.init_resource::<metrics::Metrics>();
        engine.add_saved::<NissaState>("nissa").add_systems(
            Tick,
            (
                systems::record_events,
                systems::count_outcomes,
                systems::write_metrics,
                systems::show_progress,
            )
                .chain()
                .in_set(TickSystems::Record),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
