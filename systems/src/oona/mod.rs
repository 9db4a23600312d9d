//! Oona, the bus: every message that crosses from one subsystem to another is declared here.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | - | - | every message |
//!
//! A message is written in one phase and read in a later phase of the same tick (see
//! [`TickSystems`](esper_engine::world::plugin::TickSystems)); none is left unread at a tick's end. Messages are facts for the journal
//! or orders for a subsystem: they carry lasting ids, never entities.

mod messages;

pub use messages::{
    BlueprintDesigned, CommandRefused, EpochEnded, FaultReported, GateJudged, HostReport,
    HostRolledBack, HostSwapped, JobAdmitted, KernelJudged, ProgramChangeRequested, ProgramReady,
    Refusal, SeedAction, SeedCommand, SeedPlanted, SeedReport, StageChanged, Transfer,
};

pub use esper_engine::world::gate::{Gate, GateEvidence, GateState, GateVerdict};

use esper_engine::world::plugin::{BuildError, Engine, Plugin};

/// Adds [Oona](self).
pub struct OonaPlugin;

impl Plugin for OonaPlugin {
    fn name(&self) -> &'static str {
        "oona"
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        engine
            .add_message::<HostReport>()
            .add_message::<EpochEnded>()
            .add_message::<SeedReport>()
            .add_message::<SeedCommand>()
            .add_message::<CommandRefused>()
            .add_message::<SeedPlanted>()
            .add_message::<StageChanged>()
            .add_message::<GateJudged>()
            .add_message::<FaultReported>()
            .add_message::<HostRolledBack>()
            .add_message::<HostSwapped>()
            .add_message::<ProgramChangeRequested>()
            .add_message::<ProgramReady>()
            .add_message::<BlueprintDesigned>()
            .add_message::<KernelJudged>()
            .add_message::<JobAdmitted>();
        Ok(())
    }
}
