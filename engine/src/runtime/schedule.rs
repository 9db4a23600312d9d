//! Quantities that change by the step: learning rates and blends.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::scenario::{Course, Curve, Schedule};

/// The host's learning rate at `step`, where `total_steps` end the run.
///
/// Warm-up is linear from `base / warmup_steps` to `base`; cosine is Loshchilov and Hutter 2017, equation 5, one
/// cycle from the end of the warm-up to the end of the run.
pub fn learning_rate(
    base: f64,
    schedule: &Schedule,
    step: u64,
    steps_per_epoch: u64,
    total_steps: u64,
) -> f64 {
    let warmup_steps = schedule.warmup_epochs * steps_per_epoch as f64;
    let at = step as f64;
    if at + 1.0 < warmup_steps {
        return base * (at + 1.0) / warmup_steps;
    }
    match schedule.course {
        Course::Constant => base,
        Course::Step { step_epochs, gamma } => {
            let n_drops = (at / steps_per_epoch as f64 / step_epochs).floor();
            base * gamma.powf(n_drops)
        }
        Course::Cosine { min_lr } => {
            let span = (total_steps as f64 - warmup_steps).max(1.0);
            let t = ((at - warmup_steps) / span).clamp(0.0, 1.0);
            min_lr + (base - min_lr) * (1.0 + (PI * t).cos()) / 2.0
        }
    }
}

/// A seed's learning rate at `step`: the base rate at its birth, down to 0 at the end of the run along half a cosine.
pub fn seed_learning_rate(base: f64, birth_step: u64, step: u64, total_steps: u64) -> f64 {
    let span = (total_steps.saturating_sub(birth_step) as f64).max(1.0);
    let t = (step.saturating_sub(birth_step) as f64 / span).clamp(0.0, 1.0);
    base * (1.0 + (PI * t).cos()) / 2.0
}

/// A blend that moves from one value to another over a number of steps.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// The step whose forward pass is the first to move.
    pub start_step: u64,
    /// Steps it takes; 0 is at once.
    pub n_steps: u64,
    /// Before it.
    pub from: f32,
    /// After it.
    pub to: f32,
    /// How it rises.
    pub curve: Curve,
}

impl Ramp {
    /// The blend in the forward pass of `step`: reaches `to` in the `n_steps`-th.
    pub fn at(&self, step: u64) -> f32 {
        let done = step.saturating_sub(self.start_step).saturating_add(1);
        if done >= self.n_steps {
            return self.to;
        }
        let t = done as f64 / self.n_steps as f64;
        self.from + (self.to - self.from) * rise(self.curve, t) as f32
    }

    /// Whether every later step sees `to`.
    pub fn is_done_before(&self, step: u64) -> bool {
        step >= self.start_step + self.n_steps
    }
}

/// How far a curve has risen at `t` of its way, from 0 at 0 to 1 at 1.
fn rise(curve: Curve, t: f64) -> f64 {
    match curve {
        Curve::Linear => t,
        Curve::Cosine => (1.0 - (PI * t).cos()) / 2.0,
        Curve::Sigmoid => {
            // Steepness 10 spans 0.7 % to 99.3 % before rescaling, the usual reach of a logistic ramp.
            let logistic = |t: f64| 1.0 / (1.0 + (-10.0 * (t - 0.5)).exp());
            (logistic(t) - logistic(0.0)) / (logistic(1.0) - logistic(0.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_rises_from_zero_to_exactly_its_target() {
        for curve in [Curve::Linear, Curve::Cosine, Curve::Sigmoid] {
            let ramp = Ramp { start_step: 7, n_steps: 50, from: 0.0, to: 0.8, curve };
            let alphas: Vec<f32> = (7..60).map(|step| ramp.at(step)).collect();
            assert!(0.0 < alphas[0] && alphas[0] < 0.05, "{curve:?} starts at {}", alphas[0]);
            assert!(alphas.is_sorted(), "{curve:?}");
            assert_eq!(alphas[49], 0.8);
            assert!(alphas[48] < 0.8);
            assert!(ramp.is_done_before(57) && !ramp.is_done_before(56));
        }
    }

    #[test]
    fn a_warm_up_ends_at_the_base_rate_and_a_cosine_at_its_minimum() {
        let schedule = Schedule { course: Course::Cosine { min_lr: 1e-4 }, warmup_epochs: 1.0 };
        let at = |step| learning_rate(0.1, &schedule, step, 10, 100);
        assert!((at(0) - 0.01).abs() < 1e-12);
        assert!((at(10) - 0.1).abs() < 1e-12);
        assert!((at(100) - 1e-4).abs() < 1e-12);
        assert!((at(55) - (1e-4 + (0.1 - 1e-4) / 2.0)).abs() < 1e-12);
    }

    #[test]
    fn a_seeds_rate_counts_from_its_birth() {
        assert_eq!(seed_learning_rate(0.1, 40, 40, 100), 0.1);
        assert!((seed_learning_rate(0.1, 40, 70, 100) - 0.05).abs() < 1e-12);
        assert!(seed_learning_rate(0.1, 40, 100, 100) < 1e-12);
    }
}
