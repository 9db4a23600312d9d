//! How far a host is: the shares that policies plan with.

use crate::oona::HostReport;

/// Share of the run's steps that `host` has taken, in `[0, 1]`.
pub(super) fn progress(host: &HostReport) -> f64 {
    host.step as f64 / host.total_steps.max(1) as f64
}

/// Epochs that `host` has trained, fractions included.
pub(super) fn epochs(host: &HostReport) -> f64 {
    host.step as f64 / host.steps_per_epoch.max(1) as f64
}
