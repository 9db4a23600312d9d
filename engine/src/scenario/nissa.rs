//! `[nissa]`: what is shown and written while the run goes on.

use super::keys::{Keys, Section};

/// What is shown and written while the run goes on (DESIGN §9).
#[derive(Clone, Debug, PartialEq)]
pub struct Nissa {
    /// Whether progress is shown. Default true.
    pub progress: bool,
    /// Epochs from one row of `metrics.csv` to the next, 1 to 1,000,000. Default 1.
    pub metrics_every_epochs: u64,
}

impl Section for Nissa {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("progress", &mut self.progress, ());
        keys.key("metrics_every_epochs", &mut self.metrics_every_epochs, 1..=1_000_000);
    }
}

impl Default for Nissa {
    fn default() -> Self {
        Self { progress: true, metrics_every_epochs: 1 }
    }
}
