//! Tezzeret, the forge: compiles blueprints into kernels, and hosts that change into programs, while training goes on.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `BlueprintStatus`, `ProgramChangeRequested` | kernel entities, `KernelCache`, `ProgramReady`, `JobAdmitted` | [`CompileJob`], [`HostCompileJob`] |
//!
//! A blueprint is compiled once in every [`Variant`](esper_nn::program::Variant). A graph that does not compile is
//! invalid for good; a worker that panicked or hung is given two more chances.

mod compile;
mod config;
mod systems;
#[cfg(test)]
mod tests;

pub use compile::{COMPILE, COMPILE_HOST, CompileJob, Compiled, DEVICE, HostCompileJob};
pub use config::{TEZZERET, Tezzeret};

use bevy_ecs::prelude::*;
use esper_engine::{
    forge::AdmitSystems,
    ids::{BlueprintId, KernelId},
    scenario::Sections,
    world::{
        blueprint::Attempts,
        kernel::{DeploymentCount, Kernel, KernelOf, KernelStatus, Penalties},
        plugin::{BuildError, DispatchSystems, Engine, Plugin, Tick},
    },
};

/// Adds [Tezzeret](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct TezzeretPlugin;

impl Plugin for TezzeretPlugin {
    fn name(&self) -> &'static str {
        "tezzeret"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Tezzeret>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let tezzeret: Tezzeret = engine.scenario().or_default();
        engine.add_forge::<CompileJob>(tezzeret.forge(COMPILE))?;
        engine.add_forge::<HostCompileJob>(tezzeret.forge(COMPILE_HOST))?;
        engine.world_mut().init_resource::<systems::WaitingHosts>();
        engine
            .add_saved::<systems::WaitingHosts>("tezzeret.waiting_hosts")
            .add_saved_component::<BlueprintId, Attempts>("blueprint.attempts")
            .add_saved_entities::<KernelId>("kernel")
            .add_saved_relationship::<KernelId, KernelOf, BlueprintId>("kernel.blueprint")
            .add_saved_component::<KernelId, Kernel>("kernel.program")
            .add_saved_component::<KernelId, KernelStatus>("kernel.status")
            .add_saved_component::<KernelId, DeploymentCount>("kernel.deployments")
            .add_saved_component::<KernelId, Penalties>("kernel.penalties");
        engine.add_systems(
            Tick,
            (
                systems::admit_kernels.in_set(AdmitSystems(COMPILE)),
                systems::admit_hosts.in_set(AdmitSystems(COMPILE_HOST)),
                systems::send_blueprints
                    .in_set(DispatchSystems::Compile)
                    .run_if(systems::is_any_blueprint_unvalidated),
                systems::send_hosts
                    .in_set(DispatchSystems::Compile)
                    .run_if(systems::is_any_host_waiting),
            ),
        );
        Ok(())
    }
}
