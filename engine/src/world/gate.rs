//! The gates of a seed's life, DESIGN section 5.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

/// What has to hold before a seed goes on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// Contract and finite parameters.
    G0,
    /// Kernel validated, resources within limits.
    G1,
    /// Incubation: minimum age, finite, best-scale counterfactual on validation above zero.
    G2,
    /// Alpha reached and host loss not harmed.
    G3,
    /// Stable over a window.
    G4,
    /// Twin: lower bound of the gain above the threshold.
    G5,
}

/// What a gate decided.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// The seed may go on.
    Passed,
    /// It may not.
    Failed,
    /// The evidence does not decide yet: more steps.
    Extended,
    /// The gate does not apply here, and the reason is in the numbers.
    Waived,
}

/// Where a living seed stands with the gate before its next stage.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateState {
    /// The last verdict given in this stage.
    pub last: Option<(Gate, GateVerdict)>,
    /// The host's step count from which it is judged next.
    pub next_step: u64,
    /// Looks in a row in which G5's lower bound was above its threshold.
    pub consecutive_passes: u32,
}

impl GateState {
    /// Whether `gate` has let the seed pass, or does not apply to it.
    pub fn has_passed(&self, gate: Gate) -> bool {
        matches!(self.last, Some((of, GateVerdict::Passed | GateVerdict::Waived)) if of == gate)
    }

    /// Whether `gate` has refused the seed.
    pub fn has_failed(&self, gate: Gate) -> bool {
        self.last == Some((gate, GateVerdict::Failed))
    }
}
