//! Blueprints and kernels as entities, and the cache through which kernels are bound.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::{digest::Digest, ids::KernelId};
use crate::{graph::NetworkGraph, program::Program};

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
    /// Working memory at full batch, in bytes.
    pub workspace_bytes: u64,
    /// Forward arithmetic of one example.
    pub flops_forward: u64,
    /// Backward arithmetic of one example.
    pub flops_backward: u64,
    /// Digest of the program bytes.
    pub program: Digest,
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
