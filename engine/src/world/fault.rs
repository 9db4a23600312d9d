//! What can go wrong inside a tick. A fault is a message, and Tolaria decides what follows.

use serde::{Deserialize, Serialize};

/// What a host, a seed or a worker ran into.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The batch's loss was not a finite number.
    NonFiniteLoss,
    /// A gradient was not a finite number.
    NonFiniteGradient,
    /// The loss left its recent range: beyond mean + `sd` standard deviations and a multiple of the mean.
    Divergence {
        /// The loss that was seen.
        loss: f32,
        /// Mean of the reference window.
        mean: f32,
        /// Standard deviation of the reference window.
        sd: f32,
    },
    /// A host that had learnt fell back to the loss of guessing.
    Collapse {
        /// The smoothed loss.
        loss: f32,
        /// The loss of guessing.
        chance: f32,
    },
}

impl Fault {
    /// A short name for journals.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NonFiniteLoss => "non_finite_loss",
            Self::NonFiniteGradient => "non_finite_gradient",
            Self::Divergence { .. } => "divergence",
            Self::Collapse { .. } => "collapse",
        }
    }
}
