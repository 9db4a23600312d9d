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
pub use config::TamiyoConfig;
pub use fixed::Fixed;
pub use heuristic::Heuristic;
pub use random::Random;

use bevy_ecs::prelude::*;
use esper_engine::{
    scenario,
    world::plugin::{BuildError, Engine, Plugin, Tick, TickSystems},
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
pub struct TamiyoPlugin {
    /// Who decides, and how.
    pub config: TamiyoConfig,
}

impl Plugin for TamiyoPlugin {
    fn name(&self) -> &'static str {
        "tamiyo"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        // A policy that was put in place before stays: that is how a stranger brings its own.
        if engine.world().get_resource::<ActivePolicy>().is_none() {
            let policy: Option<Box<dyn Policy>> = match self.config.tamiyo.policy {
                scenario::Policy::Off => None,
                scenario::Policy::Fixed => Some(Box::new(Fixed::new(&self.config))),
                scenario::Policy::Random => Some(Box::new(Random::new(&self.config))),
                scenario::Policy::Heuristic => Some(Box::new(Heuristic::new(&self.config))),
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
