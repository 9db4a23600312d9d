//! The hosts that a scenario asks for, for the data it names; and whether the two fit.

mod examples;
mod file;
mod spec;

pub use spec::HostSpec;

use std::{ops::Range, path::Path, sync::Arc};

use esper_data::SplitData;
use esper_engine::runtime::StateDict;
use esper_nn::{
    glob,
    graph::{CnnConfig, GraphError, NetworkGraph},
    program::{CompileOptions, Program},
    suggest,
};

use self::{
    examples::Examples,
    file::{check_graph, read_graph, read_init, unfit},
};
use crate::{
    RunError,
    scenario::RUN,
    scenario::{
        Cnn, DATA, HOST, KASMINA, LIMITS, Limits, Mlp, Network, Scenario, TAMIYO, TRAIN,
        Transformer, TransformerForm,
    },
};

/// Equal hosts that fit their data and their limits.
pub(crate) struct HostGroup {
    /// Their names, which are also their random streams unless they have a `seed` of their own.
    pub ids: Range<u64>,
    pub seed: Option<u64>,
    pub graph: Arc<NetworkGraph>,
    pub program: Arc<Program>,
    pub data: Arc<SplitData>,
    /// Whether the data was given in place of what the scenario names.
    pub has_own_data: bool,
    /// What they begin with; drawn from their streams where there is none.
    pub init: Option<StateDict>,
}

/// The most hosts of a run; `run.replicas` has the same limit.
const HOSTS_MAX: u64 = 4096;

/// The hosts of a run: those of `specs`, one after the other or, where there are none, those of `scenario`. `data` is
/// what the scenario names, needed by specifications without their own, and relative paths start at `base_dir`. Weights
/// to begin with are read if the run `is_new`.
///
/// # Errors
///
/// Fails at the scenario's key that does not fit: a network for other data, an image too small for its stages, a file
/// that is not there or holds another host, a host beyond a limit.
pub(crate) fn build_all(
    scenario: &Scenario,
    specs: Vec<HostSpec>,
    data: Option<&Arc<SplitData>>,
    base_dir: &Path,
    is_new: bool,
) -> Result<Vec<HostGroup>, RunError> {
    let specs = if specs.is_empty() { vec![HostSpec::new()] } else { specs };
    let mut groups = Vec::with_capacity(specs.len());
    let mut n_hosts = 0;
    for HostSpec { graph, data: own_data, init, replicas, seed } in specs {
        let has_own_data = own_data.is_some();
        let data = own_data.or_else(|| data.cloned()).expect("the scenario's data was loaded");
        let (graph, program) = build(scenario, graph, &data, base_dir)?;
        let init = match is_new {
            true => find_init(scenario, base_dir, init, (&graph, &program))?,
            false => None,
        };
        let ids = n_hosts..n_hosts + replicas.unwrap_or(scenario[RUN].replicas) as u64;
        n_hosts = ids.end;
        groups.push(HostGroup { ids, seed, graph, program, data, has_own_data, init });
    }
    if !(1..=HOSTS_MAX).contains(&n_hosts) {
        let message = format!("a run has 1 to {HOSTS_MAX} hosts, and this one {n_hosts}");
        return Err(unfit("run.replicas", message, "give its hosts other numbers of replicas"));
    }
    Ok(groups)
}

/// The network of `scenario`, or `given` in its place, for `data`.
fn build(
    scenario: &Scenario,
    given: Option<NetworkGraph>,
    data: &SplitData,
    base_dir: &Path,
) -> Result<(Arc<NetworkGraph>, Arc<Program>), RunError> {
    let examples = Examples::new(&scenario[DATA].source, &data.train);
    let is_given = given.is_some();
    let graph = match given {
        Some(graph) => {
            check_graph(&graph, &examples, "host")?;
            graph
        }
        None => build_network(scenario, &examples, base_dir)?,
    };
    let key = match &scenario[HOST].network {
        _ if is_given => "host",
        Network::Graph(_) => "host.file",
        _ => "host.sites",
    };
    let freeze = &scenario[TRAIN].freeze;
    let program =
        Program::compile_frozen(&graph, CompileOptions::HOST, freeze).map_err(|error| {
            unfit(key, error.to_string(), "place sites elsewhere, or leave them out")
        })?;
    check_patterns("train.freeze", freeze, &program)?;
    if let (Network::Graph(_), false) = (&scenario[HOST].network, is_given) {
        check_sites(scenario, &program)?;
    }
    check_limits(scenario, &graph, &program)?;
    Ok((Arc::new(graph), Arc::new(program)))
}

/// What new hosts begin with: the weights `given`, or those in the file that `host.init` names.
fn find_init(
    scenario: &Scenario,
    base_dir: &Path,
    given: Option<StateDict>,
    (graph, program): (&NetworkGraph, &Program),
) -> Result<Option<StateDict>, RunError> {
    let (name, weights) = match (given, scenario[HOST].init.as_deref()) {
        (Some(weights), _) => ("the weights given".to_owned(), weights),
        (None, Some(name)) => (format!("`{name}`"), read_init(name, base_dir)?),
        (None, None) => return Ok(None),
    };
    let skip = &scenario[HOST].init_skip;
    let names: Vec<&str> = weights.iter().map(|(name, _)| name).collect();
    let own = program.params.iter().map(|param| param.spec.name.as_str());
    if let Some(place) = glob::unmatched(skip, names.into_iter().chain(own)) {
        let message = format!("\"{}\" stands for no tensor of the host or of {name}", skip[place]);
        let help = "PYTORCH.md has the names and shapes of every host";
        return Err(unfit(&format!("host.init_skip[{place}]"), message, help));
    }
    let weights = weights.without(skip);
    weights.check_but(graph, program, skip).map_err(|mismatch| {
        let help =
            "PYTORCH.md has the names and shapes of every host; `host.init_skip` draws some anew";
        unfit("host.init", format!("{name}: {mismatch}"), help)
    })?;
    Ok(Some(weights))
}

fn build_network(
    scenario: &Scenario,
    examples: &Examples<'_>,
    base_dir: &Path,
) -> Result<NetworkGraph, RunError> {
    let sites = &scenario[HOST].sites;
    match &scenario[HOST].network {
        Network::Mlp(mlp) => build_mlp(mlp, examples, sites),
        Network::Cnn(cnn) => build_cnn(cnn, examples, sites),
        Network::Transformer(transformer) => build_transformer(transformer, examples, sites),
        Network::Graph(graph) => {
            let graph = read_graph(&graph.file, base_dir)?;
            check_graph(&graph, examples, "host.file")?;
            Ok(graph)
        }
    }
}

fn build_mlp(
    mlp: &Mlp,
    examples: &Examples<'_>,
    sites: &[String],
) -> Result<NetworkGraph, RunError> {
    if examples.vocabulary.is_some() {
        return Err(no_reader_of_text("a perceptron reads vectors", examples));
    }
    let layers = &mlp.layers;
    let ends = [
        ("first", layers[0], examples.elems()),
        ("last", layers[layers.len() - 1], examples.n_outputs),
    ];
    for (what, found, wanted) in ends {
        if found != wanted {
            let message =
                format!("the {what} layer has width {found}, and should have {wanted}: {examples}");
            let help = format!("write {wanted} in place of {found} in {layers:?}");
            return Err(unfit("host.layers", message, help));
        }
    }
    NetworkGraph::mlp(&mlp.config(sites), examples.loss).map_err(out_of_range)
}

fn build_cnn(
    cnn: &Cnn,
    examples: &Examples<'_>,
    sites: &[String],
) -> Result<NetworkGraph, RunError> {
    let input = image_for("a convolutional network reads images", examples)?;
    let config = cnn.config(input, examples.n_outputs, sites);
    NetworkGraph::cnn(&config, examples.loss).map_err(|error| match error {
        GraphError::ImageTooSmall { .. } => {
            let help = match n_stages_that_fit(&config, examples) {
                0 => format!("{examples}: use a perceptron, `kind = \"mlp\"`"),
                n => format!("for example `channels = {:?}`", &cnn.channels[..n]),
            };
            unfit("host.channels", error.to_string(), help)
        }
        error => out_of_range(error),
    })
}

/// How many of the first stages images are large enough for.
fn n_stages_that_fit(config: &CnnConfig, examples: &Examples<'_>) -> usize {
    let first = |n: usize| CnnConfig {
        channels: config.channels[..n].to_vec(),
        blocks: config.blocks[..n].to_vec(),
        sites: Vec::new(),
        ..config.clone()
    };
    let fits = |n: &usize| NetworkGraph::cnn(&first(*n), examples.loss).is_ok();
    (1..config.channels.len()).rev().find(fits).unwrap_or(0)
}

fn build_transformer(
    transformer: &Transformer,
    examples: &Examples<'_>,
    sites: &[String],
) -> Result<NetworkGraph, RunError> {
    match (transformer.form, examples.vocabulary) {
        (TransformerForm::Decoder { tied }, Some(vocabulary)) => {
            let config = transformer.decoder_config(tied, [vocabulary, examples.elems()], sites);
            NetworkGraph::transformer(&config).map_err(out_of_range)
        }
        (TransformerForm::Decoder { .. }, None) => {
            let message = format!("a decoder reads text, and {examples}");
            let help = "write `form = \"vit\"` with a `patch`, or `kind = \"cnn\"`";
            Err(unfit("host.form", message, help))
        }
        (TransformerForm::Vit { .. }, Some(_)) => {
            let message = format!("a vision transformer reads images, and {examples}");
            Err(unfit("host.form", message, "write `form = \"decoder\"`"))
        }
        (TransformerForm::Vit { patch }, None) => build_vit(transformer, patch, examples, sites),
    }
}

fn build_vit(
    transformer: &Transformer,
    patch: usize,
    examples: &Examples<'_>,
    sites: &[String],
) -> Result<NetworkGraph, RunError> {
    let input = image_for("a vision transformer reads images", examples)?;
    let [_, height, width] = input;
    let tiles = |side: &usize| height.is_multiple_of(*side) && width.is_multiple_of(*side);
    if !tiles(&patch) {
        let sides: Vec<String> =
            (1..=height.min(width)).filter(tiles).map(|side| side.to_string()).collect();
        let message =
            format!("patches of {patch}x{patch} do not tile the {height}x{width} of an image");
        return Err(unfit("host.patch", message, format!("sides that do: {}", sides.join(", "))));
    }
    let config = transformer.vit_config(patch, input, examples.n_outputs, sites);
    NetworkGraph::vit(&config, examples.loss).map_err(out_of_range)
}

/// An example as an image, for a network of which `what` says that it reads such.
fn image_for(what: &str, examples: &Examples<'_>) -> Result<[usize; 3], RunError> {
    if examples.vocabulary.is_some() {
        return Err(no_reader_of_text(what, examples));
    }
    examples.image().ok_or_else(|| {
        let message = format!("{what} of at most 3 axes, and {examples}");
        unfit("host.kind", message, "reshape them to [channels, height, width]")
    })
}

fn no_reader_of_text(what: &str, examples: &Examples<'_>) -> RunError {
    unfit("host.kind", format!("{what}, and {examples}"), "write `kind = \"transformer\"`")
}

/// What a builder refuses although every key is in range: together they ask for too much.
fn out_of_range(error: GraphError) -> RunError {
    match error {
        GraphError::HostSetting { key, what } => {
            unfit(&format!("host.{key}"), what, "see the documentation of `[host]` for its range")
        }
        error => unfit("host", error.to_string(), "make the network smaller"),
    }
}

/// A graph's sites come from its file, so that what the scenario says of them is checked here.
fn check_sites(scenario: &Scenario, program: &Program) -> Result<(), RunError> {
    let sites: Vec<&str> = program.sites.iter().map(|site| site.name.as_str()).collect();
    let policy = &scenario[TAMIYO].policy;
    if sites.is_empty() && policy != esper_systems::tamiyo::OFF {
        let message = format!("it has no site for policy \"{policy}\" to grow at");
        return Err(unfit(
            "host.file",
            message,
            "add a node with `op = \"site\"` to it, or write `policy = \"off\"`",
        ));
    }
    for (index, entry) in scenario[TAMIYO].timetable.iter().enumerate() {
        if !sites.contains(&entry.site.as_str()) {
            let key = format!("tamiyo.timetable[{index}].site");
            let nearest = suggest::nearest(&entry.site, sites.iter().copied());
            let nearest = suggest::before_list(nearest);
            let message = format!("the graph has no site \"{}\"", entry.site);
            return Err(unfit(&key, message, format!("{nearest}sites: {}", sites.join(", "))));
        }
    }
    Ok(())
}

/// Refuses a pattern of `key` that stands for no parameter of `program`. What grows has no names yet: a pattern for it is
/// let through.
fn check_patterns(key: &str, patterns: &[String], program: &Program) -> Result<(), RunError> {
    let own: Vec<String> = patterns.iter().filter(|it| !it.starts_with(GROWN)).cloned().collect();
    let names = program.params.iter().map(|param| param.spec.name.as_str());
    let Some(place) = glob::unmatched(&own, names.clone()) else { return Ok(()) };
    let pattern = &own[place];
    let place = patterns.iter().position(|it| it == pattern).unwrap_or_default();
    let message = format!("\"{}\" stands for no parameter of the host", suggest::clip(pattern));
    let names: Vec<&str> = names.collect();
    let n_more = names.len().saturating_sub(NAMES_MAX);
    let more = if n_more == 0 { String::new() } else { format!(" and {n_more} more") };
    let listed = names[..names.len().min(NAMES_MAX)].join(", ");
    let nearest = suggest::before_list(suggest::nearest(pattern, names.iter().copied()));
    Err(unfit(&format!("{key}[{place}]"), message, format!("{nearest}parameters: {listed}{more}")))
}

/// What the names of modules that have grown begin with.
const GROWN: &str = "grown.";
/// Names of parameters in a message; a network may have thousands.
const NAMES_MAX: usize = 40;

fn check_limits(
    scenario: &Scenario,
    graph: &NetworkGraph,
    program: &Program,
) -> Result<(), RunError> {
    let limits = &scenario[LIMITS];
    let n_params = program.params_elems();
    if limits.params_max < n_params {
        // A limit that is not written in the scenario can not be pointed at.
        let is_default = limits.params_max == Limits::default().params_max;
        let key = if is_default { "host" } else { "limits.params_max" };
        let message = format!(
            "the host has {n_params} parameters, more than `limits.params_max` ({})",
            limits.params_max
        );
        let help = format!("for example `params_max = {}`, or a smaller host", 2 * n_params);
        return Err(unfit(key, message, help));
    }
    // A blend has no spans.
    let is_blend = scenario[KASMINA].composition.needs_joined();
    let n_spans = if is_blend { 0 } else { graph.spans().len() };
    let n_seeds = (program.sites.len() + n_spans) * scenario[KASMINA].seeds_per_site;
    if limits.seeds_max < n_seeds {
        let message =
            format!("must be at least the {n_seeds} seeds of a new host, is {}", limits.seeds_max);
        let help = format!("for example `seeds_max = {}`", 16 * n_seeds);
        return Err(unfit("limits.seeds_max", message, help));
    }
    Ok(())
}
