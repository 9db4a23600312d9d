//! `esper check`: whether a scenario would run, and what it would train.

use std::fmt::Write;

use clap::Args as ClapArgs;
use esper::{
    Plan,
    engine::data::{Dataset, Targets},
};
use serde::Serialize;

use super::{failure::Failure, source::ScenarioArgs, voice::Voice};

/// Arguments of `esper check`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Checks a scenario.
pub fn execute(args: &Args, voice: Voice) -> Result<(), Failure> {
    let plan = args.scenario.load()?.plan;
    voice.answer("check", &Answer::new(&plan), table(&plan).trim_end());
    Ok(())
}

/// A [`Plan`] in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    scenario: &'a str,
    seed: u64,
    n_hosts: usize,
    source: &'a str,
    n_train: usize,
    n_validation: usize,
    n_test: usize,
    n_features: usize,
    n_outputs: usize,
    layers: &'a [esper::Layer],
    sites: &'a [(String, Vec<usize>)],
    params: u64,
    flops_per_step: u64,
    steps_per_epoch: u64,
    epochs: u64,
    steps: u64,
    policy: String,
    catalogue: &'a [String],
}

impl<'a> Answer<'a> {
    fn new(plan: &'a Plan) -> Self {
        let Plan { scenario, data, .. } = plan;
        Self {
            scenario: &scenario.run.name,
            seed: scenario.run.seed,
            n_hosts: scenario.run.replicas,
            source: &scenario.data.source,
            n_train: data.train.len(),
            n_validation: data.validation.len(),
            n_test: data.test.len(),
            n_features: data.train.elems(),
            n_outputs: data.train.targets.n_outputs(),
            layers: &plan.layers,
            sites: &plan.sites,
            params: plan.params_elems,
            flops_per_step: plan.flops_per_step,
            steps_per_epoch: plan.steps_per_epoch,
            epochs: scenario.run.epochs,
            steps: plan.total_steps,
            policy: scenario.tamiyo.policy.to_string(),
            catalogue: &plan.families,
        }
    }
}

fn table(plan: &Plan) -> String {
    let Plan { scenario, data, .. } = plan;
    let run = &scenario.run;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<11}{value}").expect("a string takes all");
    };
    let hosts = if run.replicas == 1 { "1 host".into() } else { format!("{} hosts", run.replicas) };
    row("scenario", format!("{}, seed {}, {hosts}", run.name, run.seed));
    row(
        "data",
        data_text(&scenario.data.source, &data.train, data.validation.len(), data.test.len()),
    );
    let [layers, shapes, params] = layer_columns(plan);
    let [wide, wider] = [&layers, &shapes].map(|it| it.iter().map(String::len).max().unwrap_or(0));
    for (index, (layer, (shape, params))) in
        layers.iter().zip(shapes.iter().zip(&params)).enumerate()
    {
        let name = if index == 0 { "host" } else { "" };
        row(name, format!("{layer:<wide$}  {shape:<wider$}  {params:>9}").trim_end().to_owned());
    }
    row("params", format!("{} of at most {}", plan.params_elems, scenario.limits.params_max));
    let sites = plan.sites.iter().map(|(name, shape)| format!("{name} {}", shape_text(shape)));
    row("sites", or_none(sites.collect::<Vec<_>>().join(", ")));
    row(
        "work",
        format!(
            "{} steps: {} epochs of {}; {} FLOPs a step and host",
            plan.total_steps, run.epochs, plan.steps_per_epoch, plan.flops_per_step
        ),
    );
    row("policy", scenario.tamiyo.policy.to_string());
    let families = or_none(plan.families.join(", "));
    row("catalogue", format!("{} families: {families}", plan.families.len()));
    text
}

/// Name and op, shape, and parameters of every layer.
fn layer_columns(plan: &Plan) -> [Vec<String>; 3] {
    let params = |n: u64| if n == 0 { String::new() } else { n.to_string() };
    [
        plan.layers.iter().map(|it| format!("{} ({})", it.name, it.op)).collect(),
        plan.layers.iter().map(|it| shape_text(&it.shape)).collect(),
        plan.layers.iter().map(|it| params(it.params_elems)).collect(),
    ]
}

fn data_text(source: &str, train: &Dataset, n_validation: usize, n_test: usize) -> String {
    let targets = match &train.targets {
        Targets::Classes { n_classes, .. } => format!("{n_classes} classes"),
        Targets::Values { width, .. } => format!("{width} values"),
        Targets::NextTokens(windows) => format!("a vocabulary of {}", windows.vocabulary()),
    };
    format!(
        "{source}: {} examples to train on, {n_validation} to validate, {n_test} to test; {} features, {targets}",
        train.len(),
        train.elems(),
    )
}

fn shape_text(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("f32[batch, {}]", axes.join(", "))
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
