//! What Tezzeret tells the journal.

use esper_engine::forge::{Admission, Job};

use crate::oona::JobAdmitted;

/// The forge that compiles blueprints, as journals and checkpoints name it.
pub const COMPILE: &str = "compile";
/// The forge that compiles grown hosts, as journals and checkpoints name it.
pub const COMPILE_HOST: &str = "compile_host";

/// The journal's line about an admission to `forge`.
pub(super) fn admitted<J: Job>(forge: &str, admission: &Admission<J>) -> JobAdmitted {
    JobAdmitted {
        forge: forge.to_owned(),
        ticket: admission.ticket.0,
        outcome: admission.outcome.kind(),
    }
}
