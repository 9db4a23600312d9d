//! What a verdict would cost, before it is begun.

use esper_engine::runtime::HostRuntime;
use esper_nn::plan::Variant;

use super::{
    config::{Counterfactual, Kasmina, KasminaConfig},
    gates::twin::JUDGING,
};

/// The share of a run's arithmetic that evaluation would have taken by the end of one more verdict, at most.
///
/// The run is what its host's steps cost, all of them, and what else was spent on it so far.
pub(super) fn evaluation_share(runtime: &HostRuntime, config: &Kasmina) -> f64 {
    let spent = runtime.state.flops;
    let evaluation = spent.evaluation as f64 + verdict_flops(runtime, config);
    let host = step_flops(runtime) * runtime.config.total_steps as f64;
    evaluation / (host + spent.seeds as f64 + spent.validation as f64 + evaluation).max(1.0)
}

/// Whether a verdict more is within the limit on evaluation.
pub(super) fn is_affordable(runtime: &HostRuntime, config: &KasminaConfig) -> bool {
    evaluation_share(runtime, &config.kasmina) <= config.limits.evaluation_share_max
}

/// FLOPs of one step of the host, by itself.
fn step_flops(runtime: &HostRuntime) -> f64 {
    runtime.plan().list(Variant::Train).flops.host(runtime.config.batch) as f64
}

/// FLOPs of the copies' steps up to the last look, and of every look.
fn verdict_flops(runtime: &HostRuntime, config: &Kasmina) -> f64 {
    let left = runtime.config.total_steps.saturating_sub(runtime.state.step);
    let n_steps = config.verdict_max_steps.min(left);
    let n_pairs = config.n_pairs();
    let n_training =
        if config.counterfactual == Counterfactual::Gate { 0 } else { 2 * n_pairs - 1 };
    let n_passes = config.n_looks() * (2 * n_pairs + 1);
    let n_examples = JUDGING.len_of(runtime.config.data.validation.len()) as f64;
    let pass = runtime.program().flops_forward() as f64 * n_examples;
    step_flops(runtime) * (n_steps * n_training) as f64 + pass * n_passes as f64
}
