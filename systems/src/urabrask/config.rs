//! What Urabrask can be told.

use bevy_ecs::prelude::*;
use esper_engine::{
    forge::ForgeConfig,
    scenario::{Mode, Scenario, Urabrask},
};
use serde::{Deserialize, Serialize};

/// The forge that validates kernels, as journals and checkpoints name it.
pub const VALIDATE: &str = "validate";

/// `[urabrask]` of a scenario, and what it shares with the rest of the innovation line.
#[derive(Clone, Debug, PartialEq)]
pub struct UrabraskConfig {
    /// Workers, latency, and what is refused.
    pub checks: Urabrask,
    /// When verdicts enter the world.
    pub mode: Mode,
    /// Jobs out at once.
    pub queue_max: usize,
    /// Time after which a validation counts as failed.
    pub timeout_ms: u64,
    /// Examples of the run's batch: what memory and latency are judged at.
    pub batch: usize,
}

impl Default for UrabraskConfig {
    fn default() -> Self {
        Self::new(&Scenario::default())
    }
}

impl UrabraskConfig {
    /// What `scenario` says.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            checks: scenario.urabrask.clone(),
            mode: scenario.tezzeret.mode,
            queue_max: scenario.tezzeret.queue_max,
            timeout_ms: scenario.tezzeret.timeout_ms,
            batch: scenario.data.batch,
        }
    }

    pub(super) fn forge(&self) -> ForgeConfig {
        ForgeConfig {
            mode: self.mode,
            n_workers: self.checks.n_workers,
            queue_max: self.queue_max,
            latency_ticks: self.checks.latency_ticks,
            timeout_ms: self.timeout_ms,
            ..ForgeConfig::new(VALIDATE)
        }
    }

    /// What a kernel is judged by.
    pub fn rules(&self) -> Rules {
        Rules {
            batch: self.batch,
            bench_repeats: self.checks.bench_repeats,
            latency_max_us: self.checks.latency_max_us,
            memory_max_bytes: self.checks.memory_max_bytes,
            flops_max: self.checks.flops_max,
            grad_growth_max: self.checks.grad_growth_max,
        }
    }
}

/// What a kernel is judged by; it travels with the job.
#[derive(Resource, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Examples of a full batch.
    pub batch: usize,
    /// Timed repeats of each variant.
    pub bench_repeats: usize,
    /// Slowest forward and backward pass of a full batch.
    pub latency_max_us: u64,
    /// Largest memory of a full batch.
    pub memory_max_bytes: u64,
    /// Most arithmetic of an example, forward and backward.
    pub flops_max: u64,
    /// Most a module may grow the norm of a gradient that passes through it.
    pub grad_growth_max: f64,
}
