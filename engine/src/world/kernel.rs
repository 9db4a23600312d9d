//! Kernels: compiled blueprints, as entities, and the store they are loaded from.

use bevy_ecs::prelude::*;
use esper_nn::{digest::Digest, program::PIPELINE_VERSION};
use serde::{Deserialize, Serialize};

use crate::ids::{BlueprintId, KernelId};

/// The blueprint a kernel was compiled from.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = Kernels)]
pub struct KernelOf(pub Entity);

/// Every kernel compiled from a blueprint.
#[derive(Component, Debug, Default)]
#[relationship_target(relationship = KernelOf, linked_spawn)]
pub struct Kernels(Vec<Entity>);

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

/// What the innovation line spent on timing the kernels that this run validated, in FLOPs: apart from what training spends,
/// done by its workers, and no two runs have the same, since a slow machine gives up sooner.
#[derive(Resource, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InnovationFlops(pub u64);

/// How often a kernel has been bound to a seed.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentCount(pub u32);

/// How often a kernel's graft had to be rolled back; a penalised kernel is not bound again in the run.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Penalties(pub u32);

/// A kernel as an entity.
#[derive(Bundle, Clone, Debug)]
pub struct KernelBundle {
    /// Its lasting name.
    pub id: KernelId,
    /// How it was made.
    pub kernel: Kernel,
    /// How far it has come.
    pub status: KernelStatus,
    /// What it was compiled from.
    pub of: KernelOf,
    /// How often it has been bound.
    pub deployments: DeploymentCount,
}

impl KernelBundle {
    /// A kernel of the blueprint entity `of` that was never bound.
    pub fn new(id: KernelId, kernel: Kernel, status: KernelStatus, of: Entity) -> Self {
        Self { id, kernel, status, of: KernelOf(of), deployments: DeploymentCount(0) }
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
