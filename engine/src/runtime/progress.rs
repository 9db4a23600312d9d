//! How far a host has come: everything but its tensors that a snapshot restores.

use esper_nn::plan::LossMonitor;
use serde::{Deserialize, Serialize};

use super::flops::Flops;

/// How far a host has come.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Progress {
    /// Optimizer steps taken.
    pub step: u64,
    /// The data cursor: epoch.
    pub epoch: u64,
    /// The data cursor: examples of the epoch that were visited.
    pub position: usize,
    /// Groups of parameters; the host's own is the first.
    pub groups: Vec<ParamGroup>,
    /// Running statistics of the training loss.
    pub monitor: LossMonitor,
    /// Factor on every learning rate: below 1 after a rollback.
    pub lr_scale: f64,
    /// Sum of the training losses of the epoch so far, an example each.
    pub epoch_loss_sum: f64,
    /// Examples in that sum.
    pub epoch_examples: u64,
    /// Training labels said right in the epoch so far.
    pub epoch_correct: u64,
    /// Where the arithmetic went.
    pub flops: Flops,
}

/// Which learning-rate schedule a group follows.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSchedule {
    /// The host's.
    Host,
    /// A seed's own, counted from its birth.
    Seed {
        /// The host's step at which it began to train.
        birth_step: u64,
    },
}

/// Parameters that share a schedule and an optimizer step count.
///
/// A fossilised module stays a group of its own: its count and its rate go on as they were.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ParamGroup {
    /// What the names of its parameters begin with; empty for the host's own.
    pub prefix: String,
    /// Which schedule it follows.
    pub schedule: GroupSchedule,
    /// Updates so far.
    pub n_updates: u64,
    /// Whether it trains at all; a frozen control does not.
    pub is_trainable: bool,
}

impl Progress {
    /// A host at birth: the data cursor at the start, one group.
    pub fn at_birth() -> Self {
        Self {
            step: 0,
            epoch: 0,
            position: 0,
            groups: vec![ParamGroup {
                prefix: String::new(),
                schedule: GroupSchedule::Host,
                n_updates: 0,
                is_trainable: true,
            }],
            monitor: LossMonitor::default(),
            lr_scale: 1.0,
            epoch_loss_sum: 0.0,
            epoch_examples: 0,
            epoch_correct: 0,
            flops: Flops::default(),
        }
    }

    /// Forgets what was summed up over the last epoch.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch_loss_sum = 0.0;
        self.epoch_examples = 0;
        self.epoch_correct = 0;
    }
}

/// What a host is averaged for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Averaging {
    /// A verdict: `average <- 0.98 average + 0.02 w` in every step.
    Verdict,
    /// The choice of the final model: the mean of what every step since has left.
    LastWindow {
        /// Steps that the host had taken when the average began.
        since_step: u64,
    },
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss an example.
    pub loss: f64,
    /// Share classified right; `None` for regression.
    pub accuracy: Option<f64>,
    /// Examples.
    pub n_examples: usize,
}
