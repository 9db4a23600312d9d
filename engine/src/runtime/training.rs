//! What a host trains by and on: components that any system may change between two steps.

use bevy_ecs::prelude::Component;
use esper_data::Order;
use esper_nn::optim::Train;
use serde::{Deserialize, Serialize};

use super::{config::HostConfig, progress::Progress};

/// What a host is trained by: its update rule, its learning rate over time and the norm its gradients are clipped to.
///
/// A change takes effect at the next step, in the host and in its twin. Moments go on where the new rule keeps the same
/// ones (Adam and AdamW do); where it does not, both moments and the update counts begin at zero, as those of a new
/// optimizer do. The loss monitor goes on. A rollback takes no change back.
#[derive(Component, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct TrainPlan(pub Train);

/// Which of its training examples a host is given, and in what batches.
///
/// A change takes effect at the next step, in the host and in its twin. With another `n_examples` the next step begins a
/// pass over the examples, in an order of its own. The host's clock is no part of the view: an epoch stays as many
/// steps as at the host's birth, after which it is validated, and schedules and the end of the run are counted in them.
/// Validation and test read all of their examples. A rollback takes no change back.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataView {
    /// Examples a step: at least one, at most as many as at the host's birth, which is what `None` is.
    pub batch: Option<usize>,
    /// Of how many examples a pass visits each once: of the first of the training part, at least one, at most all,
    /// which is what `None` is.
    pub n_examples: Option<usize>,
}

impl DataView {
    /// Examples a step of a host with that `config`.
    pub(super) fn batch(self, config: &HostConfig) -> usize {
        self.batch.map_or(config.batch, |batch| batch.clamp(1, config.batch))
    }

    /// Examples that a pass visits.
    pub(super) fn n_examples(self, config: &HostConfig) -> usize {
        let all = config.data.train.len();
        self.n_examples.map_or(all, |n_examples| n_examples.clamp(1, all))
    }
}

/// The order in which a host that has come as far as `state` visits `n_examples`.
///
/// # Errors
///
/// Fails when the cursor lies beyond them.
pub(super) fn order_at(
    config: &HostConfig,
    state: &Progress,
    n_examples: usize,
) -> Result<Order, esper_data::PositionError> {
    let mut order = Order::new(config.run_seed, config.stream, n_examples);
    order.reseek(state.epoch, state.position)?;
    Ok(order)
}
