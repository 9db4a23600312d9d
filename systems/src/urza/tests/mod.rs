//! The promises of the library, one file a promise.

mod durability;
mod engine;
mod growth;
mod queries;
mod transport;
mod verification;

use std::{path::PathBuf, sync::Arc};

use esper_engine::{
    graph::{NetworkGraph, Op},
    nn::op::Input,
    program::{CompileOptions, Program},
    world::{
        blueprint::{Blueprint, BlueprintStatus},
        ids::{HostId, KernelId, SeedId},
        kernel::{Kernel, KernelStatus, Measured, SafetySheet},
        stage::Stage,
    },
};
use esper_nn::{contract::Contract, digest::Digest};
use tempfile::TempDir;

use super::{
    Batch, BlueprintRecord, DEVICE_CPU, DeploymentRecord, KernelRecord, LibraryStore, TwinGain,
};

/// A folder and the path of a library in it.
fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("library.redb");
    (dir, path)
}

fn contract(width: u32) -> Contract {
    Contract::Vector { width }
}

/// A module of one linear layer.
fn blueprint(family: &str, width: u32) -> Blueprint {
    let mut graph = NetworkGraph::new();
    let shape = vec![width as usize];
    let x = graph.add(format!("{family}_x"), Input { shape }, &[]).unwrap();
    graph.add("linear", Op::linear(width as usize), &[x]).unwrap();
    Blueprint {
        family: family.to_owned(),
        params_elems: graph.params_elems(),
        graph: Arc::new(graph),
        is_trainable: true,
        flops_per_example: u64::from(2 * width * width),
        intent: "to be tested".to_owned(),
        basis: "test".to_owned(),
    }
}

fn kernel(blueprint: &Blueprint, variant: &str) -> (Kernel, Program) {
    let program = Program::compile(&blueprint.graph, CompileOptions::MODULE).unwrap();
    let kernel = Kernel {
        variant: variant.to_owned(),
        optimizations: vec!["bias".to_owned()],
        params_elems: blueprint.params_elems,
        workspace_bytes: 4096,
        flops_forward: blueprint.flops_per_example,
        flops_backward: 2 * blueprint.flops_per_example,
        program: Digest::of_value(&program),
    };
    (kernel, program)
}

fn measured(forward_ns: u64, tags: &[&str]) -> Measured {
    Measured {
        forward_ns,
        backward_ns: 2 * forward_ns,
        reference_ratio: 0.75,
        batch: 32,
        n_runs: 15,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    }
}

/// What one tick has to tell of one blueprint and its kernel.
fn batch_of(run: &str, family: &str, status: KernelStatus, found: Option<Measured>) -> Batch {
    let (plan, width) = (blueprint(family, 8), contract(8));
    let id = plan.id(width);
    let mut batch = Batch::new(run);
    batch.blueprints.push(BlueprintRecord::new(id, &plan, width, BlueprintStatus::Validated, run));
    let (made, program) = kernel(&plan, "fused");
    let name = Kernel::id(id, DEVICE_CPU, "fused");
    let mut record = KernelRecord::new(name, id, width, &made, status, run);
    record.tags = found.as_ref().map(|it| it.tags.clone()).unwrap_or_default();
    record.measured = found;
    record.safety = Some(SafetySheet { memory_bytes: 1 << 16, ..SafetySheet::default() });
    record.reasons = vec!["it was looked at".to_owned()];
    batch.kernels.push((record, Some(postcard::to_stdvec(&program).unwrap())));
    batch
}

fn validated(run: &str, family: &str, forward_ns: u64, tags: &[&str]) -> Batch {
    batch_of(run, family, KernelStatus::Validated, Some(measured(forward_ns, tags)))
}

fn deployment(run: &str, kernel: KernelId, seed: u64, outcome: Stage) -> DeploymentRecord {
    DeploymentRecord {
        kernel,
        run: run.to_owned(),
        host: HostId(0),
        seed: SeedId(seed),
        site: "hidden0".to_owned(),
        contract: contract(8),
        outcome,
        step: 700 + seed,
        gain: Some(TwinGain { mean: 0.25, low: 0.125, high: 0.5 }),
    }
}

/// A library with three validated kernels, one that was rejected, and deployments; the names of the kernels.
fn filled(path: &PathBuf) -> (LibraryStore, Vec<KernelId>) {
    let store = LibraryStore::open(path).unwrap();
    let mut names = Vec::new();
    for (family, forward_ns, tags) in [
        ("low_rank", 300, &["small", "slow"][..]),
        ("glu", 100, &["fast"]),
        ("norm", 200, &["small"]),
    ] {
        let mut batch = validated("run-a", family, forward_ns, tags);
        let name = batch.kernels[0].0.id;
        batch.deployments.push(deployment("run-a", name, names.len() as u64, Stage::Fossilized));
        store.commit(&batch).unwrap();
        names.push(name);
    }
    let refused = batch_of("run-a", "bad_nan", KernelStatus::Rejected, None);
    names.push(refused.kernels[0].0.id);
    store.commit(&refused).unwrap();
    (store, names)
}
