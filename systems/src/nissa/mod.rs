//! Nissa, the record: the audit chain, metrics, progress and the summary of a run, and who reads them back.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | every fact on the bus: `StageChanged`, `GateJudged`, `EpochEnded`, ... | `Journal`, `RunStatus` on failure | `metrics.csv`, `summary.json`, [`NissaState`], [`Progress`] |
//!
//! All of it happens in `Record`, in [`RecordSystems::Write`]. An event that a plugin registers with
//! [`Engine::add_event`] is written and shown like any of Esper's own.

mod config;
mod error;
mod inspect;
mod metrics;
mod progress;
mod record;
mod run_events;
mod summary;
mod table;
mod tally;
mod together;
mod write;

pub use config::{NISSA, Nissa, NissaConfig, ProgressMode};
pub use error::NissaError;
pub use inspect::{Inspection, JudgedGate, SeedHistory, StageEntered};
pub use progress::Progress;
pub use record::{finish, record_adoptions, resume, start};
pub use run_events::{KernelAdopted, RunEnded, RunStarted};
pub use summary::{HostSummary, RunEnd, RunFacts, Scores, Summary};
pub use table::table;
pub use tally::{NissaState, SeedTally};

use bevy_ecs::prelude::*;
use esper_engine::{
    journal::Journal,
    scenario::Sections,
    world::plugin::{BuildError, Engine, Plugin, RecordSystems, Tick},
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

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Nissa>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
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
                (write::record_events, write::count_outcomes, write::write_metrics)
                    .chain()
                    .run_if(write::is_anything_to_record),
                write::show_progress.run_if(write::is_anybody_watching),
            )
                .chain()
                .in_set(RecordSystems::Write),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
