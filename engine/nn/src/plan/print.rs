//! A plan in words: one line an instruction.

use std::fmt;

use super::{HOST, Space, StepInstr, StepPlan, UnitIndex, Variant};

/// The instructions of one list, to be shown to people.
pub struct ShownPlan<'a> {
    plan: &'a StepPlan,
    variant: Variant,
}

impl StepPlan {
    /// The list of `variant`, one line an instruction, and what it costs an example and a step.
    pub fn show(&self, variant: Variant) -> ShownPlan<'_> {
        ShownPlan { plan: self, variant }
    }
}

impl fmt::Display for ShownPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.plan.list(self.variant);
        for instr in &list.instrs {
            writeln!(f, "{instr}")?;
        }
        let flops = &list.flops;
        write!(
            f,
            "FLOPs an example: host {}, modules {}; a step: host {}, modules {}, averages {}",
            flops.host_per_example,
            flops.modules_per_example,
            flops.host_per_step,
            flops.modules_per_step,
            flops.averages_per_step
        )
    }
}

fn unit_name(unit: UnitIndex) -> String {
    if unit == HOST { "host".to_owned() } else { format!("module {unit}") }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => Ok(()),
            Self::Shadow(unit) => write!(f, " in the shadow of module {unit}"),
        }
    }
}

impl fmt::Display for StepInstr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadBatch => write!(f, "load batch"),
            Self::Forward { unit, space, range } => {
                write!(f, "forward {} {}..{}{space}", unit_name(*unit), range.start, range.end)
            }
            Self::Backward { unit, space, range, wanted } => {
                let params = if wanted.params { " params" } else { "" };
                let (name, sites) = (unit_name(*unit), wanted.sites);
                write!(f, "backward {name} {}..{} for", range.start, range.end)?;
                write!(f, "{params} sites {sites:#x}{space}")
            }
            Self::Read { unit, space, x } => write!(f, "read module {unit} <- t{}{space}", x.0),
            Self::Compose { unit, space, x, composition } => {
                write!(f, "compose {composition:?} t{} <- module {unit}{space}", x.0)
            }
            Self::Keep { site } => write!(f, "keep what follows site {site} reads"),
            Self::PutBack { site } => write!(f, "put back what was kept at site {site}"),
            Self::Try { unit, x, composition, alpha } => {
                write!(f, "try {composition:?} t{} <- {alpha} module {unit}", x.0)
            }
            Self::KeepLoss { place } => write!(f, "keep loss {place}"),
            Self::KeepJoined { unit, space, x } => {
                write!(f, "keep t{} for module {unit}{space}", x.0)
            }
            Self::KeepForShadow { unit, site } => {
                write!(f, "keep for shadow of module {unit} at site {site}")
            }
            Self::SampleSite { site, .. } => write!(f, "sample site {site}"),
            Self::SampleModule { unit, .. } => write!(f, "sample module {unit}"),
            Self::SampleGradientNorm { unit } => write!(f, "sample gradient norm of module {unit}"),
            Self::ProximalGradient { unit, .. } => write!(f, "proximal gradient of module {unit}"),
            Self::Restore { unit, space, x, .. } => {
                write!(f, "restore t{} from module {unit}{space}", x.0)
            }
            Self::SplitGradient { unit, space, gradient, composition } => {
                write!(f, "split gradient t{} {composition:?} module {unit}{space}", gradient.0)
            }
            Self::AddInputGradient { unit, space, gradient } => {
                write!(f, "add input gradient t{} <- module {unit}{space}", gradient.0)
            }
            Self::ObserveLoss => write!(f, "observe loss"),
            Self::ComposeShadow { unit, x } => {
                write!(f, "compose shadow t{} of module {unit}", x.0)
            }
            Self::TakeShadowGradient { unit, .. } => {
                write!(f, "take shadow gradient of module {unit}")
            }
            Self::Average { unit } => write!(f, "average {}", unit_name(*unit)),
            Self::CheckGradients { unit } => write!(f, "check gradients of {}", unit_name(*unit)),
            Self::Update { unit, group } => {
                write!(f, "update {} group {group}", unit_name(*unit))
            }
        }
    }
}
