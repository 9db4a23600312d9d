//! G2: what would the host gain, at the best scale, if the seed were grafted as it is?

use esper_engine::{
    runtime::{FlopsAccount, Split},
    world::{
        components::Telemetry,
        gate::{GateEvidence, GateVerdict},
    },
};

use esper_nn::device::DeviceError;

use crate::kasmina::lifecycle::{Lifecycle, Seed};

/// Scales at which an incubating seed is tried.
const SCALES: [f32; 4] = [0.03, 0.1, 0.3, 1.0];
/// Counterfactuals between the least and the greatest age of incubation.
const CHECKS: u64 = 4;

/// Judges a seed in TRAINING.
pub(super) fn judge(lifecycle: &mut Lifecycle, seed: &mut Seed, telemetry: &mut Telemetry) {
    let config = &lifecycle.config.kasmina;
    let (train_min_steps, train_max_steps) = (config.train_min_steps, config.train_max_steps);
    let step = lifecycle.step(seed);
    let age_steps = step - seed.clock.entered_step;
    if !seed.is_finite {
        let evidence = GateEvidence::G2 { gain: None, scale: None, age_steps };
        return lifecycle.judge(seed, GateVerdict::Failed, evidence, 0);
    }
    // Where the device failed there is no evidence, and the run ends.
    let Ok((gain, scale)) = best_gain(lifecycle, seed) else { return };
    telemetry.counterfactual_gain = Some(gain as f32);
    telemetry.counterfactual_scale = Some(scale);
    let pause = ((train_max_steps - train_min_steps) / CHECKS).max(1);
    let verdict = match gain > 0.0 {
        true => GateVerdict::Passed,
        false if age_steps < train_max_steps => GateVerdict::Extended,
        false => GateVerdict::Failed,
    };
    let evidence = GateEvidence::G2 { gain: Some(gain), scale: Some(scale), age_steps };
    lifecycle.judge(seed, verdict, evidence, step + pause);
}

/// The best drop in validation loss over the scales, and its scale.
fn best_gain(lifecycle: &mut Lifecycle, seed: &Seed) -> Result<(f64, f32), DeviceError> {
    let runtime = lifecycle.hosts.runtime_mut(seed.host);
    let mut loss = |tried| {
        let found = runtime.evaluate(Split::Validation, FlopsAccount::Evaluation, tried, None);
        found.map(|found| found.loss)
    };
    let base = loss(None)?;
    let mut best = (f64::NEG_INFINITY, SCALES[0]);
    for scale in SCALES {
        let loss = loss(Some((seed.id, scale)))?;
        if loss.is_finite() && base - loss > best.0 {
            best = (base - loss, scale);
        }
    }
    Ok(best)
}

/// Writes that a module which does not incubate need not pass.
pub(in crate::kasmina) fn waive(lifecycle: &mut Lifecycle, seed: &mut Seed) {
    let age_steps = lifecycle.step(seed) - seed.clock.entered_step;
    let evidence = GateEvidence::G2 { gain: None, scale: None, age_steps };
    lifecycle.judge(seed, GateVerdict::Waived, evidence, 0);
}
