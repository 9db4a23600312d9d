//! What a run will be, before it begins.

use std::sync::Arc;

use esper_engine::{
    data::SplitData,
    graph::{NetworkGraph, Node, Op, Shape},
    program::GradMask,
    runtime::HostConfig,
    scenario::Scenario,
};
use esper_nn::contract::Contract;
use serde::Serialize;

use crate::hosts::Built;

/// What a run will be; made by [`RunBuilder::plan`](crate::RunBuilder::plan).
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenario as resolved.
    pub scenario: Scenario,
    /// The data, split and standardised.
    pub data: Arc<SplitData>,
    /// The host's layers, from input to output.
    pub layers: Vec<Layer>,
    /// Where seeds are planted, and what their modules keep.
    pub sites: Vec<(String, Contract)>,
    /// Parameters of a host, in elements.
    pub params_elems: u64,
    /// Arithmetic of a host's forward and backward pass over one example; a multiply-add counts two.
    pub flops_per_example: u64,
    /// The same over one batch.
    pub flops_per_step: u64,
    /// Optimizer steps of an epoch.
    pub steps_per_epoch: u64,
    /// Optimizer steps of a host over the whole run.
    pub total_steps: u64,
    /// The families of blueprints there are to choose from, in the order of names.
    pub families: Vec<String>,
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
    pub(crate) fn new(
        scenario: Scenario,
        built: &Built,
        host: &HostConfig,
        families: Vec<String>,
    ) -> Self {
        let Built { graph, program } = built;
        let wanted = GradMask { params: true, sites: 0 };
        let flops_per_example = program.flops_forward() + program.flops_backward(wanted);
        Self {
            layers: layers(graph),
            sites: (0..program.sites.len())
                .map(|place| (program.sites[place].name.clone(), program.contract(place)))
                .collect(),
            params_elems: graph.params_elems(),
            flops_per_example,
            flops_per_step: flops_per_example * host.batch as u64,
            steps_per_epoch: host.steps_per_epoch,
            total_steps: host.total_steps,
            data: host.data.clone(),
            families,
            scenario,
        }
    }
}

fn layers(graph: &NetworkGraph) -> Vec<Layer> {
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
