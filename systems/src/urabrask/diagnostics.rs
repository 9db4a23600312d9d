//! What Urabrask tells the journal.

use esper_engine::{
    forge::Admission,
    world::{
        catalog::{Blueprint, Kernel},
        ids::BlueprintId,
    },
};

use super::components::{ValidateJob, Verdict};
use crate::oona::{JobAdmitted, KernelJudged};

/// The forge that validates kernels, as journals and checkpoints name it.
pub const VALIDATE: &str = "validate";

/// The one reason of a kernel that was validated.
pub(super) const PASSED: &str = "passed structure, numerics, safety and benchmark";

/// The journal's line about an admission.
pub(super) fn admitted(admission: &Admission<ValidateJob>) -> JobAdmitted {
    JobAdmitted {
        forge: VALIDATE.to_owned(),
        ticket: admission.ticket.0,
        outcome: admission.outcome.kind(),
    }
}

/// The journal's line about a verdict.
pub(super) fn judged(
    verdict: &Verdict,
    id: BlueprintId,
    blueprint: &Blueprint,
    kernel: &Kernel,
) -> KernelJudged {
    KernelJudged {
        kernel: verdict.kernel,
        blueprint: id,
        family: blueprint.family.clone(),
        variant: kernel.variant.clone(),
        status: verdict.status,
        reasons: verdict.sheet.reasons.clone(),
    }
}
