//! Kasmina, the execution layer: runs seeds at their sites and moves them through their eleven stages.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `SeedCommand`, `FaultReported`, `HostRestored`, `ProgramReady` | `HostReport`, `SeedReport`, `GateJudged`, `SeedPlanted`, `StageChanged`, `CommandRefused`, `HostRolledBack`, `ProgramChangeRequested`, `HostSwapped` | [`Stage`] and the one function that changes it, twins, [`TrialHistory`] |
//!
//! Sense measures, Transform changes. A seed is one entity and its components are its facts; every change of stage goes
//! through `Lifecycle::enter`, which holds to the table of legal steps and writes the journal's message. What of a seed
//! the steps of its host depend on (its blend, the sites that are sampled) is handed to the host's numbers where it is
//! set.

mod advance;
mod bind;
mod budget;
mod commands;
mod config;
mod fossilize;
mod gates;
mod graft;
mod lifecycle;
mod pending;
mod plant;
mod reports;
mod rollback;

pub use commands::BY_COMMAND;
pub use config::{Counterfactual, KASMINA, Kasmina, KasminaConfig, LIMITS, Level, Limits, Prior};
pub use gates::{Drift, Gain, Interval, look_level, paired_interval, shipped_prior, spent_rate};
pub use plant::NextSeed;

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::{HostId, SeedId, SiteId},
    scenario::Sections,
    stage::Stage,
    world::{
        components::{
            Active, Alpha, Blend, Embargo, Faulted, NonFinite, SeedModule, SeedOf, StageClock,
            Telemetry, VerdictsBegun, Withdrawing,
        },
        gate::GateState,
        plugin::{
            ActiveSeedSystems, BuildError, Engine, Plugin, SenseSystems, Tick, TransformSystems,
        },
        trials::TrialHistory,
    },
};

/// Adds [Kasmina](self).
pub struct KasminaPlugin;

impl Plugin for KasminaPlugin {
    fn name(&self) -> &'static str {
        "kasmina"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Kasmina>().add::<Limits>().add_check(config::check_hosts);
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let config = KasminaConfig::new(engine.scenario());
        let world = engine.world_mut();
        world.insert_resource(config);
        world.init_resource::<NextSeed>();
        world.init_resource::<TrialHistory>();
        world.init_resource::<lifecycle::EndedSeeds>();
        world.add_observer(rollback::restore_seeds);
        engine
            .add_saved::<NextSeed>("kasmina.next_seed")
            .add_saved::<TrialHistory>("trials")
            .add_saved_entities::<SeedId>("seed")
            .add_saved_relationship::<SeedId, SeedOf, HostId>("seed.host")
            .add_saved_component::<SeedId, SiteId>("seed.site")
            .add_saved_component::<SeedId, Stage>("seed.stage")
            .add_saved_component::<SeedId, Active>("seed.is_active")
            .add_saved_component::<SeedId, StageClock>("seed.clock")
            .add_saved_component::<SeedId, SeedModule>("seed.module")
            .add_saved_component::<SeedId, Alpha>("seed.alpha")
            .add_saved_component::<SeedId, Blend>("seed.blend")
            .add_saved_component::<SeedId, NonFinite>("seed.is_non_finite")
            .add_saved_component::<SeedId, Telemetry>("seed.telemetry")
            .add_saved_component::<SeedId, GateState>("seed.gate")
            .add_saved_component::<SeedId, Embargo>("seed.embargo")
            .add_saved_component::<SeedId, Withdrawing>("seed.withdrawing")
            .add_saved_component::<HostId, VerdictsBegun>("host.verdicts_begun");
        engine.add_systems(
            Tick,
            (
                (
                    reports::report_hosts,
                    (reports::sample_seeds, gates::judge_seeds, reports::report_seeds)
                        .chain()
                        .in_set(ActiveSeedSystems),
                )
                    .chain()
                    .in_set(SenseSystems::Seeds),
                rollback::withdraw_grafts
                    .in_set(TransformSystems::Withdraw)
                    .run_if(any_with_component::<Faulted>),
                (
                    plant::plant_first_seeds,
                    fossilize::swap_programs,
                    bind::bind_kernels,
                    commands::apply_commands,
                    advance::advance_stages,
                    plant::replant_sites,
                )
                    .chain()
                    .in_set(TransformSystems::Advance)
                    .run_if(pending::is_anything_to_change),
            ),
        );
        Ok(())
    }
}
