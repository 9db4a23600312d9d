//! What a run will be, before it begins.

use std::sync::Arc;

use esper_data::SplitData;
use esper_engine::{
    ids::HostId,
    runtime::HostConfig,
    world::{hosts::HostSites, plugin::BuildError},
};
use esper_nn::{
    contract::Contract,
    glob,
    graph::{NetworkGraph, Node, Op, Shape},
    plan::update_flops_per_param,
    program::GradMask,
};
use esper_systems::{
    karn::Catalogue,
    tamiyo::{BUILT_IN, check_policy_name},
};
use serde::Serialize;

use super::{
    assemble::{check_catalogue, check_timetable, host_configs, site_names},
    options::RunOptions,
};
use crate::{
    RunError,
    hosts::HostGroup,
    scenario::{KARN, Resolved, TAMIYO},
};

/// What a run will be, found out without an engine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenario as resolved; its paths are absolute.
    pub scenario: Resolved,
    /// The device that `run.device` comes to.
    pub device: String,
    /// The hosts, equal ones together.
    pub hosts: Vec<HostPlan>,
    /// The families of blueprints there are to choose from, in the order of names.
    pub families: Vec<String>,
}

/// What equal hosts of a run will be.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// How many there are.
    pub n_hosts: u64,
    /// Their data, split and standardised.
    pub data: Arc<SplitData>,
    /// A host's network.
    pub graph: Arc<NetworkGraph>,
    /// A host's layers, from input to output.
    pub layers: Vec<Layer>,
    /// Where seeds are planted, and what their modules keep.
    pub sites: Vec<(String, Contract)>,
    /// Parameters of a host, in elements.
    pub params_elems: u64,
    /// Those of them that `train.freeze` keeps from training.
    pub n_frozen: u64,
    /// Arithmetic of a host's forward and backward pass over one example; a multiply-add counts two.
    pub flops_per_example: u64,
    /// The same over one batch.
    pub flops_per_step: u64,
    /// Arithmetic of a forward pass alone, over one example: what validation costs.
    pub flops_forward_per_example: u64,
    /// Arithmetic of the optimizer's update, once a step.
    pub flops_per_update: u64,
    /// Optimizer steps of an epoch.
    pub steps_per_epoch: u64,
    /// Optimizer steps of a host over the whole run.
    pub total_steps: u64,
}

/// One node of a host.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its name, which its parameters begin with.
    pub name: String,
    /// What it computes.
    pub op: String,
    /// Its output's shape, the batch left out.
    pub shape: Shape,
    /// Its parameters, in elements.
    pub params_elems: u64,
}

impl Plan {
    /// What a run of `options` would be, and whether it could begin. Nothing is written, and no plugin is built: families
    /// of blueprints that a plugin brings are not among [`Plan::families`].
    ///
    /// # Errors
    ///
    /// As [`Run::start`](crate::Run::start), but for what plugins refuse.
    pub fn new(options: impl Into<RunOptions>) -> Result<Self, RunError> {
        let mut options = options.into();
        let resolved = options.resolve(true)?;
        let scenario = &resolved.scenario;
        let mut catalogue = Catalogue::default();
        for family in options.families {
            catalogue.add(family).map_err(|error| BuildError::plugin("karn", error))?;
        }
        catalogue.select(&scenario[KARN]).map_err(|error| BuildError::plugin("karn", error))?;
        check_catalogue(scenario, &catalogue)?;
        check_timetable(scenario, &site_names(&resolved.groups))?;
        // What else a program of one's own registers is known when its engine is built.
        if options.policy.is_none()
            && options.preparations.len() == options.policies.len()
            && options.extensions.is_empty()
        {
            let own = options.policies.iter().map(String::as_str);
            check_policy_name(&scenario[TAMIYO].policy, BUILT_IN.into_iter().chain(own))
                .map_err(|error| BuildError::plugin("tamiyo", error))?;
        }
        let configs = host_configs(&resolved)?.0;
        let hosts = resolved
            .groups
            .iter()
            .filter_map(|group| Some(HostPlan::new(group, configs.get(&HostId(group.ids.start))?)));
        Ok(Self {
            device: resolved.device.name(),
            hosts: hosts.collect(),
            families: catalogue.iter().map(|family| family.name().to_owned()).collect(),
            scenario: resolved.scenario,
        })
    }
}

impl HostPlan {
    fn new(group: &HostGroup, config: &HostConfig) -> Self {
        let HostGroup { graph, program, .. } = group;
        let sites = HostSites::of(program, graph);
        let wanted = GradMask { params: true, sites: 0 };
        let freeze = &config.train.freeze;
        let trained = program.params.iter().map(|param| &param.spec);
        let trained = trained.filter(|spec| !glob::is_any_match(freeze, &spec.name));
        let n_trained: u64 = trained.map(|spec| spec.len_elems() as u64).sum();
        let flops_per_example = program.flops_forward() + program.flops_backward(wanted);
        Self {
            n_hosts: group.ids.end - group.ids.start,
            data: group.data.clone(),
            graph: graph.clone(),
            layers: layers(graph),
            sites: sites
                .iter()
                .filter(|site| sites.span(*site).is_none() || !config.composition.needs_joined())
                .map(|site| (sites.name(site).to_owned(), sites.contract(site, program)))
                .collect(),
            params_elems: graph.params_elems(),
            flops_per_example,
            flops_per_step: flops_per_example * config.batch as u64,
            flops_forward_per_example: program.flops_forward(),
            flops_per_update: n_trained * update_flops_per_param(&config.train.optimizer),
            n_frozen: graph.params_elems() - n_trained,
            steps_per_epoch: config.steps_per_epoch,
            total_steps: config.total_steps,
        }
    }
}

/// The nodes of `graph`, in its order.
pub(crate) fn layers(graph: &NetworkGraph) -> Vec<Layer> {
    let params = graph.params();
    let params_of = |name: &str| {
        let is_its = |param: &str| {
            param.strip_prefix(name).is_some_and(|it| it.starts_with('.') && !it[1..].contains('.'))
        };
        let own = params.iter().filter(|param| is_its(&param.name));
        own.map(|param| param.len_elems() as u64).sum()
    };
    let layer = |node: &Node| Layer {
        name: node.name.clone(),
        op: op_name(&node.op),
        shape: node.shape.clone(),
        params_elems: params_of(&node.name),
    };
    graph.nodes().map(|(_, node)| layer(node)).collect()
}

/// The op's name as graph files write it, without its settings; an activation goes by its own.
fn op_name(op: &Op) -> String {
    let text = match op {
        Op::Activation(activation) => format!("{activation:?}"),
        op => format!("{op:?}"),
    };
    let mut name = String::new();
    for letter in text.split([' ', '(']).next().unwrap_or_default().chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
