//! Which messages are events: their kinds, the order within a tick, and what people are told of them.

use esper_engine::{
    forge::JOB_ADMITTED,
    ids::{BlueprintId, HostId, KernelId, SeedId},
    journal::{Recorded, RecordedMessage, TextContext},
    world::{kernel::KernelStatus, plugin::Engine},
};

use super::{
    BlueprintDesigned, CommandRefused, EpochEnded, FaultReported, FinalModelChosen, GateJudged,
    HostRolledBack, HostSwapped, JobAdmitted, KernelJudged, SeedPlanted, StageChanged,
};

/// Registers every event, in the order in which a tick's events are recorded.
pub(super) fn register(engine: &mut Engine) {
    engine
        .add_event::<JobAdmitted>()
        .add_event::<KernelJudged>()
        .add_event::<FaultReported>()
        .add_event::<EpochEnded>()
        .add_event::<CommandRefused>()
        .add_event::<GateJudged>()
        .add_event::<HostRolledBack>()
        .add_event::<StageChanged>()
        .add_event::<HostSwapped>()
        .add_event::<SeedPlanted>()
        .add_event::<BlueprintDesigned>()
        .add_event::<FinalModelChosen>();
}

macro_rules! kinds {
    ($($event:ty => $kind:expr),+ $(,)?) => {
        $(impl Recorded for $event {
            const KIND: &'static str = $kind;
        })+
    };
}

kinds! {
    JobAdmitted => JOB_ADMITTED,
    KernelJudged => "kernel_judged",
    FaultReported => "fault_reported",
    EpochEnded => "epoch_ended",
    CommandRefused => "command_refused",
    GateJudged => "gate_judged",
    HostRolledBack => "host_rolled_back",
    StageChanged => "stage_changed",
    HostSwapped => "host_swapped",
    SeedPlanted => "seed_planted",
    BlueprintDesigned => "blueprint_designed",
    FinalModelChosen => "final_model_chosen",
}

impl RecordedMessage for JobAdmitted {
    type Key = (String, u64);

    fn key(&self) -> Self::Key {
        (self.forge.clone(), self.ticket)
    }
}

impl RecordedMessage for KernelJudged {
    type Key = KernelId;

    fn key(&self) -> KernelId {
        self.kernel
    }

    fn text(&self, _context: &mut TextContext) -> Option<String> {
        let Self { family, variant, status, reasons, .. } = self;
        (*status == KernelStatus::Rejected)
            .then(|| format!("kernel {family}/{variant} rejected: {}", reasons.join("; ")))
    }
}

impl RecordedMessage for FaultReported {
    type Key = HostId;

    fn key(&self) -> HostId {
        self.host
    }

    fn text(&self, context: &mut TextContext) -> Option<String> {
        let Self { host, is_twin, step, fault } = self;
        let name = context.name(*host, "");
        let whose = if *is_twin { "fault of the twin" } else { "fault" };
        Some(format!("step {step}  {name}{whose}: {}", fault.name()))
    }
}

/// People are told of epochs as means over hosts, which no one event has.
impl RecordedMessage for EpochEnded {
    type Key = HostId;

    fn key(&self) -> HostId {
        self.host
    }
}

impl RecordedMessage for FinalModelChosen {
    type Key = HostId;

    fn key(&self) -> HostId {
        self.host
    }
}

impl RecordedMessage for CommandRefused {
    type Key = SeedId;

    fn key(&self) -> SeedId {
        self.seed
    }
}

/// People are told of a verdict by the change of stage that it leads to.
impl RecordedMessage for GateJudged {
    type Key = SeedId;

    fn key(&self) -> SeedId {
        self.seed
    }

    fn text(&self, context: &mut TextContext) -> Option<String> {
        if let Some(gain) = self.evidence.gain() {
            context.remark(self.seed, format!("{:?} {gain:+.3}", self.evidence.gate()));
        }
        None
    }
}

impl RecordedMessage for HostRolledBack {
    type Key = HostId;

    fn key(&self) -> HostId {
        self.host
    }

    fn text(&self, context: &mut TextContext) -> Option<String> {
        let Self { host, from_step, to_step, to, .. } = self;
        let name = context.name(*host, "");
        Some(format!("step {from_step}  {name}rolled back to its {to}, step {to_step}"))
    }
}

impl RecordedMessage for StageChanged {
    type Key = SeedId;

    fn key(&self) -> SeedId {
        self.seed
    }

    fn text(&self, context: &mut TextContext) -> Option<String> {
        let Self { seed, host, site, from, to, step, family, reason, .. } = self;
        let family = family.as_deref().unwrap_or("-");
        let why = context.take_remark(*seed).unwrap_or_else(|| reason.to_string());
        let name = context.name(*host, &format!("{seed} @{site} {family}"));
        Some(format!("step {step}  {name}  {from} -> {to}  ({why})"))
    }
}

impl RecordedMessage for HostSwapped {
    type Key = HostId;

    fn key(&self) -> HostId {
        self.host
    }
}

impl RecordedMessage for SeedPlanted {
    type Key = SeedId;

    fn key(&self) -> SeedId {
        self.seed
    }
}

impl RecordedMessage for BlueprintDesigned {
    type Key = BlueprintId;

    fn key(&self) -> BlueprintId {
        self.blueprint
    }
}
