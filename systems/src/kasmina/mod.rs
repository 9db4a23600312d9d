//! Kasmina, the execution layer: runs seeds at their sites and moves them through their eleven stages.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `SeedCommand`, `FaultReported`, `HostRestored`, `ProgramReady` | `HostReport`, `SeedReport`, `GateJudged`, `SeedPlanted`, `StageChanged`, `CommandRefused`, `HostRolledBack`, `ProgramChangeRequested`, `HostSwapped` | [`Stage`](esper_engine::world::stage::Stage) and the one function that changes it, twins, blueprints tried |
//!
//! Sense measures, Transform changes. A seed is one entity and its components are its facts; every change of stage goes
//! through `Lifecycle::enter`, which holds to the table of legal steps and writes the journal's message. What of a seed
//! the steps of its host depend on (its blend, the sites that are sampled) is handed to the host's numbers where it is
//! set.

mod advance;
mod bind;
mod commands;
mod config;
mod fossilize;
mod gates;
mod graft;
mod lifecycle;
mod plant;
mod reports;
mod rollback;

pub use config::{Counterfactual, KASMINA, Kasmina, KasminaConfig, LIMITS, Limits};
pub use gates::{Interval, paired_interval};
pub use lifecycle::Tried;
pub use plant::NextSeed;

use bevy_ecs::prelude::*;
use esper_engine::{
    scenario::Sections,
    world::plugin::{BuildError, Engine, Plugin, SenseSystems, Tick, TransformSystems},
};

/// Adds [Kasmina](self).
pub struct KasminaPlugin;

impl Plugin for KasminaPlugin {
    fn name(&self) -> &'static str {
        "kasmina"
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Kasmina>().add::<Limits>().add_check(config::check_hosts);
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        if !engine.has_plugin("oona") {
            return Err(BuildError::Missing { plugin: self.name(), needs: "oona" });
        }
        let config = KasminaConfig::new(engine.scenario());
        let world = engine.world_mut();
        world.insert_resource(config);
        world.init_resource::<NextSeed>();
        world.init_resource::<Tried>();
        world.init_resource::<lifecycle::EndedSeeds>();
        world.add_observer(rollback::restore_seeds);
        engine.add_saved::<NextSeed>("kasmina.next_seed").add_saved::<Tried>("kasmina.tried");
        engine.add_systems(
            Tick,
            (
                (
                    reports::report_hosts,
                    reports::sample_seeds,
                    gates::judge_seeds,
                    reports::report_seeds,
                )
                    .chain()
                    .in_set(SenseSystems::Seeds),
                rollback::withdraw_grafts.in_set(TransformSystems::Withdraw),
                (
                    plant::plant_first_seeds,
                    fossilize::swap_programs,
                    bind::bind_kernels,
                    commands::apply_commands,
                    advance::advance_stages,
                    plant::replant_sites,
                )
                    .chain()
                    .in_set(TransformSystems::Advance),
            ),
        );
        Ok(())
    }
}
