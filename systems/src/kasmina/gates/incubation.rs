//! G2: what would the host gain, at the best scale, if the seed were grafted as it is?

use std::num::NonZeroUsize;

use esper_engine::{
    ids::SeedId,
    runtime::{Examples, FlopsAccount, Split, Subset},
    world::{
        components::Telemetry,
        gate::{GateEvidence, GateVerdict},
    },
};

use crate::kasmina::lifecycle::{Lifecycle, Seed};

/// Scales at which an incubating seed is tried.
const SCALES: [f32; 4] = [0.03, 0.1, 0.3, 1.0];
/// Counterfactuals between the least and the greatest age of incubation.
const CHECKS: u64 = 4;
/// Seeds that incubate together in a host, from which on they are also looked at at a quarter and at a half of the least
/// age: a policy may then withdraw the worse half (successive halving, Jamieson & Talwalkar 2016). What is looked at
/// before its age passes nothing.
const LOOKED_AT_EARLY_FROM: usize = 5;
/// Validation examples that rank, at most. The loss of an example with a useful module and without differs by about .4
/// nats from example to example (sd; digits, MNIST-1D), so that a mean over 1,000 has a standard error of .4 / sqrt(1000)
/// = .013: a gain of .04 nats is seen in 88 of 100 cases at a one-sided 2.5 % (.04 / .013 - 1.96 = 1.2), and of two modules
/// the one that gains .01 more comes first in 94 of 100 (the difference of two that learnt much the same has half the error).
const EXAMPLES_MAX: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// What G2 found of a seed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// Its module is no longer finite.
    NotFinite,
    /// The best drop in validation loss over the scales, and its scale.
    Gain(f64, f32),
}

/// The age at which a seed is judged first, one of `n` that incubate in its host, in steps.
pub(super) fn first_age(train_min_steps: u64, n: usize) -> u64 {
    if n < LOOKED_AT_EARLY_FROM { train_min_steps } else { train_min_steps / 4 }
}

/// Tries all of `seeds`, of one host, in one pass over the examples; nothing where the device failed.
pub(super) fn measure(lifecycle: &mut Lifecycle, seeds: &[&mut Seed]) -> Vec<Found> {
    let finite: Vec<SeedId> = seeds.iter().filter(|it| it.is_finite).map(|it| it.id).collect();
    let mut tried = Vec::new().into_iter();
    let mut loss = f64::NAN;
    if let Some(seed) = seeds.iter().find(|seed| seed.is_finite) {
        let which = Examples {
            split: Split::Validation,
            subset: Subset::Ranking,
            examples_max: Some(EXAMPLES_MAX),
        };
        let runtime = lifecycle.hosts.runtime_mut(seed.host);
        match runtime.rank(which, FlopsAccount::Evaluation, &finite, &SCALES) {
            Ok(ranking) => (loss, tried) = (ranking.loss, ranking.tried.into_iter()),
            // There is no evidence.
            Err(error) => {
                lifecycle.fail_run(&error);
                return Vec::new();
            }
        }
    }
    let found = |seed: &&mut Seed| match seed.is_finite {
        true => best_gain(loss, &tried.next().expect("every finite one was tried")),
        false => Found::NotFinite,
    };
    seeds.iter().map(found).collect()
}

fn best_gain(loss: f64, tried: &[f64]) -> Found {
    let mut best = (f64::NEG_INFINITY, SCALES[0]);
    for (tried, scale) in tried.iter().zip(SCALES) {
        if tried.is_finite() && loss - tried > best.0 {
            best = (loss - tried, scale);
        }
    }
    Found::Gain(best.0, best.1)
}

/// Judges a seed in TRAINING by what was found of it.
pub(super) fn judge(
    lifecycle: &mut Lifecycle,
    seed: &mut Seed,
    found: Found,
    telemetry: &mut Telemetry,
) {
    let config = &lifecycle.config.kasmina;
    let (train_min_steps, train_max_steps) = (config.train_min_steps, config.train_max_steps);
    let step = lifecycle.step(seed);
    let age_steps = step - seed.clock.entered_step;
    let Found::Gain(gain, scale) = found else {
        let evidence = GateEvidence::G2 { gain: None, scale: None, age_steps };
        return lifecycle.judge(seed, GateVerdict::Failed, evidence, 0);
    };
    telemetry.counterfactual_gain = Some(gain as f32);
    telemetry.counterfactual_scale = Some(scale);
    let pause = ((train_max_steps - train_min_steps) / CHECKS).max(1);
    let verdict = match gain > 0.0 {
        _ if age_steps < train_min_steps => GateVerdict::Extended,
        true => GateVerdict::Passed,
        false if age_steps < train_max_steps => GateVerdict::Extended,
        false => GateVerdict::Failed,
    };
    let next_step = match age_steps {
        age if age < train_min_steps / 2 => seed.clock.entered_step + train_min_steps / 2,
        age if age < train_min_steps => seed.clock.entered_step + train_min_steps,
        _ => step + pause,
    };
    let evidence = GateEvidence::G2 { gain: Some(gain), scale: Some(scale), age_steps };
    lifecycle.judge(seed, verdict, evidence, next_step);
}

/// Writes that a module which does not incubate need not pass.
pub(in crate::kasmina) fn waive(lifecycle: &mut Lifecycle, seed: &mut Seed) {
    let age_steps = lifecycle.step(seed) - seed.clock.entered_step;
    let evidence = GateEvidence::G2 { gain: None, scale: None, age_steps };
    lifecycle.judge(seed, GateVerdict::Waived, evidence, 0);
}
