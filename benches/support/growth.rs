//! What binding needs: a cache with kernels in it, and a library file with one large kernel.

use std::{path::Path, sync::Arc};

use esper::{
    engine::{
        graph::{NetworkGraph, Op},
        nn::op::Input,
        program::{CompileOptions, Program},
        world::{
            blueprint::{Blueprint, BlueprintStatus},
            ids::KernelId,
            kernel::{Kernel, KernelStatus},
            kernel_cache::KernelCache,
        },
    },
    kernels::cpu::Activation,
    systems::urza::{Batch, BlueprintRecord, KernelRecord, LibraryStore},
};
use esper_nn::{contract::Contract, digest::Digest};

use super::modules::residual_mlp;

/// A cache of `n` kernels, and the name of one in its middle.
pub fn cache_of(n: usize) -> (KernelCache, KernelId) {
    let module = residual_mlp(&[32], 32);
    let program = Program::compile(&module, CompileOptions::MODULE).expect("a module compiles");
    let program = Arc::new(program);
    let mut cache = KernelCache::default();
    let names: Vec<KernelId> = (0..n).map(|i| KernelId(Digest::of_value(&i))).collect();
    names.iter().for_each(|id| cache.insert(*id, program.clone()));
    (cache, names[n / 2])
}

/// A library at `path` with one kernel whose program takes up to `len_max_bytes` bytes; its name and its length.
pub fn library_with(path: &Path, len_max_bytes: usize) -> (LibraryStore, KernelId, usize) {
    let (graph, bytes) = largest_chain(len_max_bytes);
    let contract = Contract::Vector { width: CHAIN_WIDTH as u32 };
    let blueprint = Blueprint::new("chain", graph, "a long program", "bench").expect("it is sound");
    let program: Program = postcard::from_bytes(&bytes).expect("it was just written");
    let kernel = Kernel {
        variant: "fused".to_owned(),
        optimizations: program.optimizations.clone(),
        params_elems: program.params_elems(),
        workspace_bytes: 4 * program.workspace_elems as u64,
        flops_forward: program.flops_forward(),
        flops_backward: 0,
        program: Digest::of(&bytes),
    };
    let blueprint_id = blueprint.id(contract);
    let id = Kernel::id(blueprint_id, "cpu", &kernel.variant);
    let len_bytes = bytes.len();
    let compiled = BlueprintStatus::Validated;
    let validated = KernelStatus::Validated;
    let mut batch = Batch::new("bench");
    batch.blueprints.push(BlueprintRecord::new(
        blueprint_id,
        &blueprint,
        contract,
        compiled,
        "bench",
    ));
    let record = KernelRecord::new(id, blueprint_id, contract, &kernel, validated, "bench");
    batch.kernels.push((record, Some(bytes)));
    let library = LibraryStore::open(path).expect("a new library opens");
    library.commit(&batch).expect("the batch is sound");
    (library, id, len_bytes)
}

/// Features of every layer of the chain.
const CHAIN_WIDTH: usize = 16;

/// The longest chain of layers whose program in postcard form takes no more than `len_max_bytes` bytes.
fn largest_chain(len_max_bytes: usize) -> (NetworkGraph, Vec<u8>) {
    let compiled = |n_layers: usize| {
        let graph = chain(n_layers);
        let program = Program::compile(&graph, CompileOptions::MODULE).expect("a chain compiles");
        let bytes = postcard::to_stdvec(&program).expect("a program serialises");
        (graph, bytes)
    };
    let n_layers: Vec<usize> = (1..=2048).collect();
    let n_fitting = n_layers.partition_point(|n| compiled(*n).1.len() <= len_max_bytes);
    compiled(n_fitting.max(1))
}

fn chain(n_layers: usize) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let input = Op::Input(Input { shape: vec![CHAIN_WIDTH] });
    let mut x = graph.add("x", input, &[]).expect("the chain is sound");
    for layer in 0..n_layers {
        let nodes =
            [("linear", Op::linear(CHAIN_WIDTH)), ("activation", Op::Activation(Activation::Gelu))];
        for (name, op) in nodes {
            x = graph.add(format!("{name}{layer}"), op, &[x]).expect("the chain is sound");
        }
    }
    graph
}
