//! Tamiyo, the strategist: reads what hosts and seeds report and says what the seeds should become.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `HostReport`, `EpochEnded`, `SeedReport`, `StageChanged` | `SeedCommand` | [`Policy`], the memory of past verdicts |
//!
//! A policy sees a [`Observation`] and appends commands. It must be a function of itself and of what it is shown: no clock,
//! no thread, no global random source, or a run can not be replayed.

mod components;
mod config;
mod diagnostics;
mod fixed;
mod heuristic;
mod random;
mod systems;

pub use components::{ActivePolicy, Candidate, DormantSeed, Observation, Verdict};
pub use config::{Action, PolicyKind, ScheduledAction, TAMIYO, Tamiyo, TamiyoConfig};
pub use fixed::Fixed;
pub use heuristic::Heuristic;
pub use random::Random;

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use esper_engine::{
    scenario::Sections,
    world::{
        ids::HostId,
        plugin::{BuildError, Engine, Plugin, Tick, TickSystems},
    },
};

use crate::oona::SeedCommand;

/// A strategy. Implement it to replace Tamiyo's gate_state with your own.
pub trait Policy: Send + Sync + 'static {
    /// Reads this tick's view and appends the commands it wants, in the order they should be obeyed.
    fn decide(&mut self, view: &Observation<'_>, commands: &mut Vec<SeedCommand>);

    /// What a checkpoint has to keep of it.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Puts back what [`Policy::save`] wrote.
    ///
    /// # Errors
    ///
    /// Says in a sentence why the bytes are not its own.
    fn load(&mut self, _saved: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// Adds [Tamiyo](self), deciding as its configuration says.
#[derive(Clone, Debug, Default)]
pub struct TamiyoPlugin {
    /// Every host's sites by name, in the order of its program.
    pub sites: BTreeMap<HostId, Arc<[String]>>,
}

impl Plugin for TamiyoPlugin {
    fn name(&self) -> &'static str {
        "tamiyo"
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Tamiyo>().add_check(config::check_timetable);
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        if !engine.has_plugin("oona") {
            return Err(BuildError::Missing { plugin: self.name(), needs: "oona" });
        }
        // A policy that was put in place before stays: that is how a stranger brings its own.
        if engine.world().get_resource::<ActivePolicy>().is_none() {
            let config = TamiyoConfig::new(engine.scenario(), self.sites.clone());
            let policy: Option<Box<dyn Policy>> = match config.tamiyo.policy {
                PolicyKind::Off => None,
                PolicyKind::Fixed => Some(Box::new(Fixed::new(&config))),
                PolicyKind::Random => Some(Box::new(Random::new(&config))),
                PolicyKind::Heuristic => Some(Box::new(Heuristic::new(&config))),
            };
            engine.world_mut().insert_resource(ActivePolicy(policy));
        }
        engine.world_mut().init_resource::<components::Memory>();
        engine.add_saved::<components::Memory>("tamiyo.memory");
        engine.add_saved::<components::SavedPolicy>("tamiyo.policy");
        engine.world_mut().init_resource::<components::SavedPolicy>();
        engine.add_systems(
            Tick,
            (
                systems::decide.in_set(TickSystems::Decide),
                (systems::remember_outcomes, systems::keep_policy)
                    .chain()
                    .in_set(TickSystems::Record),
            ),
        );
        Ok(())
    }
}
