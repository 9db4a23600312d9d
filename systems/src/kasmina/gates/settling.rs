//! G3 and G4: does the host bear the graft, once blended in, and over a window?

use esper_engine::world::gate::{GateEvidence, GateVerdict};

use crate::kasmina::lifecycle::{Lifecycle, Seed};

/// G3: the host's loss is not harmed against what it would be without the seed. Whether it passed.
pub(in crate::kasmina) fn judge_reached(
    lifecycle: &mut Lifecycle,
    seed: &mut Seed,
    alpha: f32,
) -> bool {
    let (loss_mean, reference_loss_mean) = loss_and_reference(lifecycle, seed);
    let harm_ratio = lifecycle.config.kasmina.harm_ratio;
    let is_harmed = loss_mean > harm_ratio * reference_loss_mean;
    let evidence = GateEvidence::G3 { alpha, loss_mean, reference_loss_mean };
    settle(lifecycle, seed, !is_harmed, evidence)
}

/// G4: the smoothed loss is finite and within the harm ratio of its reference. Whether it passed.
pub(in crate::kasmina) fn judge_stable(
    lifecycle: &mut Lifecycle,
    seed: &mut Seed,
    window_steps: u64,
) -> bool {
    let (loss_mean, reference_loss_mean) = loss_and_reference(lifecycle, seed);
    let harm_ratio = lifecycle.config.kasmina.harm_ratio;
    let is_stable = loss_mean.is_finite() && loss_mean <= harm_ratio * reference_loss_mean;
    let evidence = GateEvidence::G4 { loss_mean, reference_loss_mean, window_steps };
    settle(lifecycle, seed, is_stable, evidence)
}

fn settle(
    lifecycle: &mut Lifecycle,
    seed: &mut Seed,
    has_passed: bool,
    evidence: GateEvidence,
) -> bool {
    let verdict = if has_passed { GateVerdict::Passed } else { GateVerdict::Failed };
    let step = lifecycle.step(seed);
    lifecycle.judge(seed, verdict, evidence, step);
    has_passed
}

/// The host's smoothed loss, and that of its twin (or of itself before the graft).
fn loss_and_reference(lifecycle: &Lifecycle, seed: &Seed) -> (f64, f64) {
    let loss_mean = |entity| {
        let mean = lifecycle.hosts.runtime(entity).state.monitor.mean;
        f64::from(mean.unwrap_or(f32::INFINITY))
    };
    let twin = lifecycle.hosts.twin(seed.host).expect("a grafted host has a twin");
    (loss_mean(seed.host), loss_mean(twin))
}
