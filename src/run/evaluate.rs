//! A network on the test data of a scenario, which need not be the one it was trained by.

use esper_engine::{
    ids::HostId,
    runtime::{Evaluation, FlopsAccount, HostRuntime, Split, StateDict},
};
use esper_nn::graph::NetworkGraph;
use esper_systems::tamiyo::OFF;

use super::{assemble::host_configs, options::RunOptions};
use crate::{
    RunError,
    hosts::HostSpec,
    scenario::{HOST, LIMITS, Scenario, TAMIYO, TRAIN},
};

/// No limit on what is not trained: the greatest that a scenario takes.
const PARAMS_MAX: u64 = 10_u64.pow(10);

/// What the network `graph` with `weights` says of the test data that `options` name. Of their scenario `[data]` and the
/// device count; nothing is trained.
///
/// # Errors
///
/// Fails when the data can not be had, or is not what the network reads and says; when the weights are not the network's;
/// or when the device does.
pub fn evaluate(
    mut options: RunOptions,
    graph: NetworkGraph,
    weights: StateDict,
) -> Result<Evaluation, RunError> {
    let mut scenario = Scenario::clone(&*options.scenario?);
    scenario[TAMIYO].policy = OFF.to_owned();
    scenario[TAMIYO].timetable.clear();
    scenario[TRAIN].freeze.clear();
    (scenario[HOST].init, scenario[HOST].init_skip) = (None, Vec::new());
    scenario[LIMITS].params_max = PARAMS_MAX;
    options.scenario = Ok(scenario.resolve()?);
    options.hosts = vec![HostSpec::new().graph(graph).init(weights).replicas(1)];
    let prepared = options.resolve(true)?;
    let configs = host_configs(&prepared)?.0;
    let group = &prepared.groups[0];
    let config = configs[&HostId(group.ids.start)].clone();
    let mut host = HostRuntime::new(config, group.graph.clone(), group.program.clone())?;
    let weights = group.init.as_ref().expect("it was given");
    host.load_state_dict(weights).expect("they were checked");
    Ok(host.evaluate(Split::Test, FlopsAccount::Evaluation, None, None)?)
}
