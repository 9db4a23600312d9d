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
mod recorded;

pub use messages::{
    BlueprintDesigned, CommandRefused, EpochEnded, FaultReported, FinalModelChosen, GateJudged,
    HostReport, HostRolledBack, HostSwapped, JobAdmitted, KernelJudged, ProgramChangeRequested,
    ProgramReady, Refusal, RollbackTo, SeedAction, SeedCommand, SeedPlanted, SeedReport,
    StageChanged, Transfer,
};

pub use esper_engine::world::gate::{Gate, GateEvidence, GateState, GateVerdict, TwinEvidence};

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
            .add_message::<SeedReport>()
            .add_message::<SeedCommand>()
            .add_message::<ProgramChangeRequested>()
            .add_message::<ProgramReady>();
        recorded::register(engine);
        Ok(())
    }
}
