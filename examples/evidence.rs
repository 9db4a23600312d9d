//! Does growth help? Paired seeds of `heuristic` against `off`, `direct` insertion and a static host of the final
//! topology; and how often controls pass the twin test.
//!
//! ```text
//! cargo run --release --example evidence -- arms scenarios/digits_mlp.toml 30
//! cargo run --release --example evidence -- controls scenarios/digits_mlp.toml 100
//! ```

use std::{error::Error, fs, path::Path, sync::Arc};

use esper::{
    engine::{
        data::SplitData, graph::NetworkGraph, runtime::Runtimes,
        world::components::Runtime as HostNumbers,
    },
    prelude::*,
    scenario::Incubation,
    systems::{
        kasmina::paired_interval,
        oona::{GateEvidence, GateJudged},
    },
};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, path, n_seeds] = arguments.as_slice() else {
        return Err("usage: evidence arms|controls SCENARIO N_SEEDS".into());
    };
    let text = fs::read_to_string(path)?;
    let scenario = scenario::parse(&text, path, &[])?;
    let n_seeds: u64 = n_seeds.parse()?;
    let outcome = match what.as_str() {
        "arms" => arms(&scenario, n_seeds),
        "controls" => controls(&scenario, n_seeds),
        _ => Err("the first word is `arms` or `controls`".into()),
    };
    outcome.map_err(|error| error as Box<dyn Error>)
}

/// What one run came to.
struct Outcome {
    summary: Summary,
    graph: NetworkGraph,
    /// Whether any G5 verdict passed, and whether the gate figure was above zero at the first.
    passed_twin: Option<bool>,
    passed_gate: Option<bool>,
}

/// Verdicts of G5, kept by a system of one's own.
#[derive(bevy_ecs::prelude::Resource, Default)]
struct Verdicts(Vec<GateJudged>);

fn keep_verdicts(
    mut judged: bevy_ecs::prelude::MessageReader<GateJudged>,
    mut verdicts: bevy_ecs::prelude::ResMut<Verdicts>,
) {
    verdicts.0.extend(judged.read().filter(|it| it.evidence.gate() == Gate::G5).cloned());
}

fn train(
    scenario: &Scenario,
    host: Option<NetworkGraph>,
    data: &Arc<SplitData>,
) -> Result<Outcome, Failure> {
    use bevy_ecs::prelude::*;
    let mut options = RunOptions::new(scenario.clone()).data(data.clone()).extend(|engine| {
        engine.world_mut().init_resource::<Verdicts>();
        engine.add_systems(Tick, keep_verdicts.in_set(TickSystems::Record));
        Ok(())
    });
    if let Some(host) = host {
        options = options.host(host);
    }
    let mut run = Run::start(options).map_err(|error| error.to_string())?;
    let summary = run.finish().map_err(|error| error.to_string())?;
    let world = run.engine_mut().world_mut();
    let handle = world.query::<&HostNumbers>().iter(world).next().expect("a run has a host").0;
    let graph = (*world.resource::<Runtimes>().get(handle).expect("live").graph).clone();
    let verdicts = &world.resource::<Verdicts>().0;
    let gate_gain = |it: &GateJudged| match it.evidence {
        GateEvidence::G5 { gate_gain, .. } => Some(gate_gain > 0.0),
        _ => None,
    };
    Ok(Outcome {
        summary,
        graph,
        passed_twin: (!verdicts.is_empty())
            .then(|| verdicts.iter().any(|it| it.verdict == GateVerdict::Passed)),
        passed_gate: verdicts.first().and_then(gate_gain),
    })
}

/// Runs `job` for seeds `0..n_seeds` on every core; results come in the order of seeds.
fn for_seeds<T: Send>(
    n_seeds: u64,
    job: impl Fn(u64) -> Result<T, Failure> + Sync + Send,
) -> Result<Vec<T>, Failure> {
    use rayon::prelude::*;
    (0..n_seeds).into_par_iter().map(job).collect()
}

fn single(scenario: &Scenario, seed: u64, policy: &str) -> Scenario {
    let mut scenario = scenario.clone();
    scenario[RUN].seed = seed;
    scenario[RUN].threads = 1;
    scenario[TAMIYO].policy = policy.to_owned();
    scenario
}

fn load(scenario: &Scenario) -> Result<Arc<SplitData>, Failure> {
    let config = DataConfig::new(scenario[DATA].source.clone());
    Ok(Arc::new(data::load(&config, Path::new("."))?))
}

fn arms(scenario: &Scenario, n_seeds: u64) -> Result<(), Failure> {
    let data = load(scenario)?;
    let runs = for_seeds(n_seeds, |seed| {
        let heuristic = train(&single(scenario, seed, "heuristic"), None, &data)?;
        let off = train(&single(scenario, seed, "off"), None, &data)?;
        let mut direct = single(scenario, seed, "heuristic");
        direct[KASMINA].incubation = Incubation::None;
        let direct = train(&direct, None, &data)?;
        let graph = heuristic.graph.clone();
        let fixed = train(&single(scenario, seed, "off"), Some(graph), &data)?;
        Ok([heuristic, off, direct, fixed])
    })?;
    let accuracy = |arm: usize| -> Vec<f64> {
        runs.iter().map(|run| run[arm].summary.scores.test_accuracy.unwrap_or(f64::NAN)).collect()
    };
    println!("{}: {n_seeds} paired seeds", scenario[RUN].name);
    println!(
        "{:<14} {:>9} {:>8} {:>13} {:>10} {:>6} {:>7} {:>10}",
        "arm", "test acc", "sd", "MFLOPs", "params", "kept", "culled", "cancelled"
    );
    for (arm, name) in ["heuristic", "off", "direct", "static_final"].iter().enumerate() {
        let values = accuracy(arm);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>()
            / (values.len() as f64 - 1.0).max(1.0);
        let total =
            |get: fn(&Summary) -> u64| -> u64 { runs.iter().map(|it| get(&it[arm].summary)).sum() };
        println!(
            "{name:<14} {:>7.2} % {:>6.2} % {:>13.1} {:>10.0} {:>6} {:>7} {:>10}",
            100.0 * mean,
            100.0 * variance.sqrt(),
            total(|it| it.flops.total()) as f64 / n_seeds as f64 / 1e6,
            total(|it| it.params_final) as f64 / n_seeds as f64,
            total(|it| it.seeds.fossilized),
            total(|it| it.seeds.culled),
            total(|it| it.seeds.cancelled + it.seeds.rolled_back),
        );
    }
    for (arm, name) in [(1, "off"), (2, "direct"), (3, "static_final")] {
        let gain = paired_interval(&accuracy(0), &accuracy(arm), 0.95);
        println!(
            "heuristic - {name:<13} {:+.2} points, 95 % interval [{:+.2}, {:+.2}]",
            100.0 * gain.mean,
            100.0 * gain.low,
            100.0 * gain.high
        );
    }
    Ok(())
}

fn controls(scenario: &Scenario, n_seeds: u64) -> Result<(), Failure> {
    let data = load(scenario)?;
    println!("{}: {n_seeds} seeds, one graft each", scenario[RUN].name);
    println!(
        "{:<20} {:>7} {:>12} {:>12} {:>9}",
        "module", "judged", "passed twin", "gate > 0", "kept"
    );
    for family in ["noop", "frozen_random", "residual_mlp_wide"] {
        let runs = for_seeds(n_seeds, |seed| {
            let mut scenario = single(scenario, seed, "fixed");
            scenario[KARN].catalogue = vec![family.to_owned()];
            // Controls learn nothing in TRAINING, and G2 would refuse them before the twin could.
            scenario[KASMINA].incubation = match family {
                "residual_mlp_wide" => scenario[KASMINA].incubation,
                _ => Incubation::None,
            };
            let sites = &scenario[HOST].sites;
            let site = sites[sites.len() - 1].clone();
            let appointment = |epoch, action, blueprint: Option<&str>| scenario::ScheduledAction {
                epoch,
                action,
                site: site.clone(),
                blueprint: blueprint.map(str::to_owned),
            };
            let epochs = scenario[RUN].epochs as f64;
            scenario[TAMIYO].timetable = vec![
                appointment((epochs * 0.1).max(1.0), scenario::Action::Germinate, Some(family)),
                appointment((epochs * 0.1).max(1.0), scenario::Action::Graft, None),
            ];
            train(&scenario, None, &data)
        })?;
        let share = |get: fn(&Outcome) -> Option<bool>| {
            let judged: Vec<bool> = runs.iter().filter_map(get).collect();
            let passed = judged.iter().filter(|it| **it).count();
            (judged.len(), 100.0 * passed as f64 / judged.len().max(1) as f64)
        };
        let (n_judged, twin) = share(|it| it.passed_twin);
        let (_, gate) = share(|it| it.passed_gate);
        let kept: u64 = runs.iter().map(|it| it.summary.seeds.fossilized).sum();
        println!("{family:<20} {n_judged:>7} {twin:>10.0} % {gate:>10.0} % {kept:>9}");
    }
    Ok(())
}
