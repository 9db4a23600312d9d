//! What of a step is no part of its plan: which examples, how far modules are blended, learning rates, random streams.

use super::monitor::Fault;

/// What one run of a plan depends on beside its buffers.
#[derive(Clone, Copy, Debug)]
pub struct StepArgs<'a> {
    /// Optimizer steps taken before this one: what the streams of dropout are at.
    pub step: u64,
    /// Share of the numbers that averages take up, where there are any.
    pub average_rate: f32,
    /// Which examples.
    pub batch: BatchArgs<'a>,
    /// One a network of the plan.
    pub units: &'a [UnitArgs],
    /// One a group of parameters: the host's groups, then one a module.
    pub groups: &'a [GroupArgs],
}

/// Which examples a batch is made of, and how they are varied.
#[derive(Clone, Copy, Debug)]
pub struct BatchArgs<'a> {
    /// Their numbers: `u32[rows]`.
    pub indices: &'a [u32],
    /// By how many tokens windows of text are shifted.
    pub shift: usize,
    /// Key of the stream that images are varied by, and the epoch; `None` leaves them as they are.
    pub augment: Option<(u64, u64)>,
}

/// What a network's pass depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitArgs {
    /// Key of its stream of dropout masks.
    pub dropout_key: u64,
    /// How far it is blended into the host; 0 for the host itself.
    pub alpha: f32,
}

/// What the update of a group of parameters depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupArgs {
    /// Learning rate.
    pub lr: f64,
    /// Updates of these parameters so far.
    pub n_updates: u64,
}

/// What a run of a plan came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepOutcome {
    /// Sum of the losses of the batch's examples.
    pub loss_sum: f64,
    /// Labels said right.
    pub n_correct: u64,
    /// What stopped it before the host's update.
    pub fault: Option<Fault>,
}
