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
    let has_twins = decides(scenario) && kasmina.counterfactual != Counterfactual::Gate;
    let n_copies = 2 * kasmina.n_pairs() as usize - 1;
    let n_twins = if has_twins { limits.grafts_max * n_copies } else { 0 };
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
    /// Steps by which a verdict is put off while the test decides neither way, 1 to
    /// 10,000,000. Default 100.
    pub verdict_extend_steps: u64,
    /// The last verdict, in steps since GRAFTING began, at least `verdict_after_steps`.
    /// Default 340.
    pub verdict_max_steps: u64,
    /// Steps in which seed and host train together before the seed is fossilised, 0 to
    /// 10,000,000. Default 0.
    pub fine_tune_steps: u64,
    /// Epochs a site rests after a module was taken from it, 0 to 1,000,000. Default 1.
    pub embargo_epochs: f64,
    /// What a grafted host is measured against. Default `twin`.
    pub counterfactual: Counterfactual,
    /// Pairs of host and twin that a verdict (G5) is measured on, 1 to 16, each on random streams of its own; 0 for as few
    /// as the prior allows, which is 1, or 4 without one. Default 0.
    pub pairs: u64,
    /// What is known of drift before a run's pairs are asked. Default `shipped`.
    pub prior: Prior,
    /// What a module has to be worth, as a share of the twin's loss, 0 to below 1. Default 0.003.
    pub delta: f64,
    /// Loss that a module has to save for each of its parameters besides, 0 to 1. Default 0.
    pub price_per_param: f64,
    /// Loss that a module has to save for each floating-point operation of its forward pass on an example besides, 0 to 1.
    /// Default 0.
    pub price_per_flop: f64,
    /// Probability that a module which adds nothing passes, above 0 and at most 0.5. Default 0.025.
    pub error_rate: f64,
    /// What errs at `error_rate`. Default `verdict`.
    pub level: Level,
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
        /// The host forked when GRAFTING would begin, trained on with other random streams, and nothing is grafted: a
        /// control, in which nothing is ever kept.
        OtherStream = "aa",
    }
}

words! {
    /// What is known of drift before a run's own pairs are asked.
    Prior {
        /// The table that ships, by kind of host, optimizer and look.
        Shipped = "shipped",
        /// Nothing.
        None = "none",
    }
}

words! {
    /// What errs at the error rate.
    Level {
        /// One verdict.
        Verdict = "verdict",
        /// All verdicts of a host together; the later ones have to show more.
        Run = "run",
    }
}

impl Kasmina {
    /// Pairs of host and twin that a verdict is measured on.
    pub fn n_pairs(&self) -> u64 {
        match (self.pairs, self.prior) {
            _ if self.counterfactual == Counterfactual::Gate => 1,
            (0, Prior::Shipped) => 1,
            (0, Prior::None) => PAIRS_WITHOUT_PRIOR,
            (pairs, _) => pairs,
        }
    }

    /// Whether nothing that is grafted is ever kept.
    pub fn is_control(&self) -> bool {
        self.counterfactual == Counterfactual::OtherStream || self.curve == Curve::Bump
    }

    /// Looks that a verdict takes at most.
    pub fn n_looks(&self) -> u64 {
        let span = self.verdict_max_steps.saturating_sub(self.verdict_after_steps);
        span / self.verdict_extend_steps.max(1) + 1
    }
}

/// One-sided error rate of a verdict: that of a two-sided interval of 95 %, and what Pocock's boundary is tabulated for.
pub(super) const ERROR_RATE: f64 = 0.025;

/// Pairs without a prior: three degrees of freedom for drift.
const PAIRS_WITHOUT_PRIOR: u64 = 4;

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
    /// Share of a run's arithmetic that evaluation may take; a verdict that could pass it is not begun, 0 to 1. Default 0.5.
    pub evaluation_share_max: f64,
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
        keys.key("pairs", &mut self.pairs, 0..=16);
        keys.key("prior", &mut self.prior, ());
        keys.key("delta", &mut self.delta, Interval::from(0.0).below(1.0));
        keys.key("price_per_param", &mut self.price_per_param, Interval::from(0.0).to(1.0));
        keys.key("price_per_flop", &mut self.price_per_flop, Interval::from(0.0).to(1.0));
        keys.key("error_rate", &mut self.error_rate, Interval::above(0.0).to(0.5));
        keys.key("level", &mut self.level, ());
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
        let is_known = self.prior == Prior::Shipped || PAIRS_WITHOUT_PRIOR <= self.n_pairs();
        rules.hold(
            is_known || self.counterfactual == Counterfactual::Gate,
            &["kasmina.pairs", "kasmina.prior"],
            format!("must be at least {PAIRS_WITHOUT_PRIOR} without a prior, is {}", self.pairs),
            format!("for example `pairs = {PAIRS_WITHOUT_PRIOR}`"),
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
            verdict_max_steps: 340,
            fine_tune_steps: 0,
            embargo_epochs: 1.0,
            counterfactual: Counterfactual::Twin,
            pairs: 0,
            prior: Prior::Shipped,
            delta: 0.003,
            price_per_param: 0.0,
            price_per_flop: 0.0,
            error_rate: ERROR_RATE,
            level: Level::Verdict,
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
        keys.key(
            "evaluation_share_max",
            &mut self.evaluation_share_max,
            Interval::from(0.0).to(1.0),
        );
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
            evaluation_share_max: 0.5,
            events_max: 100_000_000,
        }
    }
}
