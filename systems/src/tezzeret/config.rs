//! `[tezzeret]`: how blueprints are compiled off the training thread.

use esper_engine::{
    forge::{ForgeConfig, Mode},
    scenario::{Key, Keys, Section},
};

/// The key of `[tezzeret]`.
pub const TEZZERET: Key<Tezzeret> = Key::new();

/// How blueprints are compiled off the training thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Tezzeret {
    /// When finished work enters the world. Default `strict`.
    pub mode: Mode,
    /// Compiler threads, 1 to 64. Default 1.
    pub n_workers: usize,
    /// Jobs out at once, 1 to 65,536. Default 64.
    pub queue_max: usize,
    /// Ticks from sending a job to admitting it in `strict`, 1 to 1,000,000. Default 4.
    pub latency_ticks: u64,
    /// Time after which a job counts as failed, 1 to 3,600,000 ms. Default 60,000.
    pub timeout_ms: u64,
}

impl Tezzeret {
    /// The forge called `name`, as this section says.
    pub(super) fn forge(&self, name: &'static str) -> ForgeConfig {
        let Self { mode, n_workers, queue_max, latency_ticks, timeout_ms } = *self;
        ForgeConfig {
            mode,
            n_workers,
            queue_max,
            latency_ticks,
            timeout_ms,
            ..ForgeConfig::new(name)
        }
    }
}

impl Section for Tezzeret {
    const NAME: &'static str = "tezzeret";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("mode", &mut self.mode, ());
        keys.key("n_workers", &mut self.n_workers, 1..=64);
        keys.key("queue_max", &mut self.queue_max, 1..=65_536);
        keys.key("latency_ticks", &mut self.latency_ticks, 1..=1_000_000);
        keys.key("timeout_ms", &mut self.timeout_ms, 1..=3_600_000);
    }
}

impl Default for Tezzeret {
    fn default() -> Self {
        Self {
            mode: Mode::Strict,
            n_workers: 1,
            queue_max: 64,
            latency_ticks: 4,
            timeout_ms: 60_000,
        }
    }
}
