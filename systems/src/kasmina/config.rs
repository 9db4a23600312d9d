//! `[kasmina]`: a seed's life, stage by stage; `[limits]`: what may not grow beyond.

use bevy_ecs::prelude::*;
use esper_engine::scenario::{Interval, Key, Keys, Rules, Scenario, Section, words};
use esper_nn::{
    module::{Composition, Incubation},
    optim::Curve,
};

/// The key of `[kasmina]`.
pub const KASMINA: Key<Kasmina> = Key::new();

/// The key of `[limits]`.
pub const LIMITS: Key<Limits> = Key::new();

/// How seeds incubate, graft and are judged, and within which limits.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct KasminaConfig {
    /// The scenario's `[kasmina]`.
    pub kasmina: Kasmina,
    /// The scenario's `[limits]`.
    pub limits: Limits,
    /// Whether seeds are planted at all: not when nobody decides about them.
    pub plants_seeds: bool,
}

impl KasminaConfig {
    /// What `scenario` says; what it does not have stands at its default.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            kasmina: scenario.or_default(),
            limits: scenario.or_default(),
            plants_seeds: decides(scenario),
        }
    }
}

/// Whether anybody decides about seeds.
fn decides(scenario: &Scenario) -> bool {
    scenario.text("tamiyo.policy").is_none_or(|policy| policy != "off")
}

/// Holds the world's hosts to their limit: replicas, and a twin for each graft.
pub(super) fn check_hosts(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let (kasmina, limits) = (&scenario[KASMINA], &scenario[LIMITS]);
    let has_twins = decides(scenario) && kasmina.counterfactual == Counterfactual::Twin;
    let n_twins = if has_twins { limits.grafts_max } else { 0 };
    let n_hosts = scenario.value("run.replicas").unwrap_or(1) * (1 + n_twins);
    rules.hold(
        n_hosts <= limits.hosts_max,
        &["limits.hosts_max", "run.replicas", "limits.grafts_max"],
        format!("must be at least {n_hosts}, replicas and their twins, is {}", limits.hosts_max),
        format!("for example `hosts_max = {n_hosts}`"),
    );
}

/// How seeds incubate, graft and are judged; defaults were measured on digits and
/// MNIST-1D.
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
    /// Shortest TRAINING, 1 to 10,000,000 steps. Default 100.
    pub train_min_steps: u64,
    /// Longest TRAINING, by which G2 passes or the seed is culled, 1 to 10,000,000 steps.
    /// Default 200.
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
    /// 10,000,000. Default 0.
    pub fine_tune_steps: u64,
    /// Epochs a site rests after a module was taken from it, 0 to 1,000,000. Default 1.
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

/// What may not grow beyond.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Parameters of one host, grafts included, 1 to 10^10. Default 10^8.
    pub params_max: u64,
    /// Grafts of one host at a time, 0 or 1. Default 1: a twin then differs by one seed only.
    pub grafts_max: usize,
    /// Seeds planted in one host over the whole run, 1 to 1,000,000. Default 1024.
    pub seeds_max: usize,
    /// Hosts and twins in the world at once, 1 to 65,536. Default 8192.
    pub hosts_max: usize,
    /// Lines of `events.jsonl`, 1000 to 10^12. Default 10^8.
    pub events_max: u64,
}

/// Longest any one part of a seed's life may take.
const STEPS_MAX: u64 = 10_000_000;

impl Section for Kasmina {
    const NAME: &'static str = "kasmina";

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
    fn check(&self, rules: &mut Rules<'_, '_>) {
        rules.hold_order(
            self.train_max_steps,
            self.train_min_steps,
            &["kasmina.train_max_steps", "kasmina.train_min_steps"],
        );
        rules.hold_order(
            self.verdict_after_steps,
            self.graft_steps + self.stabilize_steps,
            &["kasmina.verdict_after_steps", "kasmina.graft_steps", "kasmina.stabilize_steps"],
        );
        rules.hold_order(
            self.verdict_max_steps,
            self.verdict_after_steps,
            &["kasmina.verdict_max_steps", "kasmina.verdict_after_steps"],
        );
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
            train_min_steps: 100,
            train_max_steps: 200,
            graft_steps: 50,
            stabilize_steps: 25,
            verdict_after_steps: 140,
            verdict_extend_steps: 100,
            verdict_max_steps: 400,
            fine_tune_steps: 0,
            embargo_epochs: 1.0,
            counterfactual: Counterfactual::Twin,
            gain_threshold: 0.0,
            confidence: 0.95,
            harm_ratio: 1.5,
            telemetry_every_steps: 20,
        }
    }
}

impl Section for Limits {
    const NAME: &'static str = "limits";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("params_max", &mut self.params_max, 1..=10_u64.pow(10));
        keys.key("grafts_max", &mut self.grafts_max, 0..=1);
        keys.key("seeds_max", &mut self.seeds_max, 1..=1_000_000);
        keys.key("hosts_max", &mut self.hosts_max, 1..=65_536);
        keys.key("events_max", &mut self.events_max, 1000..=10_u64.pow(12));
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            params_max: 100_000_000,
            grafts_max: 1,
            seeds_max: 1024,
            hosts_max: 8192,
            events_max: 100_000_000,
        }
    }
}
