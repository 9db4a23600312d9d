//! What the verdict on a graft (gate G5) rests on: how far two trainings drift apart that were once equal, and how often
//! modules pass that should not, and that should.
//!
//! ```text
//! cargo run --release --example verdicts -- prior        # the table of systems/src/kasmina/gates/prior.rs
//! cargo run --release --example verdicts -- level        # the table of ARCHITECTURE.md
//! ```
//!
//! A number behind it says how many runs a cell of the table rests on, and one behind that, for how many of the ways to
//! judge the level is measured.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
};

use esper::{
    prelude::*,
    scenario::{
        Action, Adam, Cnn, Counterfactual, Curve, Incubation, Level, Network, Optimizer, Prior,
        ScheduledAction, Sgd, Transformer,
    },
    systems::oona::{GateEvidence, GateJudged, TwinEvidence},
};
use rayon::prelude::*;

/// A small host and its data, in which modules are judged at one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arena {
    /// A perceptron with 12 hidden units on MNIST-1D.
    Mlp,
    /// A convolutional network with 3 and 4 channels and dropout on 8x8 digits.
    Cnn,
    /// A decoder of 2 blocks of width 12 with dropout on Hamlet.
    Transformer,
}

/// What is grafted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graft {
    /// Nothing: host and twin differ by their random streams, which is the true null.
    Aa,
    /// A module that computes nothing.
    Noop,
    /// A random module that never learns.
    FrozenRandom,
    /// A random module that is blended in and out again.
    Bump,
    /// A module that learns something of use.
    Useful,
}

impl Arena {
    /// Every arena.
    pub const ALL: [Self; 3] = [Self::Mlp, Self::Cnn, Self::Transformer];

    fn scenario(self) -> Scenario {
        let mut scenario = scenario::defaults();
        scenario[RUN].name = "verdicts".to_owned();
        (scenario[RUN].epochs, scenario[RUN].steps_per_tick, scenario[RUN].threads) = (20, 4, 1);
        scenario[DATA].batch = 64;
        scenario[TRAIN].optimizer = Optimizer::AdamW(Adam { lr: 1e-2, ..Adam::default() });
        scenario[URABRASK].bench_repeats = 3;
        let host = match self {
            Self::Mlp => {
                scenario[DATA].source = "mnist1d".to_owned();
                scenario::Host::mlp([40, 12, 10])
            }
            Self::Cnn => {
                scenario[DATA].source = "digits".to_owned();
                scenario[DATA].augment.crop_padding = 1;
                let cnn = Cnn { channels: vec![3, 4], dropout: 0.1, ..Cnn::default() };
                scenario::Host::new(Network::Cnn(cnn))
            }
            Self::Transformer => {
                scenario[DATA].source = "hamlet".to_owned();
                (scenario[DATA].context, scenario[DATA].batch) = (16, 32);
                // An epoch is 34 batches.
                (scenario[DATA].validation_share, scenario[DATA].test_share) = (0.04, 0.86);
                let network = Transformer {
                    layers: 2,
                    width: 12,
                    heads: 2,
                    mlp_width: 16,
                    dropout: 0.1,
                    ..Transformer::default()
                };
                scenario::Host::new(Network::Transformer(network))
            }
        };
        scenario[HOST] = host;
        scenario[HOST].sites = vec![self.site().to_owned()];
        scenario
    }

    const fn site(self) -> &'static str {
        match self {
            Self::Mlp => "input",
            Self::Cnn => "stage2.out",
            Self::Transformer => "block1.out",
        }
    }

    const fn useful(self) -> &'static str {
        match self {
            Self::Mlp => "residual_mlp_wide",
            Self::Cnn => "conv3x3",
            Self::Transformer => "attention",
        }
    }

    /// A run of seed `seed` in which `graft` is judged once.
    pub fn run(self, graft: Graft, seed: u64) -> Scenario {
        let mut scenario = self.scenario();
        scenario[RUN].seed = seed;
        let blueprint = match graft {
            Graft::Aa | Graft::Noop => "noop",
            Graft::FrozenRandom | Graft::Bump => "frozen_random",
            Graft::Useful => self.useful(),
        };
        scenario[LIMITS].evaluation_share_max = 1.0;
        scenario[KARN].catalogue = vec![blueprint.to_owned()];
        // A control learns nothing, so that G2 would refuse it before the twin could.
        if graft != Graft::Useful {
            scenario[KASMINA].incubation = Incubation::None;
        }
        (scenario[KASMINA].train_min_steps, scenario[KASMINA].train_max_steps) = (200, 400);
        match graft {
            Graft::Aa => scenario[KASMINA].counterfactual = Counterfactual::OtherStream,
            Graft::Bump => {
                scenario[KASMINA].curve = Curve::Bump;
            }
            // A decoder whose own attention stays as it was drawn is short of one.
            Graft::Useful if self == Self::Transformer => {
                scenario[TRAIN].freeze = vec!["*.attn.*".to_owned()];
            }
            Graft::Noop | Graft::FrozenRandom | Graft::Useful => {}
        }
        scenario[TAMIYO].policy = "fixed".to_owned();
        scenario[TAMIYO].timetable = timetable(&scenario[HOST].sites[0], blueprint);
        scenario
    }
}

fn timetable(site: &str, blueprint: &str) -> Vec<ScheduledAction> {
    let at = |action, blueprint: Option<&str>| ScheduledAction {
        epoch: 2.0,
        action,
        site: site.to_owned(),
        blueprint: blueprint.map(str::to_owned),
    };
    vec![at(Action::Germinate, Some(blueprint)), at(Action::Graft, None)]
}

/// What a run's verdict was: every look, and whether it passed.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What each look saw.
    pub looks: Vec<TwinEvidence>,
    /// Whether one of them passed.
    pub has_passed: bool,
}

/// Runs `scenario` and reads G5.
///
/// # Panics
///
/// If the run fails.
pub fn judge(scenario: Scenario) -> Verdict {
    let found = Arc::new(Mutex::new(Verdict::default()));
    let kept = found.clone();
    let mut run = Run::start(scenario).expect("it begins");
    let keep = move |event: &Event| {
        let Some(judged) = event.get::<GateJudged>() else { return };
        let GateEvidence::G5(seen) = judged.evidence else { return };
        let mut verdict = kept.lock().expect("nothing panics here");
        verdict.looks.push(seen);
        verdict.has_passed |= judged.verdict == GateVerdict::Passed;
    };
    run.subscribe(keep).expect("a run takes subscribers");
    run.finish().expect("it ends");
    found.lock().expect("nothing panics here").clone()
}

/// How many of the runs of seeds 0 to `n` passed.
pub fn count_passed(arena: Arena, graft: Graft, n: u64, adapt: fn(&mut Scenario)) -> u64 {
    let passes = |seed| {
        let mut scenario = arena.run(graft, seed);
        adapt(&mut scenario);
        let verdict = judge(scenario);
        assert!(!verdict.looks.is_empty(), "{arena:?} {graft:?} {seed}: judged");
        u64::from(verdict.has_passed)
    };
    (0..n).into_par_iter().map(passes).sum()
}

/// A way to judge, by name.
type Way = (&'static str, fn(&mut Scenario));

const WAYS: [Way; 4] = [
    ("one pair", |_| {}),
    ("two pairs", |scenario| scenario[KASMINA].pairs = 2),
    ("four pairs, no prior", |scenario| scenario[KASMINA].prior = Prior::None),
    ("one pair, level of the run", |scenario| scenario[KASMINA].level = Level::Run),
];

fn print_levels(n: u64, n_ways: usize) {
    let ways = &WAYS[..n_ways.min(WAYS.len())];
    let names: Vec<&str> = ways.iter().map(|(name, _)| *name).collect();
    println!("| host | grafted | {} |", names.join(" | "));
    println!("| --- | --- |{}", " --- |".repeat(ways.len()));
    for arena in Arena::ALL {
        for graft in [Graft::Aa, Graft::Noop, Graft::Bump, Graft::FrozenRandom, Graft::Useful] {
            let cell = |(_, adapt): &Way| {
                let passed = count_passed(arena, graft, n, *adapt);
                let upper = binomial_upper(passed, n);
                format!("{passed} of {n} (at most {:.1} %)", 100.0 * upper)
            };
            let cells: Vec<String> = ways.iter().map(cell).collect();
            println!("| {arena:?} | {graft:?} | {} |", cells.join(" | "));
        }
    }
}

/// What useful modules add, look by look.
fn print_gains(n: u64) {
    println!("| host | seed | look | gain, of the loss | drift | sampling | t | needed |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for arena in Arena::ALL {
        for seed in 0..n {
            for it in judge(arena.run(Graft::Useful, seed)).looks {
                let share = |value: f64| format!("{:.4}", value / it.twin_loss);
                println!(
                    "| {arena:?} | {seed} | {} | {} | {} | {} | {:.2} | {:.2} |",
                    it.look,
                    share(it.gain),
                    share(it.drift_sd),
                    share(it.sample_error),
                    it.t.unwrap_or(f64::NAN),
                    it.t_needed
                );
            }
        }
    }
}

/// The upper end of the two-sided 95 % interval of a share (Clopper and Pearson 1934), by bisection.
fn binomial_upper(k: u64, n: u64) -> f64 {
    let at_most_k = |p: f64| {
        let (mut term, mut sum) = ((1.0 - p).powi(n as i32), 0.0);
        for i in 0..=k {
            sum += term;
            term *= (n - i) as f64 / (i + 1) as f64 * p / (1.0 - p);
        }
        sum
    };
    let (mut low, mut high) = (k as f64 / n as f64, 1.0 - 1e-12);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if 0.025 < at_most_k(middle) { low = middle } else { high = middle }
    }
    high
}

/// Steps from the fork to the looks that the prior is measured at.
const LOOKS_STEPS: [u64; 3] = [140, 240, 340];

fn print_prior(n: u64) {
    println!("| host | optimizer | ratio at 140, 240, 340 steps | df |");
    println!("| --- | --- | --- | --- |");
    for arena in Arena::ALL {
        for is_adaptive in [true, false] {
            let of_look = |steps| fit_t(&drifts(arena, is_adaptive, steps, n));
            let fits = LOOKS_STEPS.map(of_look);
            let ratios = fits.map(|(scale, _)| format!("{scale:.4}")).join(", ");
            let df = fits.map(|(_, df)| df).into_iter().fold(f64::INFINITY, f64::min);
            let name = if is_adaptive { "adamw" } else { "sgd" };
            println!("| {arena:?} | {name} | {ratios} | {df:.0} |");
        }
    }
}

/// Gains of A/A pairs by drift alone, as shares of the twin's loss, each with the share by the choice of examples.
fn drifts(arena: Arena, is_adaptive: bool, steps: u64, n: u64) -> Vec<(f64, f64)> {
    let measure = |seed: u64| {
        // Seeds of their own: what the level is measured on is not what the prior was.
        let mut scenario = arena.run(Graft::Aa, 1_000_000 + seed);
        if !is_adaptive {
            let sgd = Sgd { lr: 0.1, momentum: 0.9, ..Sgd::default() };
            scenario[TRAIN].optimizer = Optimizer::Sgd(sgd);
        }
        // Forks over the first third of the run.
        let epoch = 1.0 + 0.25 * (seed % 20) as f64;
        scenario[TAMIYO].timetable.iter_mut().for_each(|it| it.epoch = epoch);
        let kasmina = &mut scenario[KASMINA];
        (kasmina.verdict_after_steps, kasmina.verdict_max_steps) = (steps, steps);
        let look = judge(scenario).looks[0];
        (look.gain / look.twin_loss, look.sample_error / look.twin_loss)
    };
    (0..n).into_par_iter().map(measure).collect()
}

/// Scale and degrees of freedom of the t distribution that `drifts` follow beside their errors of sampling, by maximum
/// likelihood over a grid; 3 to 12 degrees of freedom.
fn fit_t(drifts: &[(f64, f64)]) -> (f64, f64) {
    let mut best = (f64::NEG_INFINITY, 0.0, 0.0);
    let mean_square = drifts.iter().map(|(g, _)| g * g).sum::<f64>() / drifts.len() as f64;
    for df in 3..=12 {
        for step in 1..=200 {
            let scale = mean_square.sqrt() * f64::from(step) / 100.0;
            let likelihood: f64 = drifts
                .iter()
                .map(|(g, error)| {
                    let spread = scale.hypot(*error);
                    log_t((g / spread).powi(2), f64::from(df)) - spread.ln()
                })
                .sum();
            if best.0 < likelihood {
                best = (likelihood, scale, f64::from(df));
            }
        }
    }
    (best.1, best.2)
}

/// Log density of Student's t with `df` degrees of freedom where its square is `t2`, to a constant that `df` sets.
fn log_t(t2: f64, df: f64) -> f64 {
    let half = 0.5 * df;
    log_gamma(half + 0.5) - log_gamma(half) - 0.5 * df.ln() - (half + 0.5) * (t2 / df).ln_1p()
}

/// `ln gamma(x)` for multiples of a half from 1 on, by its recurrence.
fn log_gamma(x: f64) -> f64 {
    let (mut at, mut sum) =
        if x.fract() == 0.0 { (1.0, 0.0) } else { (0.5, 0.5 * std::f64::consts::PI.ln()) };
    while at + 0.5 < x {
        sum += f64::ln(at);
        at += 1.0;
    }
    sum
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (what, n, n_ways) = (args.next(), args.next(), args.next());
    let n = n.map_or(Ok(200), |n| n.parse());
    let n_ways = n_ways.map_or(Ok(WAYS.len()), |n| n.parse());
    match (what.as_deref(), n, n_ways) {
        (Some("prior"), Ok(n), _) => print_prior(n),
        (Some("level"), Ok(n), Ok(n_ways)) => print_levels(n, n_ways),
        (Some("gains"), Ok(n), _) => print_gains(n),
        _ => {
            eprintln!("usage: verdicts prior|level|gains [RUNS [WAYS]]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
