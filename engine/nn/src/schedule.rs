//! When an instruction runs, and what it costs.

use serde::{Deserialize, Serialize};

/// Sites a program can carry: one bit each in [`GradMask::sites`], less [`INPUT_GRADIENT`].
pub const SITES_MAX: usize = 63;

/// The bit of [`GradMask::sites`] that stands for the gradient of the program's input.
pub const INPUT_GRADIENT: u64 = 1 << 63;

/// Which gradients are wanted, or which an instruction of the backward pass is for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GradMask {
    /// Those of parameters.
    pub params: bool,
    /// Those at sites, one bit a site.
    pub sites: u64,
}

impl GradMask {
    /// None.
    pub const NONE: Self = Self { params: false, sites: 0 };
    /// Those of parameters.
    pub const PARAMS: Self = Self { params: true, sites: 0 };

    /// Whether a pass that wants `wanted` runs this instruction.
    pub const fn is_met_by(self, wanted: Self) -> bool {
        (self.params && wanted.params) || self.sites & wanted.sites != 0
    }

    /// The gradients of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { params: self.params || other.params, sites: self.sites | other.sites }
    }
}

/// One instruction, when it runs and what it costs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Scheduled<I> {
    /// What to do.
    pub instr: I,
    /// When to do it; forward instructions always run.
    pub mask: GradMask,
    /// Floating-point operations an example: a multiply-add counts two.
    pub flops: u64,
}
