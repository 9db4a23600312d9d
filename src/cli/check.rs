//! `esper check`: whether a scenario would run, and what it would train.

use std::fmt::Write;

use clap::Args as ClapArgs;
use esper::{
    HostPlan, Plan,
    data::{Dataset, Targets},
    scenario::{DATA, HOST, Host, LIMITS, RUN, TAMIYO},
    systems::tamiyo::life_steps,
};
use esper_nn::contract::Contract;
use serde::Serialize;

use super::{failure::Failure, output::Output, source::ScenarioArgs};

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
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    let plan = args.scenario.plan()?;
    output.print_result("check", &Answer::new(&plan), table(&plan).trim_end());
    Ok(())
}

/// A [`Plan`] in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    scenario: &'a str,
    seed: u64,
    n_hosts: u64,
    source: &'a str,
    n_train: usize,
    n_validation: usize,
    n_test: usize,
    example_shape: &'a [usize],
    n_features: usize,
    n_outputs: usize,
    vocabulary: Option<usize>,
    host: String,
    init: Option<&'a str>,
    layers: &'a [esper::Layer],
    sites: Vec<Site<'a>>,
    params: u64,
    params_frozen: u64,
    flops_per_example: u64,
    flops_per_step: u64,
    steps_per_epoch: u64,
    epochs: u64,
    steps: u64,
    device: &'a str,
    policy: String,
    /// Of a seed, from germination to the last look of its verdict.
    steps_to_verdict: u64,
    catalogue: &'a [String],
}

/// Where a seed is planted, and what its modules keep.
#[derive(Serialize)]
struct Site<'a> {
    name: &'a str,
    shape: Vec<usize>,
    /// What a span writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_shape: Option<Vec<usize>>,
    is_causal: bool,
}

impl<'a> Answer<'a> {
    fn new(plan: &'a Plan) -> Self {
        let scenario = &plan.scenario;
        let host = &plan.hosts[0];
        let data = &host.data;
        Self {
            scenario: &scenario[RUN].name,
            seed: scenario[RUN].seed,
            n_hosts: host.n_hosts,
            source: &scenario[DATA].source,
            n_train: data.train.len(),
            n_validation: data.validation.len(),
            n_test: data.test.len(),
            example_shape: &data.train.example_shape,
            n_features: data.train.elems(),
            n_outputs: data.train.targets.n_outputs(),
            vocabulary: data.train.vocabulary(),
            host: scenario[HOST].kind().to_string(),
            init: scenario[HOST].init.as_deref(),
            layers: &host.layers,
            sites: host.sites.iter().map(Site::new).collect(),
            params: host.params_elems,
            params_frozen: host.n_frozen,
            flops_per_example: host.flops_per_example,
            flops_per_step: host.flops_per_step,
            steps_per_epoch: host.steps_per_epoch,
            epochs: scenario[RUN].epochs,
            steps: host.total_steps,
            device: &plan.device,
            policy: scenario[TAMIYO].policy.to_string(),
            steps_to_verdict: life_steps(scenario),
            catalogue: &plan.families,
        }
    }
}

impl<'a> Site<'a> {
    fn new((name, contract): &'a (String, Contract)) -> Self {
        let output_shape = contract.layer().map(|_| contract.output_shape());
        Self { name, shape: contract.shape(), output_shape, is_causal: contract.is_causal() }
    }
}

fn table(plan: &Plan) -> String {
    let Plan { scenario, device, .. } = plan;
    // A scenario alone describes equal hosts.
    let host = &plan.hosts[0];
    let (run, data) = (&scenario[RUN], &host.data);
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<11}{value}").expect("a string takes all");
    };
    let hosts = if host.n_hosts == 1 { "1 host".into() } else { format!("{} hosts", host.n_hosts) };
    row("scenario", format!("{}, seed {}, {hosts}", run.name, run.seed));
    row(
        "data",
        data_text(&scenario[DATA].source, &data.train, data.validation.len(), data.test.len()),
    );
    row("host", scenario[HOST].kind().to_string());
    let mut rows = |name: &str, lines: Vec<String>| {
        for (index, line) in lines.into_iter().enumerate() {
            row(if index == 0 { name } else { "" }, line);
        }
    };
    rows("init", vec![init_text(&scenario[HOST])]);
    rows("layers", layer_lines(host));
    rows("sites", site_lines(host));
    let frozen = match host.n_frozen {
        0 => String::new(),
        n => format!("; {n} of them are frozen"),
    };
    let limit = scenario[LIMITS].params_max;
    row("params", format!("{} of at most {limit}{frozen}", host.params_elems));
    row(
        "work",
        format!(
            "{} steps: {} epochs of {}; {} FLOPs an example, {} a step and host",
            host.total_steps,
            run.epochs,
            host.steps_per_epoch,
            host.flops_per_example,
            host.flops_per_step
        ),
    );
    row("device", device.clone());
    row("policy", scenario[TAMIYO].policy.to_string());
    if scenario[TAMIYO].policy == "heuristic" {
        row("growth", growth_text(plan, host));
    }
    let families = or_none(plan.families.join(", "));
    row("catalogue", format!("{} families: {families}", plan.families.len()));
    text
}

/// Whether the run is long enough for a race and the verdict on what it grafts, and until when one may begin.
fn growth_text(plan: &Plan, host: &HostPlan) -> String {
    let (life, total) = (life_steps(&plan.scenario), host.total_steps);
    let Some(last) = total.checked_sub(life) else {
        return format!(
            "none: a race and its verdict take {life} steps, and the run has {total}; train for more epochs, or lower \
             `kasmina.train_min_steps` or `kasmina.verdict_max_steps`"
        );
    };
    let until = (plan.scenario[TAMIYO].germinate_until_share * total as f64).ceil() as u64;
    format!("a race and its verdict take {life} steps; none begins after step {}", last.min(until))
}

/// A line a layer: name and op, shape, and parameters.
fn layer_lines(host: &HostPlan) -> Vec<String> {
    let names: Vec<String> =
        host.layers.iter().map(|it| format!("{} ({})", it.name, it.op)).collect();
    let shapes: Vec<String> = host.layers.iter().map(|it| shape_text(&it.shape)).collect();
    let [wide, wider] = [&names, &shapes].map(|it| it.iter().map(String::len).max().unwrap_or(0));
    let params = |n: u64| if n == 0 { String::new() } else { n.to_string() };
    let line = |(layer, (name, shape)): (&esper::Layer, (&String, &String))| {
        let params = params(layer.params_elems);
        format!("{name:<wide$}  {shape:<wider$}  {params:>9}").trim_end().to_owned()
    };
    host.layers.iter().zip(names.iter().zip(&shapes)).map(line).collect()
}

/// A line a site: name and contract.
fn site_lines(host: &HostPlan) -> Vec<String> {
    let wide = host.sites.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, contract): &(String, Contract)| {
        let causal = if contract.is_causal() { " causal" } else { "" };
        let output = contract.layer().map(|_| contract.output_shape());
        let to = output.map_or(String::new(), |output| format!(" -> {}", shape_text(&output)));
        format!("{name:<wide$} {}{to}{causal}", shape_text(&contract.shape()))
    };
    if host.sites.is_empty() {
        return vec![or_none(String::new())];
    }
    host.sites.iter().map(line).collect()
}

fn data_text(source: &str, train: &Dataset, n_validation: usize, n_test: usize) -> String {
    let (example, targets) = match &train.targets {
        Targets::Classes { n_classes, .. } => {
            (shape_text(&train.example_shape), format!("{n_classes} classes"))
        }
        Targets::Values { width, .. } => {
            (shape_text(&train.example_shape), format!("{width} values"))
        }
        Targets::NextTokens(windows) => (
            format!("{} tokens each", windows.context()),
            format!("a vocabulary of {}", windows.vocabulary()),
        ),
    };
    format!(
        "{source}: {} examples to train on, {n_validation} to validate, {n_test} to test; {example}, {targets}",
        train.len(),
    )
}

/// Where the first weights come from.
fn init_text(host: &Host) -> String {
    match (&host.init, &host.init_skip[..]) {
        (None, _) => "drawn at random".to_owned(),
        (Some(file), []) => format!("from {file}"),
        (Some(file), skip) => format!("from {file}, but for {}, drawn at random", skip.join(", ")),
    }
}

fn shape_text(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("f32[batch, {}]", axes.join(", "))
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
