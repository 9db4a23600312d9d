//! What the library keeps of blueprints, kernels and what became of them.

use std::sync::Arc;

use esper_engine::{
    graph::NetworkGraph,
    program::PIPELINE_VERSION,
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        ids::{BlueprintId, HostId, KernelId, SeedId},
        kernel::{Kernel, KernelStatus, Measured, SafetySheet},
        stage::Stage,
    },
};
use esper_nn::{contract::Contract, digest::Digest};
use serde::{Deserialize, Serialize};

use super::signature::Signature;

/// The device every kernel of this version runs on.
pub const DEVICE_CPU: &str = "cpu";

/// A record and its place among the versions of its id, from 0.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    /// Grows by one with each change.
    pub version: u32,
    /// What was known then.
    #[serde(flatten)]
    pub record: T,
}

/// Bytes kept under their own digest.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRef {
    /// BLAKE3 of the whole.
    pub digest: Digest,
    /// Its length.
    pub len_bytes: u64,
}

impl BlobRef {
    /// What `bytes` are kept under.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), len_bytes: bytes.len() as u64 }
    }
}

/// A blueprint as it stood when a version was written.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BlueprintRecord {
    /// Its name.
    pub id: BlueprintId,
    /// The family's name, such as `residual_mlp`.
    pub family: String,
    /// The shape it keeps.
    pub contract: Contract,
    /// Its graph in postcard form.
    pub graph: BlobRef,
    /// Whether its parameters ever train.
    pub is_trainable: bool,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Forward arithmetic of one example.
    pub flops_per_example: u64,
    /// Why this shape.
    pub intent: String,
    /// What it rests on.
    pub basis: String,
    /// How far it had come.
    pub status: BlueprintStatus,
    /// The run that wrote this version.
    pub run: String,
}

impl BlueprintRecord {
    /// What to keep of `blueprint`, and the bytes of its graph.
    pub fn new(
        id: BlueprintId,
        blueprint: &Blueprint,
        contract: Contract,
        status: BlueprintStatus,
        run: &str,
    ) -> (Self, Vec<u8>) {
        let graph = postcard::to_stdvec(&*blueprint.graph).expect("a graph serialises");
        let record = Self {
            id,
            family: blueprint.family.clone(),
            contract,
            graph: BlobRef::of(&graph),
            is_trainable: blueprint.is_trainable,
            params_elems: blueprint.params_elems,
            flops_per_example: blueprint.flops_per_example,
            intent: blueprint.intent.clone(),
            basis: blueprint.basis.clone(),
            status,
            run: run.to_owned(),
        };
        (record, graph)
    }

    /// The blueprint this was written from.
    pub fn to_blueprint(&self, graph: Arc<NetworkGraph>) -> Blueprint {
        Blueprint {
            family: self.family.clone(),
            graph,
            is_trainable: self.is_trainable,
            params_elems: self.params_elems,
            flops_per_example: self.flops_per_example,
            intent: self.intent.clone(),
            basis: self.basis.clone(),
        }
    }
}

/// A kernel as it stood when a version was written.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct KernelRecord {
    /// Its name.
    pub id: KernelId,
    /// What it was compiled from.
    pub blueprint: BlueprintId,
    /// The shape it keeps: its blueprint's.
    pub contract: Contract,
    /// Where it runs, such as `cpu`.
    pub device: String,
    /// The variant's name: `reference` or `fused`.
    pub variant: String,
    /// Optimizations applied, by name.
    pub optimizations: Vec<String>,
    /// Digest of its program in postcard form.
    pub program: Digest,
    /// Length of the program; `None` while the library does not hold its bytes.
    pub program_len_bytes: Option<u64>,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Working memory of one example, in bytes.
    pub workspace_bytes: u64,
    /// Forward arithmetic of one example.
    pub flops_forward: u64,
    /// Backward arithmetic of one example.
    pub flops_backward: u64,
    /// The compiler it came from.
    pub pipeline_version: u32,
    /// How far it had come.
    pub status: KernelStatus,
    /// What was measured of it.
    pub measured: Option<Measured>,
    /// What Urabrask calls it, in ascending order.
    pub tags: Vec<String>,
    /// What was checked for safety, and what was found.
    pub safety: Option<SafetySheet>,
    /// The verdict in sentences.
    pub reasons: Vec<String>,
    /// The run that wrote this version.
    pub run: String,
    /// Who vouches for it; set by the library in which it was judged.
    pub signature: Option<Signature>,
}

impl KernelRecord {
    /// What to keep of `kernel` before anything was measured.
    pub fn new(
        id: KernelId,
        blueprint: BlueprintId,
        contract: Contract,
        kernel: &Kernel,
        status: KernelStatus,
        run: &str,
    ) -> Self {
        Self {
            id,
            blueprint,
            contract,
            device: DEVICE_CPU.to_owned(),
            variant: kernel.variant.clone(),
            optimizations: kernel.optimizations.clone(),
            program: kernel.program,
            program_len_bytes: None,
            params_elems: kernel.params_elems,
            workspace_bytes: kernel.workspace_bytes,
            flops_forward: kernel.flops_forward,
            flops_backward: kernel.flops_backward,
            pipeline_version: PIPELINE_VERSION,
            status,
            measured: None,
            tags: Vec::new(),
            safety: None,
            reasons: Vec::new(),
            run: run.to_owned(),
            signature: None,
        }
    }

    /// The kernel this was written from.
    pub fn to_kernel(&self) -> Kernel {
        Kernel {
            variant: self.variant.clone(),
            optimizations: self.optimizations.clone(),
            params_elems: self.params_elems,
            workspace_bytes: self.workspace_bytes,
            flops_forward: self.flops_forward,
            flops_backward: self.flops_backward,
            program: self.program,
        }
    }

    /// Forward and backward time of the measured batch, where there was one.
    pub fn latency_ns(&self) -> Option<u64> {
        self.measured.as_ref().map(|it| it.forward_ns.saturating_add(it.backward_ns))
    }

    /// What a signature covers: everything but itself.
    pub fn signed_digest(&self) -> Digest {
        Digest::of_value(&Self { signature: None, ..self.clone() })
    }
}

/// What became of one kernel in one seed: its effect once deployed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct DeploymentRecord {
    /// The kernel.
    pub kernel: KernelId,
    /// The run it was deployed in.
    pub run: String,
    /// The host.
    pub host: HostId,
    /// The seed that grew it.
    pub seed: SeedId,
    /// The site's name.
    pub site: String,
    /// What the site asks of a module.
    pub contract: Contract,
    /// The stage it ended in.
    pub outcome: Stage,
    /// The host's step count then.
    pub step: u64,
    /// What the twin test found, where it was made.
    pub gain: Option<TwinGain>,
}

/// The last verdict of G5 on a seed: mean drop in validation loss against the twin, and its 95 % interval.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct TwinGain {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Everything one tick has to tell the library.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The run that speaks.
    pub run: String,
    /// Blueprints and the bytes of their graphs.
    pub blueprints: Vec<(BlueprintRecord, Vec<u8>)>,
    /// Kernels and, where they are at hand, the bytes of their programs.
    pub kernels: Vec<(KernelRecord, Option<Vec<u8>>)>,
    /// Kernels that were used.
    pub deployments: Vec<DeploymentRecord>,
}

impl Batch {
    /// Nothing yet, from `run`.
    pub fn new(run: &str) -> Self {
        Self { run: run.to_owned(), ..Self::default() }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.blueprints.is_empty() && self.kernels.is_empty() && self.deployments.is_empty()
    }
}
