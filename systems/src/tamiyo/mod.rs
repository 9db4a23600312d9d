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
mod race;
mod random;
mod standings;

pub use config::{
    Action, BUILT_IN, FIXED, HEURISTIC, OFF, RANDOM, ScheduledAction, TAMIYO, Tamiyo, TamiyoConfig,
    life_steps,
};
pub use fixed::Fixed;
pub use heuristic::Heuristic;
pub use observation::{Candidate, DormantSeed, Observation};
pub use policy::{ActivePolicy, Policy, PolicyError, TamiyoExt, check_policy_name};
pub use random::Random;

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::HostId,
    scenario::Sections,
    world::plugin::{ActiveSeedSystems, BuildError, Engine, Plugin, Tick, TickSystems},
};

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

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Tamiyo>().add_check(config::check_timetable);
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        engine
            .add_policy(OFF, |_| policy::Off)?
            .add_policy(FIXED, Fixed::new)?
            .add_policy(RANDOM, Random::new)?
            .add_policy(HEURISTIC, Heuristic::new)?;
        engine.add_saved_as::<policy::PolicyState>("tamiyo.policy").add_systems(
            Tick,
            (
                decide::decide.run_if(decide::is_anybody_deciding),
                decide::keep_trials.in_set(ActiveSeedSystems),
            )
                .chain()
                .in_set(TickSystems::Decide),
        );
        Ok(())
    }

    /// Puts the policy that the scenario names in charge: by now every plugin has registered its own.
    fn finish(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let config = TamiyoConfig::new(engine.scenario(), self.sites.clone());
        let world = engine.world_mut();
        if !world.contains_resource::<ActivePolicy>() {
            let policies = world.resource::<policy::Policies>();
            let policy = policies
                .make(&config.tamiyo.policy, &config)
                .map_err(|error| BuildError::plugin(self.name(), error))?;
            world.insert_resource(ActivePolicy(policy));
        }
        Ok(())
    }
}
