//! Urabrask, the judge: validates and measures every kernel before a seed may run it.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | kernels that are `PendingBenchmarking` | `KernelStatus`, `BlueprintStatus`, `SafetySheet`, `Measured`, `KernelJudged`, `JobAdmitted` | [`ValidateJob`] |
//!
//! Structure, then numerics, then safety, then the benchmark; each rests on those before it, so the first that fails
//! ends the matter. What a kernel would take of memory and arithmetic is read off its program before it is run at all.
//! In strict mode no measured time decides anything, except against the latency limit.

mod benchmark;
mod config;
mod differences;
mod job;
mod numerics;
mod probe;
mod safety;
mod structure;
mod systems;
mod tags;
#[cfg(test)]
mod tests;
mod validate;

pub use config::{Rules, URABRASK, Urabrask, UrabraskConfig, VALIDATE};
pub use job::{Candidate, ValidateJob, Verdict};

use bevy_ecs::prelude::*;
use esper_engine::{
    forge::AdmitSystems,
    ids::KernelId,
    scenario::Sections,
    world::{
        kernel::{InnovationFlops, Measured, SafetySheet},
        plugin::{BuildError, DispatchSystems, Engine, Plugin, Tick},
    },
};

/// Adds [Urabrask](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct UrabraskPlugin;

impl Plugin for UrabraskPlugin {
    fn name(&self) -> &'static str {
        "urabrask"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Urabrask>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let config = UrabraskConfig::new(engine.scenario());
        engine.add_forge::<ValidateJob>(config.forge())?;
        engine
            .add_saved::<InnovationFlops>("innovation.flops")
            .add_saved_component::<KernelId, SafetySheet>("kernel.sheet")
            .add_saved_component::<KernelId, Measured>("kernel.measured");
        engine.world_mut().insert_resource(config.rules());
        engine.world_mut().init_resource::<InnovationFlops>();
        engine.add_systems(
            Tick,
            (
                systems::admit_verdicts.in_set(AdmitSystems(VALIDATE)),
                systems::send_kernels
                    .in_set(DispatchSystems::Validate)
                    .run_if(systems::is_any_kernel_pending),
            ),
        );
        Ok(())
    }
}
