//! `[kasmina]`: a seed's life, stage by stage.

use esper_nn::{
    module::{Composition, Incubation},
    optim::Curve,
};

use super::{
    keys::{Keys, Section},
    value::Interval,
    word::words,
};

/// How seeds incubate, graft and are judged (DESIGN §5; defaults measured there on digits and
/// MNIST-1D).
#[derive(Clone, Debug, PartialEq)]
pub struct Kasmina {
    /// Seeds planted at each site, 1 to 16. Default 1.
    pub seeds_per_site: usize,
    /// How a seed learns in TRAINING. Default `straight_through`.
    pub incubation: Incubation,
    /// Root-mean-square output a seed is held to, as a share of its input's, above 0 and at most
    /// 10. Default 0.2. `lambda = rms(g) / (rho rms(x))`.
    pub rho: f64,
    /// How a seed's output joins the host. Default `residual`.
    pub composition: Composition,
    /// How alpha rises in GRAFTING. Default `linear`.
    pub curve: Curve,
    /// Alpha at the end of GRAFTING, above 0 and at most 1. Default 1.
    pub alpha_target: f64,
    /// A seed's learning rate as a factor of the host's base rate, above 0 and at most 100.
    /// Default 1.
    pub seed_lr_scale: f64,
    /// Shortest TRAINING, 1 to 10,000,000 steps. Default 200.
    pub train_min_steps: u64,
    /// Longest TRAINING, by which G2 passes or the seed is culled, 1 to 10,000,000 steps.
    /// Default 400.
    pub train_max_steps: u64,
    /// Steps in which alpha rises, 1 to 10,000,000. Default 50.
    pub graft_steps: u64,
    /// Steps in which the host settles around the frozen seed, 0 to 10,000,000. Default 25.
    pub stabilize_steps: u64,
    /// The first verdict, in steps since GRAFTING began, 1 to 10,000,000; at least
    /// `graft_steps + stabilize_steps`. Default 140.
    pub verdict_after_steps: u64,
    /// Steps by which a verdict is put off while the interval spans the threshold, 1 to
    /// 10,000,000. Default 100.
    pub verdict_extend_steps: u64,
    /// The last verdict, in steps since GRAFTING began, at least `verdict_after_steps`.
    /// Default 400.
    pub verdict_max_steps: u64,
    /// Steps in which seed and host train together before the seed is fossilised, 0 to
    /// 10,000,000. Default 100.
    pub fine_tune_steps: u64,
    /// Epochs a site rests after a seed is gone, 0 to 1,000,000. Default 1.5.
    pub embargo_epochs: f64,
    /// What a grafted host is measured against. Default `twin`.
    pub counterfactual: Counterfactual,
    /// Validation loss the lower bound of the gain must exceed (G5), 0 to 1000. Default 0.
    pub gain_threshold: f64,
    /// Confidence of the interval of the gain, 0.5 to below 1. Default 0.95.
    pub confidence: f64,
    /// Times its loss before the graft at which a host counts as harmed (G3), above 1 and at most
    /// 1000. Default 1.5.
    pub harm_ratio: f64,
    /// Steps from one report of a seed to the next, 1 to 1,000,000. Default 20.
    pub telemetry_every_steps: u64,
}

words! {
    /// What a grafted host is measured against.
    Counterfactual {
        /// The host forked when GRAFTING began, trained on without the seed.
        Twin = "twin",
        /// The same host with alpha at 0. Cheaper, and no proof that the seed added anything.
        Gate = "gate",
    }
}

/// Longest any one part of a seed's life may take.
const STEPS_MAX: u64 = 10_000_000;

impl Section for Kasmina {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("seeds_per_site", &mut self.seeds_per_site, 1..=16);
        keys.key("incubation", &mut self.incubation, ());
        keys.key("rho", &mut self.rho, Interval::above(0.0).to(10.0));
        keys.key("composition", &mut self.composition, ());
        keys.key("curve", &mut self.curve, ());
        keys.key("alpha_target", &mut self.alpha_target, Interval::above(0.0).to(1.0));
        keys.key("seed_lr_scale", &mut self.seed_lr_scale, Interval::above(0.0).to(100.0));
        keys.key("train_min_steps", &mut self.train_min_steps, 1..=STEPS_MAX);
        keys.key("train_max_steps", &mut self.train_max_steps, 1..=STEPS_MAX);
        keys.key("graft_steps", &mut self.graft_steps, 1..=STEPS_MAX);
        keys.key("stabilize_steps", &mut self.stabilize_steps, 0..=STEPS_MAX);
        keys.key("verdict_after_steps", &mut self.verdict_after_steps, 1..=STEPS_MAX);
        keys.key("verdict_extend_steps", &mut self.verdict_extend_steps, 1..=STEPS_MAX);
        keys.key("verdict_max_steps", &mut self.verdict_max_steps, 1..=STEPS_MAX);
        keys.key("fine_tune_steps", &mut self.fine_tune_steps, 0..=STEPS_MAX);
        keys.key("embargo_epochs", &mut self.embargo_epochs, Interval::from(0.0).to(1e6));
        keys.key("counterfactual", &mut self.counterfactual, ());
        keys.key("gain_threshold", &mut self.gain_threshold, Interval::from(0.0).to(1000.0));
        keys.key("confidence", &mut self.confidence, Interval::from(0.5).below(1.0));
        keys.key("harm_ratio", &mut self.harm_ratio, Interval::above(1.0).to(1000.0));
        keys.key("telemetry_every_steps", &mut self.telemetry_every_steps, 1..=1_000_000);
    }
}

impl Default for Kasmina {
    fn default() -> Self {
        Self {
            seeds_per_site: 1,
            incubation: Incubation::StraightThrough,
            rho: 0.2,
            composition: Composition::Residual,
            curve: Curve::Linear,
            alpha_target: 1.0,
            seed_lr_scale: 1.0,
            train_min_steps: 200,
            train_max_steps: 400,
            graft_steps: 50,
            stabilize_steps: 25,
            verdict_after_steps: 140,
            verdict_extend_steps: 100,
            verdict_max_steps: 400,
            fine_tune_steps: 100,
            embargo_epochs: 1.5,
            counterfactual: Counterfactual::Twin,
            gain_threshold: 0.0,
            confidence: 0.95,
            harm_ratio: 1.5,
            telemetry_every_steps: 20,
        }
    }
}
