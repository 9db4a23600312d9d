//! `[urabrask]`: how kernels are validated, and what is refused.

use bevy_ecs::prelude::*;
use esper_engine::{
    data::DataConfig,
    forge::ForgeConfig,
    scenario::{Interval, Key, Keys, Scenario, Section},
};
use serde::{Deserialize, Serialize};

/// The forge that validates kernels, as journals and checkpoints name it.
pub const VALIDATE: &str = "validate";

/// The key of `[urabrask]`.
pub const URABRASK: Key<Urabrask> = Key::new();

/// How kernels are validated, and what is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Urabrask {
    /// Validator threads, 1 to 64. Default 1.
    pub n_workers: usize,
    /// Ticks from sending a kernel to its verdict in `strict`, 1 to 1,000,000. Default 4.
    pub latency_ticks: u64,
    /// Timed repeats of each variant, interleaved, of which the median counts, 3 to 10,000.
    /// Default 15.
    pub bench_repeats: usize,
    /// Slowest forward and backward pass of a batch, 1 to 60,000,000 us. Default 1,000,000: a guard
    /// against what is far too slow; attention at a site of 128 x 128 takes 150,000 on a busy machine.
    pub latency_max_us: u64,
    /// Largest memory of a batch, 1 byte to 1 TiB. Default 64 MiB.
    pub memory_max_bytes: u64,
    /// Most floating-point operations of an example, forward and backward, 1 to 10^15.
    /// Default 10^8.
    pub flops_max: u64,
    /// Most a module may grow the norm of a gradient that passes through it, above 1 and at most
    /// 10^9. Default 100.
    pub grad_growth_max: f64,
}

/// `[urabrask]`, and what it shares with the rest of the innovation line.
#[derive(Clone, Debug, PartialEq)]
pub struct UrabraskConfig {
    /// Workers, latency, and what is refused.
    pub checks: Urabrask,
    /// When verdicts enter the world, how many jobs may be out, and for how long: those of `[tezzeret]`.
    line: ForgeConfig,
    /// Examples of the run's batch: what memory and latency are judged at.
    pub batch: usize,
}

impl UrabraskConfig {
    /// What `scenario` says; what it does not have stands at its default.
    pub fn new(scenario: &Scenario) -> Self {
        let line = ForgeConfig::new(VALIDATE);
        let key = |name: &str| format!("tezzeret.{name}");
        Self {
            checks: scenario.or_default(),
            line: ForgeConfig {
                mode: scenario.value(&key("mode")).unwrap_or(line.mode),
                queue_max: scenario.value(&key("queue_max")).unwrap_or(line.queue_max),
                timeout_ms: scenario.value(&key("timeout_ms")).unwrap_or(line.timeout_ms),
                ..line
            },
            batch: scenario.or_default::<DataConfig>().batch,
        }
    }

    pub(super) fn forge(&self) -> ForgeConfig {
        ForgeConfig {
            n_workers: self.checks.n_workers,
            latency_ticks: self.checks.latency_ticks,
            ..self.line
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

impl Section for Urabrask {
    const NAME: &'static str = "urabrask";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("n_workers", &mut self.n_workers, 1..=64);
        keys.key("latency_ticks", &mut self.latency_ticks, 1..=1_000_000);
        keys.key("bench_repeats", &mut self.bench_repeats, 3..=10_000);
        keys.key("latency_max_us", &mut self.latency_max_us, 1..=60_000_000);
        keys.key("memory_max_bytes", &mut self.memory_max_bytes, 1..=1 << 40);
        keys.key("flops_max", &mut self.flops_max, 1..=10_u64.pow(15));
        keys.key("grad_growth_max", &mut self.grad_growth_max, Interval::above(1.0).to(1e9));
    }
}

impl Default for Urabrask {
    fn default() -> Self {
        Self {
            n_workers: 1,
            latency_ticks: 4,
            bench_repeats: 15,
            latency_max_us: 1_000_000,
            memory_max_bytes: 64 << 20,
            flops_max: 100_000_000,
            grad_growth_max: 100.0,
        }
    }
}
