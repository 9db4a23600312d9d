//! Tamiyo, the strategist: reads what hosts and seeds report and says what the seeds should become.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `HostReport`, `EpochEnded`, `SeedReport`, `TrialHistory` | `SeedCommand` | [`Policy`] and the policies by name |
//!
//! A policy sees an [`Observation`] and appends commands. It must be a function of itself and of what it is shown: no clock,
//! no thread, no global random source, or a run can not be replayed.

mod config;
mod decide;
mod fixed;
mod heuristic;
mod host_progress;
mod observation;
mod policy;
mod random;

pub use config::TamiyoConfig;
pub use fixed::Fixed;
pub use heuristic::Heuristic;
pub use observation::{Candidate, DormantSeed, Observation};
pub use policy::{ActivePolicy, Policy, PolicyError, TamiyoExt};
pub use random::Random;

use bevy_ecs::prelude::*;
use esper_engine::world::plugin::{BuildError, Engine, Plugin, Tick, TickSystems};

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
        engine
            .add_policy("off", |_| policy::Off)?
            .add_policy("fixed", Fixed::new)?
            .add_policy("random", Random::new)?
            .add_policy("heuristic", Heuristic::new)?;
        engine.add_saved_as::<policy::PolicyState>("tamiyo.policy").add_systems(
            Tick,
            (decide::decide, decide::keep_trials).chain().in_set(TickSystems::Decide),
        );
        Ok(())
    }
    /// Puts the policy that the scenario names in charge: by now every plugin has registered its own.
    fn finish(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let world = engine.world_mut();
        if !world.contains_resource::<ActivePolicy>() {
            let policies = world.resource::<policy::Policies>();
            let policy = policies
                .make(self.config.tamiyo.policy.word(), &self.config)
                .map_err(|error| BuildError::plugin(self.name(), error))?;
            world.insert_resource(ActivePolicy(policy));
        }
        Ok(())
    }
}
