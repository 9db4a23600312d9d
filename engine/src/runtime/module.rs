//! Modules that are bound to a host: what goes with their numbers.
//!
//! Where a module is bound and what it does there is its [`Binding`] in the plan, whether it is finite and what was
//! sampled of it stands in its [`UnitMemory`](esper_nn::device::UnitMemory), and everything else is a component of the seed's entity.

use esper_nn::{
    device::ModuleSample,
    graph::NetworkGraph,
    module::Incubation,
    plan::{Binding, BindingMode, Ports},
};
use serde::{Deserialize, Serialize};

use super::{
    progress::{GroupSchedule, ParamGroup},
    schedule::Ramp,
};
use crate::ids::SeedId;

/// A module that begins to incubate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewModule {
    /// The seed it is of.
    pub seed: SeedId,
    /// The places of its sites in the host's program.
    pub ports: Ports,
    /// How it incubates.
    pub incubation: Incubation,
    /// Whether it can train at all; a frozen control can not.
    pub is_trainable: bool,
    /// The host's step at which it begins to train.
    pub birth_step: u64,
}

/// What the steps of a host know of a bound module beside its place in the plan and its memory.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BoundModule {
    /// The seed it is of.
    pub seed: SeedId,
    /// Its schedule, its update count, and whether it can train at all.
    pub group: ParamGroup,
    /// How far it is blended in, by step; at 0 throughout while it incubates.
    pub ramp: Ramp,
}

/// A bound module without its program and its numbers: what copies and checkpoints keep of it.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct ModuleRecord {
    pub module: BoundModule,
    pub binding: Binding,
    pub is_finite: bool,
    pub sample: Option<ModuleSample>,
}

impl NewModule {
    pub(super) fn record(self) -> ModuleRecord {
        let Self { seed, ports, incubation, is_trainable, birth_step } = self;
        let schedule = GroupSchedule::Seed { birth_step };
        let prefix = module_prefix(seed);
        let group = ParamGroup { prefix, schedule, n_updates: 0, is_trainable };
        let trains = is_trainable && incubation != Incubation::None;
        let mode = BindingMode::Incubating(incubation);
        ModuleRecord {
            module: BoundModule { seed, group, ramp: Ramp::ZERO },
            binding: Binding { read: ports.read, write: ports.write, mode, trains },
            is_finite: true,
            sample: None,
        }
    }
}

/// What the names of a fossilised seed's nodes and parameters begin with.
pub fn module_prefix(seed: SeedId) -> String {
    format!("grown.{seed}.")
}

/// The greatest name of a seed that is fossilised in `graph`, whatever run it grew in: seeds to come need greater ones, since
/// the names of their nodes hang on it.
pub fn last_fossil(graph: &NetworkGraph) -> Option<SeedId> {
    let of_node = |name: &str| {
        let end = name.match_indices('.').nth(1)?.0;
        seed_of_prefix(&name[..=end])
    };
    graph.nodes().filter_map(|(_, node)| of_node(&node.name)).max()
}

/// The seed whose names begin with `prefix`, if it is one that [`module_prefix`] gives.
pub(super) fn seed_of_prefix(prefix: &str) -> Option<SeedId> {
    let number = prefix.strip_prefix("grown.seed")?.strip_suffix('.')?;
    number.parse().ok().map(SeedId)
}
