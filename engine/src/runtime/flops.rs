//! Where the arithmetic went.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Floating-point operations spent, by what they were for. A multiply-add counts two.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flops {
    /// Forward, backward and update of the host, fossilised modules included.
    pub host: u64,
    /// Forward, backward and update of seeds' modules.
    pub seeds: u64,
    /// Twins, counterfactuals and verdicts.
    pub evaluation: u64,
    /// Validation at the end of epochs, and the test at the end of the run.
    pub validation: u64,
}

impl Flops {
    /// All of it.
    pub const fn total(&self) -> u64 {
        self.host + self.seeds + self.evaluation + self.validation
    }

    /// What is left of each account without `other`; nothing where that has more.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self {
            host: self.host.saturating_sub(other.host),
            seeds: self.seeds.saturating_sub(other.seeds),
            evaluation: self.evaluation.saturating_sub(other.evaluation),
            validation: self.validation.saturating_sub(other.validation),
        }
    }
}

impl AddAssign for Flops {
    fn add_assign(&mut self, other: Self) {
        self.host += other.host;
        self.seeds += other.seeds;
        self.evaluation += other.evaluation;
        self.validation += other.validation;
    }
}
