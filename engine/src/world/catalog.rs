//! Blueprints and kernels as entities, and the cache through which kernels are bound.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bevy_ecs::prelude::*;
use esper_nn::contract::Contract;
use serde::{Deserialize, Serialize};

use super::ids::{BlueprintId, HostId, KernelId, SeedId};
use crate::{
    graph::{GraphError, NetworkGraph},
    program::{CompileOptions, PIPELINE_VERSION, Program},
};
use esper_nn::digest::Digest;

/// The blueprint a kernel was compiled from.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Kernels)]
pub struct KernelOf(pub Entity);

/// Every kernel compiled from a blueprint.
#[derive(Component, Debug, Default)]
#[relationship_target(relationship = KernelOf, linked_spawn)]
pub struct Kernels(Vec<Entity>);

/// What a blueprint is: the plan of a module that keeps its site's shape.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[component(immutable)]
pub struct Blueprint {
    /// The family's name, such as `residual_mlp`.
    pub family: String,
    /// The module: one input, one output, of the contract's shape.
    pub graph: Arc<NetworkGraph>,
    /// Whether its parameters ever train; `false` for the frozen control.
    pub is_trainable: bool,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Forward arithmetic of one example.
    pub flops_per_example: u64,
    /// Why this shape: one sentence.
    pub intent: String,
    /// What it rests on: paper and section, or `control`.
    pub basis: String,
    /// Blueprints it was derived from.
    pub lineage: Vec<Digest>,
}

impl Blueprint {
    /// The [`Self::basis`] of blueprints that are there to fail, so that gate_state can be judged.
    pub const CONTROL: &'static str = "control";

    /// A trainable blueprint of `family`; parameters and arithmetic are read off the graph.
    ///
    /// # Errors
    ///
    /// Fails when the graph is no program: it is empty, or has not exactly one input.
    pub fn new(
        family: impl Into<String>,
        graph: NetworkGraph,
        intent: impl Into<String>,
        basis: impl Into<String>,
    ) -> Result<Self, GraphError> {
        let program = Program::compile(&graph, CompileOptions::MODULE)?;
        Ok(Self {
            family: family.into(),
            params_elems: program.params_elems(),
            flops_per_example: program.flops_forward(),
            graph: Arc::new(graph),
            is_trainable: true,
            intent: intent.into(),
            basis: basis.into(),
            lineage: Vec::new(),
        })
    }

    /// The blueprint's lasting name at sites of `contract`.
    pub fn id(&self, contract: Contract) -> BlueprintId {
        BlueprintId(Digest::of_value(&(contract, &self.graph, self.is_trainable)))
    }

    /// Whether it is a control: an identity at birth and a live gradient are not asked of it.
    pub fn is_control(&self) -> bool {
        self.basis == Self::CONTROL
    }
}

/// How far a blueprint has come.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[component(immutable)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BlueprintStatus {
    /// Designed; nothing is known of it.
    Unvalidated,
    /// With Tezzeret, or its kernels with Urabrask.
    Compiling,
    /// At least one kernel of it was validated.
    Compiled,
    /// It does not compile, or every kernel of it was rejected.
    Invalid,
}

/// How often Tezzeret has tried to compile a blueprint.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts(pub u32);

/// How a kernel was made, and what it costs.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[component(immutable)]
pub struct Kernel {
    /// The variant's name: `reference` or `fused`.
    pub variant: String,
    /// Optimizations applied, by name.
    pub optimizations: Vec<String>,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Working memory of one example, in bytes; it grows in proportion to the batch.
    pub workspace_bytes: u64,
    /// Forward arithmetic of one example.
    pub flops_forward: u64,
    /// Backward arithmetic of one example.
    pub flops_backward: u64,
    /// Digest of the program bytes.
    pub program: Digest,
}

impl Kernel {
    /// The lasting name of `blueprint` compiled as `variant` for `device` by this build's pipeline.
    pub fn id(blueprint: BlueprintId, device: &str, variant: &str) -> KernelId {
        KernelId(Digest::of_value(&(blueprint, device, PIPELINE_VERSION, variant)))
    }
}

/// How far a kernel has come.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[component(immutable)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KernelStatus {
    /// Compiled; waits for Urabrask.
    PendingBenchmarking,
    /// Safe and measured.
    Validated,
    /// Refused; never bound.
    Rejected,
}

/// What validation found out about a kernel: facts that every machine would find again.
#[derive(Component, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[component(immutable)]
pub struct SafetySheet {
    /// Largest difference from the `reference` variant over outputs and gradients; `None` if not run.
    pub reference_error: Option<f32>,
    /// Largest relative difference of a gradient from central differences in `f64`; `None` if not run.
    pub gradient_error: Option<f64>,
    /// Largest output at birth; zero for an identity. `None` if not run.
    pub birth_output: Option<f32>,
    /// L2 norm of the parameter gradient at birth, for an output gradient of unit variance. `None` if not run.
    pub birth_gradient_norm: Option<f32>,
    /// Norm of the input's gradient over norm of the output's, once the parameters have left zero. `None` if not run.
    pub gradient_growth: Option<f64>,
    /// Parameters, their gradients and moments, workspace and scratch of a full batch.
    pub memory_bytes: u64,
    /// Forward and backward arithmetic of one example.
    pub flops_per_example: u64,
    /// Why the verdict is what it is, one sentence each.
    pub reasons: Vec<String>,
}

/// What was measured of a kernel on this machine. No two runs share it, so no decision rests on it in
/// [strict](crate::forge::Mode::Strict) mode but the latency limit.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[component(immutable)]
pub struct Measured {
    /// Median time of a forward pass over the batch.
    pub forward_ns: u64,
    /// Median time of a backward pass over the batch.
    pub backward_ns: u64,
    /// Median time of both, over that of the `reference` variant measured in turns with it.
    pub reference_ratio: f64,
    /// Examples in the batch.
    pub batch: u32,
    /// Passes the medians are over.
    pub n_runs: u32,
    /// Where the kernel stood among those measured before it and with it: `fast`, `slow`, `small`, `large`, ...
    pub tags: Vec<String>,
}

/// How often a kernel has been bound to a seed.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentCount(pub u32);

/// How often a kernel's graft had to be rolled back; a penalised kernel is not bound again in the run.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Penalties(pub u32);

/// Decoded kernels by name: what makes binding a pointer swap.
#[derive(Resource, Debug, Default)]
pub struct KernelCache(BTreeMap<KernelId, Arc<Program>>);

impl KernelCache {
    /// The program of kernel `id`, if it is in memory.
    pub fn get(&self, id: KernelId) -> Option<&Arc<Program>> {
        self.0.get(&id)
    }

    /// Keeps `program` in memory under `id`.
    pub fn insert(&mut self, id: KernelId, program: Arc<Program>) {
        self.0.insert(id, program);
    }

    /// Forgets every kernel that `keep` does not ask for.
    pub fn retain(&mut self, mut keep: impl FnMut(KernelId) -> bool) {
        self.0.retain(|id, _| keep(*id));
    }

    /// How many kernels are in memory.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where kernels lie when they are not in the cache.
pub trait KernelStore: Send + Sync + 'static {
    /// The program bytes of kernel `id`, checked against their digest.
    ///
    /// # Errors
    ///
    /// Fails when the store can not be read, or the bytes are not what was stored.
    fn kernel_bytes(&self, id: KernelId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Waits until everything the store was told is where it lasts: a checkpoint must not be ahead of its library.
    ///
    /// # Errors
    ///
    /// Says in a sentence why it can not be kept.
    fn settle(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Why a stored kernel could not be had.
#[derive(Debug, thiserror::Error)]
#[error("kernel {kernel:?}: {reason}")]
pub struct StoreError {
    /// The kernel asked for.
    pub kernel: KernelId,
    /// What went wrong, for people.
    pub reason: String,
}

/// The library, as far as the engine knows it. Urza puts it here.
#[derive(Resource)]
pub struct Library(pub Box<dyn KernelStore>);

/// What modules are wanted for: the contracts of the hosts' sites. Kasmina fills it, Karn designs for it.
#[derive(Resource, Debug, Default, Clone, PartialEq, Eq)]
pub struct SiteContracts(pub BTreeSet<Contract>);

/// A host with a fossilised module joined to it, to be compiled in the background.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct HostRecompile {
    /// The host.
    pub host: HostId,
    /// The seed whose module was joined.
    pub seed: SeedId,
    /// The grown graph.
    pub graph: Arc<NetworkGraph>,
}

/// Hosts on their way through the compiler.
///
/// Kasmina asks in `Transform`, Tezzeret takes the requests in `Dispatch` and brings programs back in `Admit`;
/// Kasmina empties [`Self::done`] in `Transform` of the same tick, so nothing of it needs saving.
#[derive(Resource, Serialize, Deserialize, Debug, Default)]
pub struct HostRecompiles {
    /// Asked for, oldest first.
    pub requests: VecDeque<HostRecompile>,
    /// With the compiler.
    pub in_flight: BTreeSet<(HostId, SeedId)>,
    /// Back, in the order of asking; an error is a sentence for people.
    #[serde(skip)]
    pub done: Vec<(HostRecompile, Result<Arc<Program>, String>)>,
}

impl HostRecompiles {
    /// Whether a grown program of `host` has been asked for and has not come back.
    pub fn is_pending(&self, host: HostId) -> bool {
        self.requests.iter().any(|request| request.host == host)
            || self.in_flight.iter().any(|(other, _)| *other == host)
    }
}
