//! What the run came to: hosts as they ended, tested once.

use bevy_ecs::{prelude::*, system::SystemState};
use esper_engine::{
    ids::{HostId, Index},
    runtime::{Evaluation, Flops, FlopsAccount, Split},
    world::{components::FinalModel, hosts::HostsMut},
};
use esper_nn::digest::Digest;

/// A host at the end of its run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostEnd {
    /// The host.
    pub host: HostId,
    /// Epochs it trained.
    pub epochs: u64,
    /// Steps it took.
    pub steps: u64,
    /// Mean training loss of its last epoch; `None` before the first step.
    pub train_loss: Option<f64>,
    /// What validation finds now; `None` where the run is not over.
    pub validation: Option<Evaluation>,
    /// What the test finds, read once, here; `None` where the run is not over.
    pub test: Option<Evaluation>,
    /// Parameters now, in elements.
    pub params_elems: u64,
    /// Where its arithmetic went.
    pub flops: Flops,
    /// Whether it is the average over its last window.
    pub is_average: bool,
    /// BLAKE3 of its parameters.
    pub weights_digest: Digest,
}

/// Every host as it stands, sorted by [`HostId`]; validated and tested if the run `is_over`. Call it once.
pub fn end_state(world: &mut World, is_over: bool) -> Vec<HostEnd> {
    let hosts: Vec<(HostId, Entity)> = world.resource::<Index<HostId>>().iter().collect();
    let mut state = SystemState::<(HostsMut, Query<&FinalModel>)>::new(world);
    let (mut runtimes, models) = state.get_mut(world).expect("the engine has hosts");
    hosts
        .into_iter()
        .map(|(host, entity)| {
            let runtime = runtimes.runtime_mut(entity);
            let mut evaluate = |part| {
                let mut found = || runtime.evaluate(part, FlopsAccount::Validation, None, None);
                is_over.then(|| found().ok()).flatten()
            };
            let (validation, test) = (evaluate(Split::Validation), evaluate(Split::Test));
            let state = &runtime.state;
            let examples = state.epoch_examples;
            HostEnd {
                host,
                epochs: runtime.epochs_done(),
                steps: state.step,
                train_loss: (examples > 0).then(|| state.epoch_loss_sum / examples as f64),
                validation,
                test,
                params_elems: runtime.program().params_elems(),
                flops: state.flops,
                is_average: models.get(entity).is_ok_and(|model| model.is_average),
                weights_digest: runtime.weights_digest(),
            }
        })
        .collect()
}
