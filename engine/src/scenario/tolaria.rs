//! `[governor]` and `[checkpoint]`: when training is taken back, and when it is saved.

use super::{
    keys::{Keys, Section},
    value::Interval,
};

/// What counts as harm, and how far training is taken back (DESIGN §5, the governor).
///
/// A check is one optimizer step of one host. A loss or gradient that is not finite is harm at
/// once and has no setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Governor {
    /// Whether harm rolls the host back. Default true.
    pub enabled: bool,
    /// Recent checks whose losses give the mean and the standard deviation, 8 to 100,000.
    /// Default 100.
    pub window_checks: usize,
    /// Standard deviations above the mean at which a loss diverges, above 0 and at most 10^6.
    /// Default 6.
    pub divergence_sd: f64,
    /// Times the mean a loss must also reach to diverge, above 1 and at most 10^6. Default 3.
    pub divergence_ratio: f64,
    /// Divergent checks in a row that are harm, 1 to 10,000. Default 3.
    pub divergence_checks: usize,
    /// Checks in a row no better than chance, after better ones, that are harm, 1 to 1,000,000.
    /// Default 100.
    pub collapse_checks: usize,
    /// Rollbacks of one host before its run ends as failed, 0 to 1000. Default 3.
    pub rollbacks_max: usize,
    /// Factor on the learning rate after each rollback, above 0 and at most 1. Default 0.5.
    pub lr_backoff: f64,
    /// Steps from one snapshot to the next, 1 to 1,000,000. Default 100.
    pub snapshot_every_steps: u64,
    /// Snapshots kept of each host, 1 to 64. Default 4.
    pub snapshots_max: usize,
}

/// When the run is saved to disk (DESIGN §9, `checkpoints/`).
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Epochs from one checkpoint to the next, 0 to 1,000,000; 0 stands for one at the end only.
    /// Default 5.
    pub every_epochs: u64,
    /// Newest checkpoints kept, 1 to 1000. Default 2: one survives while the next is written.
    pub keep: usize,
}

impl Section for Governor {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("enabled", &mut self.enabled, ());
        keys.key("window_checks", &mut self.window_checks, 8..=100_000);
        keys.key("divergence_sd", &mut self.divergence_sd, Interval::above(0.0).to(1e6));
        keys.key("divergence_ratio", &mut self.divergence_ratio, Interval::above(1.0).to(1e6));
        keys.key("divergence_checks", &mut self.divergence_checks, 1..=10_000);
        keys.key("collapse_checks", &mut self.collapse_checks, 1..=1_000_000);
        keys.key("rollbacks_max", &mut self.rollbacks_max, 0..=1000);
        keys.key("lr_backoff", &mut self.lr_backoff, Interval::above(0.0).to(1.0));
        keys.key("snapshot_every_steps", &mut self.snapshot_every_steps, 1..=1_000_000);
        keys.key("snapshots_max", &mut self.snapshots_max, 1..=64);
    }
}

impl Section for Checkpoint {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("every_epochs", &mut self.every_epochs, 0..=1_000_000);
        keys.key("keep", &mut self.keep, 1..=1000);
    }
}

impl Default for Governor {
    fn default() -> Self {
        Self {
            enabled: true,
            window_checks: 100,
            divergence_sd: 6.0,
            divergence_ratio: 3.0,
            divergence_checks: 3,
            collapse_checks: 100,
            rollbacks_max: 3,
            lr_backoff: 0.5,
            snapshot_every_steps: 100,
            snapshots_max: 4,
        }
    }
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every_epochs: 5, keep: 2 }
    }
}
