//! Tolaria, the trainer: runs every host's steps, watches for harm, takes snapshots, and saves the run.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | - | `FaultReported`, `EpochEnded`, `HostRolledBack` | the order of steps, [`Snapshots`], checkpoints, the end of the run |
//!
//! A fault stops a host at once. Kasmina withdraws what was grafted; a host that is still at fault goes back to its
//! newest snapshot, with its learning rate lowered. It rolls back, never skips.

mod checkpoint;
mod config;
mod export;
mod governor;
mod host_end;
mod saved_hosts;
mod snapshots;
mod stored;
mod systems;

pub use checkpoint::{
    CHECKPOINT_FORMAT, CheckpointError, CheckpointInfo, CheckpointPlan, begin, go_on,
    latest_checkpoint, list_checkpoints, restore_checkpoint, verify_checkpoint, write_checkpoint,
};
pub use config::{
    CHECKPOINT, Checkpoint, GOVERNOR, Governor, HostConfigs, RUN, RunSettings, TolariaConfig,
    host_config,
};
pub use export::{Exported, read_weights};
pub use host_end::{HostEnd, end_state};
pub use snapshots::Snapshots;
pub use stored::StoredRun;

use bevy_ecs::prelude::*;
use esper_data::DataConfig;
use esper_engine::{
    scenario::Sections,
    world::{
        components::Faulted,
        plugin::{BuildError, Engine, Plugin, SenseSystems, Tick, TickSystems, TransformSystems},
    },
};
use esper_nn::optim::Train;

/// Adds [Tolaria](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct TolariaPlugin;

impl Plugin for TolariaPlugin {
    fn name(&self) -> &'static str {
        "tolaria"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections
            .add::<RunSettings>()
            .add::<DataConfig>()
            .add::<Train>()
            .add::<Governor>()
            .add::<Checkpoint>()
            .add_check(config::check_warmup);
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let config = TolariaConfig::new(engine.scenario());
        let threads = systems::Threads::new(config.threads)
            .map_err(|error| BuildError::plugin("tolaria", error))?;
        let world = engine.world_mut();
        world.insert_resource(config);
        world.insert_resource(threads);
        world.init_resource::<Snapshots>();
        world.init_resource::<CheckpointPlan>();
        saved_hosts::register(engine);
        engine.add_systems(
            Tick,
            (
                (systems::apply_plans.run_if(systems::is_any_host_replanned), systems::train_hosts)
                    .chain()
                    .in_set(TickSystems::Train),
                systems::validate_epochs.in_set(SenseSystems::Hosts),
                governor::restore_hosts
                    .in_set(TransformSystems::Restore)
                    .run_if(any_with_component::<Faulted>),
                (
                    snapshots::take_snapshots,
                    systems::choose_final_models.run_if(systems::is_any_model_to_be_chosen),
                )
                    .chain()
                    .in_set(TransformSystems::Snapshot),
                (systems::end_run, checkpoint::save.run_if(checkpoint::is_checkpoint_due))
                    .chain()
                    .in_set(TickSystems::Persist),
            ),
        );
        Ok(())
    }
}
