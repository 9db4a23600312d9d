//! Quantities that change by the step: learning rates and blends.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use esper_nn::optim::{Course, Curve, Schedule};

/// The host's learning rate at `step`, where `total_steps` end the run.
///
/// The warm-up is linear from `base / warmup_steps` to `base`, and the course begins when it is over: the rates of
/// `torch.optim.lr_scheduler.SequentialLR` of `LinearLR(start_factor = 1 / warmup_steps, total_iters = warmup_steps - 1)`
/// and the course. That is `StepLR(step_size, gamma)` or `CosineAnnealingLR(T_max = total_steps - warmup_steps,
/// eta_min = min_lr)` (Loshchilov and Hutter 2017, equation 5, one cycle), both stepped once a step. Parts of an epoch
/// are rounded to whole steps.
pub fn learning_rate(
    base: f64,
    schedule: &Schedule,
    step: u64,
    steps_per_epoch: u64,
    total_steps: u64,
) -> f64 {
    let whole_steps = |epochs: f64| (epochs * steps_per_epoch as f64).round() as u64;
    let warmup_steps = whole_steps(schedule.warmup_epochs);
    if step + 1 < warmup_steps {
        return base * (step + 1) as f64 / warmup_steps as f64;
    }
    let at = step.saturating_sub(warmup_steps);
    match schedule.course {
        Course::Constant => base,
        Course::Step { step_epochs, gamma } => {
            let n_drops = at / whole_steps(step_epochs).max(1);
            base * gamma.powi(n_drops.min(i32::MAX as u64) as i32)
        }
        Course::Cosine { min_lr } => {
            let span = total_steps.saturating_sub(warmup_steps).max(1);
            let t = (at as f64 / span as f64).min(1.0);
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
    /// A blend that stays at 0.
    pub const ZERO: Self =
        Self { start_step: 0, n_steps: 0, from: 0.0, to: 0.0, curve: Curve::Linear };

    /// Whether it is over before the forward pass of `step`.
    pub const fn is_over(&self, step: u64) -> bool {
        self.start_step.saturating_add(self.n_steps) <= step
    }

    /// The blend in the forward pass of `step`: reaches `to` in the `n_steps`-th.
    pub fn at(&self, step: u64) -> f32 {
        let done = step.saturating_sub(self.start_step).saturating_add(1);
        if done >= self.n_steps {
            return if self.curve == Curve::Bump { self.from } else { self.to };
        }
        let t = done as f64 / self.n_steps as f64;
        self.from + (self.to - self.from) * rise(self.curve, t) as f32
    }
}

/// How far a curve has risen at `t` of its way, from 0 at 0 to 1 at 1.
fn rise(curve: Curve, t: f64) -> f64 {
    match curve {
        Curve::Linear => t,
        Curve::Bump => 4.0 * t * (1.0 - t),
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
        }
    }

    #[test]
    fn a_bump_rises_to_its_target_and_ends_where_it_began() {
        let ramp = Ramp { start_step: 0, n_steps: 50, from: 0.0, to: 0.8, curve: Curve::Bump };
        assert_eq!(ramp.at(24), 0.8);
        assert!(0.0 < ramp.at(48) && ramp.at(48) < 0.1);
        assert_eq!([49, 50, 1000].map(|step| ramp.at(step)), [0.0; 3]);
        assert_eq!([49, 50].map(|step| ramp.is_over(step)), [false, true]);
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
    fn drops_are_counted_in_whole_steps_from_the_end_of_the_warm_up() {
        // In binary, 0.3 epochs / 0.1 is below 3: the third drop must not come a step late for it.
        let course = Course::Step { step_epochs: 0.1, gamma: 0.5 };
        let at = |warmup_epochs, step| {
            learning_rate(0.8, &Schedule { course: course.clone(), warmup_epochs }, step, 10, 100)
        };
        assert_eq!([at(0.0, 0), at(0.0, 1), at(0.0, 3)], [0.8, 0.4, 0.1]);
        assert_eq!([at(0.5, 3), at(0.5, 4), at(0.5, 5), at(0.5, 6)], [0.64, 0.8, 0.8, 0.4]);
    }

    #[test]
    fn a_seeds_rate_counts_from_its_birth() {
        assert_eq!(seed_learning_rate(0.1, 40, 40, 100), 0.1);
        assert!((seed_learning_rate(0.1, 40, 70, 100) - 0.05).abs() < 1e-12);
        assert!(seed_learning_rate(0.1, 40, 100, 100) < 1e-12);
    }
}
