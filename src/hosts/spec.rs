//! What the hosts of a run are made from, where it is not the scenario alone that says so.

use std::sync::Arc;

use esper_data::SplitData;
use esper_engine::runtime::StateDict;
use esper_nn::graph::NetworkGraph;

/// Some equal hosts of a run: their network, what they train on, and how many they are. What is left out is as the
/// scenario says.
#[derive(Clone, Default)]
pub struct HostSpec {
    pub(crate) graph: Option<NetworkGraph>,
    pub(crate) data: Option<Arc<SplitData>>,
    pub(crate) init: Option<StateDict>,
    pub(crate) replicas: Option<usize>,
    pub(crate) seed: Option<u64>,
}

impl HostSpec {
    /// Hosts as the scenario describes them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trains `graph`, which ends in a loss, instead of the network of `[host]`.
    #[must_use]
    pub fn graph(mut self, graph: NetworkGraph) -> Self {
        self.graph = Some(graph);
        self
    }

    /// Trains on `data` instead of what `[data]` names.
    #[must_use]
    pub fn data(mut self, data: Arc<SplitData>) -> Self {
        self.data = Some(data);
        self
    }

    /// Begins with `weights` instead of what `host.init` names.
    #[must_use]
    pub fn init(mut self, weights: StateDict) -> Self {
        self.init = Some(weights);
        self
    }

    /// Trains `n_hosts` of them, each with its own random streams, instead of `run.replicas`.
    #[must_use]
    pub fn replicas(mut self, n_hosts: usize) -> Self {
        self.replicas = Some(n_hosts);
        self
    }
}

impl HostSpec {
    /// Draws what is random in these hosts from `seed` instead of `run.seed`: while nothing grows, the first of them is
    /// bit for bit the host of a run with that seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl From<NetworkGraph> for HostSpec {
    fn from(graph: NetworkGraph) -> Self {
        Self::new().graph(graph)
    }
}
