//! What a plan costs.

use std::ops::AddAssign;

/// Arithmetic of a plan, by who it is for. A multiply-add counts two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanFlops {
    /// Of the host, an example.
    pub host_per_example: u64,
    /// Of modules, and of gradients at sites that only they need, an example.
    pub modules_per_example: u64,
    /// Of the host's updates, a step.
    pub host_per_step: u64,
    /// Of modules' updates, a step.
    pub modules_per_step: u64,
    /// Of averages that a verdict is measured on, a step.
    pub averages_per_step: u64,
}

impl PlanFlops {
    /// All of it, for a batch of `rows` examples.
    pub const fn total(&self, rows: usize) -> u64 {
        self.host(rows) + self.modules(rows) + self.averages_per_step
    }

    /// What the host costs, for a batch of `rows` examples.
    pub const fn host(&self, rows: usize) -> u64 {
        self.host_per_example * rows as u64 + self.host_per_step
    }

    /// What modules cost, for a batch of `rows` examples.
    pub const fn modules(&self, rows: usize) -> u64 {
        self.modules_per_example * rows as u64 + self.modules_per_step
    }
}

impl AddAssign for PlanFlops {
    fn add_assign(&mut self, other: Self) {
        self.host_per_example += other.host_per_example;
        self.modules_per_example += other.modules_per_example;
        self.host_per_step += other.host_per_step;
        self.modules_per_step += other.modules_per_step;
        self.averages_per_step += other.averages_per_step;
    }
}
