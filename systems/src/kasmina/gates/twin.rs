//! G5: the host against its twin on the same validation examples.

use esper_engine::{
    runtime::{FlopsAccount, Split},
    world::{
        components::Telemetry,
        gate::{GateEvidence, GateVerdict},
        stage::Stage,
    },
};

use esper_nn::device::DeviceError;

use super::interval::{Interval, paired_interval};
use crate::kasmina::{
    config::Counterfactual,
    lifecycle::{Lifecycle, Seed},
};

/// Looks in a row that have to find the lower bound above the threshold before G5 passes.
///
/// The interval of one look covers the choice of validation examples. It does not cover that two trainings, once
/// apart, differ by chance, nor that there are several looks. With a single look 22 % of frozen random modules passed at
/// MNIST-1D's input (100 seeds, `tests/it/controls.rs`); looks `verdict_extend_steps` apart are nearly independent in
/// the former.
const CONFIRMATIONS: u32 = 2;

/// Judges a seed in EVALUATING or FINE_TUNING.
pub(super) fn judge(lifecycle: &mut Lifecycle, seed: &mut Seed, telemetry: &mut Telemetry) {
    // Where the device failed there is no evidence, and the run ends.
    let Ok((gain, gate_gain)) = measure_gain(lifecycle, seed) else { return };
    telemetry.gate_gain = Some(gate_gain as f32);
    telemetry.twin_gain = Some(gain.mean as f32);
    telemetry.twin_gain_low = Some(gain.low as f32);
    telemetry.twin_gain_high = Some(gain.high as f32);
    let config = &lifecycle.config.kasmina;
    let (step, extend_steps) = (lifecycle.step(seed), config.verdict_extend_steps);
    let steps_since_graft = step - seed.grafted_step();
    // The second verdict, after fine-tuning, may be put off as often as the first.
    let limit = match seed.stage {
        Stage::FineTuning => {
            let began = seed.clock.entered_step - seed.grafted_step();
            let slack = config.verdict_max_steps - config.verdict_after_steps;
            began + config.fine_tune_steps + slack
        }
        _ => config.verdict_max_steps,
    };
    let is_last = steps_since_graft + extend_steps > limit;
    let is_above = gain.low > config.gain_threshold;
    let before = seed.gate_state.consecutive_passes;
    let consecutive_passes = if is_above { before + 1 } else { 0 };
    // What was confirmed once is confirmed again by a single look after fine-tuning.
    let n_needed = if seed.stage == Stage::FineTuning { 1 } else { CONFIRMATIONS };
    let verdict = if consecutive_passes >= n_needed {
        GateVerdict::Passed
    } else if !is_above && (gain.high < config.gain_threshold || is_last) {
        GateVerdict::Failed
    } else {
        GateVerdict::Extended
    };
    let evidence = GateEvidence::G5 {
        gain: gain.mean,
        gain_low: gain.low,
        gain_high: gain.high,
        n_examples: gain.n as u64,
        gate_gain,
        steps_since_graft,
        consecutive_passes,
    };
    lifecycle.judge(seed, verdict, evidence, step + extend_steps);
}

/// The gain over the counterfactual, and the gate figure.
fn measure_gain(lifecycle: &mut Lifecycle, seed: &Seed) -> Result<(Interval, f64), DeviceError> {
    let config = &lifecycle.config.kasmina;
    let (counterfactual, confidence) = (config.counterfactual, config.confidence);
    let (runtime, twin) = lifecycle.hosts.pair_mut(seed.host).expect("a grafted host has a twin");
    let (mut with, mut gated, mut without) = (Vec::new(), Vec::new(), Vec::new());
    let (split, account) = (Split::Validation, FlopsAccount::Evaluation);
    let grafted = runtime.evaluate(split, account, None, Some(&mut with))?.loss;
    let off = runtime.evaluate(split, account, Some((seed.id, 0.0)), Some(&mut gated))?.loss;
    let baseline = match counterfactual {
        Counterfactual::Twin => {
            twin.evaluate(split, account, None, Some(&mut without))?;
            &without
        }
        Counterfactual::Gate => &gated,
    };
    Ok((paired_interval(baseline, &with, confidence), off - grafted))
}
