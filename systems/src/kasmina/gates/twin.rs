//! G5: the host against its twin on the same validation examples, in every pair of the verdict.

use std::num::NonZeroUsize;

use esper_data::Targets;
use esper_engine::{
    runtime::{Examples, FlopsAccount, HostRuntime, Split, Subset},
    world::{
        components::Telemetry,
        gate::{GateEvidence, GateVerdict, TwinEvidence},
    },
};
use esper_nn::device::DeviceError;

use super::{
    prior::shipped_prior,
    verdict::{Drift, Gain, look_level, spent_rate},
};
use crate::kasmina::{
    config::{Counterfactual, Level, Prior},
    lifecycle::{Lifecycle, Seed},
};

/// The validation examples that no race has ranked by, and no more of them than tell a gain: paired losses of host and twin
/// differ by about a third of the loss an example, so that over 4,000 the error is 0.5 % of the loss, no more than what two
/// trainings drift apart.
pub(in crate::kasmina) const JUDGING: Examples = Examples {
    split: Split::Validation,
    subset: Subset::Judging,
    examples_max: NonZeroUsize::new(4000),
};

/// Windows of a text that count as one example: losses of neighbours go together, and windows this far apart hardly do.
const BLOCK_WINDOWS: usize = 4;

/// What one look measured.
struct Look {
    gain: Gain,
    /// Mean loss of the twins.
    twin_loss: f64,
    /// Loss with the seed off less loss with it on, of the host.
    gate_gain: f64,
}

/// Judges a seed in EVALUATING.
pub(super) fn judge(lifecycle: &mut Lifecycle, seed: &mut Seed, telemetry: &mut Telemetry) {
    let look = match measure(lifecycle, seed) {
        Ok(found) => found,
        // There is no evidence.
        Err(error) => return lifecycle.fail_run(&error),
    };
    let config = lifecycle.config.kasmina.clone();
    let (step, extend_steps) = (lifecycle.step(seed), config.verdict_extend_steps);
    let steps_since_graft = step - seed.grafted_step();
    let is_last = steps_since_graft + extend_steps > config.verdict_max_steps;
    let n_verdicts = lifecycle.verdicts_begun(seed.host);
    let error_rate = match config.level {
        Level::Verdict => config.error_rate,
        Level::Run => spent_rate(config.error_rate, n_verdicts),
    };
    let level = look_level(error_rate, config.n_looks());
    let delta = lifecycle.worth(seed, look.twin_loss);
    let (t, t_needed) = (look.gain.t(delta), look.gain.t_needed(level));
    let verdict = match t {
        Some(t) if t > t_needed => GateVerdict::Passed,
        Some(t) if 0.0 <= t && !is_last => GateVerdict::Extended,
        _ => GateVerdict::Failed,
    };
    let Gain { mean, error, df, drift_sd, sample_error, n_examples, n_pairs } = look.gain;
    let half = t_needed * error;
    telemetry.gate_gain = Some(look.gate_gain as f32);
    telemetry.twin_gain = Some(mean as f32);
    telemetry.twin_gain_low = Some((mean - half) as f32);
    telemetry.twin_gain_high = Some((mean + half) as f32);
    let evidence = GateEvidence::G5(TwinEvidence {
        gain: mean,
        gain_low: mean - half,
        gain_high: mean + half,
        delta,
        t,
        t_needed,
        df,
        drift_sd,
        sample_error,
        n_pairs: n_pairs as u64,
        n_examples: n_examples as u64,
        gate_gain: look.gate_gain,
        twin_loss: look.twin_loss,
        steps_since_graft,
        error_rate,
        look: seed.gate_state.n_looks + 1,
        verdict: n_verdicts,
    });
    lifecycle.judge(seed, verdict, evidence, step + extend_steps);
}

/// Measures every pair on its averages.
fn measure(lifecycle: &mut Lifecycle, seed: &Seed) -> Result<Look, DeviceError> {
    let config = &lifecycle.config.kasmina;
    let (counterfactual, prior) = (config.counterfactual, config.prior);
    let steps_since_graft = lifecycle.step(seed) - seed.grafted_step();
    let mut hosts = vec![seed.host];
    hosts.extend_from_slice(lifecycle.hosts.replicas(seed.host));
    let (mut differences, mut twin_loss) = (Vec::new(), 0.0);
    let mut gate_gain = 0.0;
    for (pair, host) in hosts.iter().enumerate() {
        let (runtime, twin) = lifecycle.hosts.pair_mut(*host).expect("a grafted host has a twin");
        let with = losses(runtime, None)?;
        let mut off = Vec::new();
        let is_blended = runtime.blended().any(|it| it == seed.id);
        if pair == 0 && is_blended {
            off = losses(runtime, Some((seed.id, 0.0)))?;
            gate_gain = mean(&off) - mean(&with);
        }
        let without = match counterfactual {
            Counterfactual::Gate => off,
            Counterfactual::Twin | Counterfactual::OtherStream => losses(twin, None)?,
        };
        twin_loss += mean(&without) / hosts.len() as f64;
        let block = block_of(runtime);
        differences.push(blocks(&without, &with, block));
    }
    let runtime = lifecycle.hosts.runtime(seed.host);
    let optimizer = &runtime.train_plan().0.optimizer;
    let prior = match prior {
        // One network on and off: there are no two trainings that could drift.
        _ if counterfactual == Counterfactual::Gate => Drift { sd: 0.0, df: f64::INFINITY },
        Prior::Shipped => shipped_prior(&runtime.graph, optimizer, steps_since_graft, twin_loss),
        Prior::None => Drift::default(),
    };
    Ok(Look { gain: Gain::of(&differences, prior), twin_loss, gate_gain })
}

/// Each judging example's loss with the averages in the place of the numbers.
fn losses(
    runtime: &mut HostRuntime,
    tried: Option<(esper_engine::ids::SeedId, f32)>,
) -> Result<Vec<f32>, DeviceError> {
    let mut losses = Vec::new();
    runtime.on_averages(|runtime| {
        let account = FlopsAccount::Evaluation;
        runtime.evaluate(JUDGING, account, tried, Some(&mut losses))
    })?;
    Ok(losses)
}

fn mean(losses: &[f32]) -> f64 {
    losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() / losses.len().max(1) as f64
}

/// How many examples in a row count as one.
fn block_of(runtime: &HostRuntime) -> usize {
    match runtime.config.data.validation.targets {
        Targets::NextTokens(_) => BLOCK_WINDOWS,
        Targets::Classes { .. } | Targets::Values { .. } => 1,
    }
}

/// `without - with`, block by block; what is left at the end is a block of its own.
fn blocks(without: &[f32], with: &[f32], block: usize) -> Vec<f64> {
    let difference = |(a, b): (&f32, &f32)| f64::from(*a) - f64::from(*b);
    let differences: Vec<f64> = without.iter().zip(with).map(difference).collect();
    let mean = |block: &[f64]| block.iter().sum::<f64>() / block.len() as f64;
    differences.chunks(block).map(mean).collect()
}
