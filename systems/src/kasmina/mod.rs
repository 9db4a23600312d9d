//! Kasmina, the execution layer: runs seeds at their sites and moves them through their eleven stages.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `SeedCommand`, `FaultReported` | `HostReport`, `SeedReport`, `GateJudged`, `SeedPlanted`, `StageChanged`, `CommandRefused`, `HostRolledBack`, `HostSwapped` | [`Stage`](esper_engine::world::stage::Stage) and the one door to it, twins, [`Tried`] |
//!
//! Sense measures, Transform changes. Every change of stage goes through one function, [`transition`], which checks
//! the table of legal steps and writes the journal's message.

mod bind;
mod commands;
mod components;
mod config;
mod diagnostics;
mod gates;
mod graft;
mod plant;
mod stages;
mod systems;
mod transition;
mod verdict;

pub use components::{NextSeed, Tried};
pub use config::KasminaConfig;
pub use transition::{IllegalTransition, transition};
pub use verdict::{Interval, paired_interval};

use bevy_ecs::prelude::*;
use esper_engine::world::{
    components::{
        Active, Alpha, Embargo, SeedModule, SeedOf, Site, StageClock, Telemetry, Withdrawing,
    },
    gate::GateState,
    ids::{HostId, SeedId},
    plugin::{BuildError, Engine, Plugin, SenseSystems, Tick, TransformSystems},
    stage::Stage,
};

/// Adds [Kasmina](self).
pub struct KasminaPlugin {
    /// How seeds live.
    pub config: KasminaConfig,
}

impl Plugin for KasminaPlugin {
    fn name(&self) -> &'static str {
        "kasmina"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let world = engine.world_mut();
        world.insert_resource(self.config.clone());
        world.init_resource::<NextSeed>();
        world.init_resource::<Tried>();
        world.init_resource::<components::Withdrawals>();
        engine
            .add_saved::<NextSeed>("kasmina.next_seed")
            .add_saved::<Tried>("kasmina.tried")
            .add_saved_entities::<SeedId>("seed")
            .add_saved_relationship::<SeedId, SeedOf, HostId>("seed.host")
            .add_saved_component::<SeedId, Site>("seed.site")
            .add_saved_component::<SeedId, Stage>("seed.stage")
            .add_saved_component::<SeedId, Active>("seed.is_active")
            .add_saved_component::<SeedId, StageClock>("seed.clock")
            .add_saved_component::<SeedId, SeedModule>("seed.module")
            .add_saved_component::<SeedId, Alpha>("seed.alpha")
            .add_saved_component::<SeedId, Telemetry>("seed.telemetry")
            .add_saved_component::<SeedId, GateState>("seed.gate")
            .add_saved_component::<SeedId, Embargo>("seed.embargo")
            .add_saved_component::<SeedId, Withdrawing>("seed.withdrawing");
        engine.add_systems(
            Tick,
            (
                (
                    systems::report_hosts,
                    systems::sample_seeds,
                    systems::judge_seeds,
                    systems::report_seeds,
                )
                    .chain()
                    .in_set(SenseSystems::Seeds),
                graft::withdraw_grafts.in_set(TransformSystems::Withdraw),
                (
                    plant::plant_first_seeds,
                    graft::reconcile_seeds,
                    stages::swap_hosts,
                    bind::bind_kernels,
                    commands::apply_commands,
                    stages::advance_stages,
                    plant::replant_sites,
                )
                    .chain()
                    .in_set(TransformSystems::Advance),
            ),
        );
        Ok(())
    }
}
