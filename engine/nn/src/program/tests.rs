//! What compiles, and what is refused.

use super::*;
use crate::{
    error::GraphError,
    graph::{
        CnnConfig, CnnForm, ImageNorm, MlpConfig, NetworkGraph, NormKind, TransformerConfig,
        VitConfig,
    },
    op::{Add, Embedding, Input, Linear, MeanPositions, Op, Reshape, Site},
};

const HOST: CompileOptions = CompileOptions::HOST;

#[test]
fn every_host_compiles_and_a_gradient_reaches_each_of_its_sites() {
    let mut mlp = MlpConfig { norm: NormKind::Layer, dropout: 0.1, ..MlpConfig::default() };
    mlp.sites = mlp.known_sites();
    let mut text = TransformerConfig { dropout: 0.1, ..TransformerConfig::default() };
    text.sites = text.known_sites();
    let mut vit = VitConfig { dropout: 0.1, ..VitConfig::default() };
    vit.sites = vit.known_sites();
    let mut hosts = vec![
        NetworkGraph::mlp(&mlp, Loss::MeanSquaredError).unwrap(),
        NetworkGraph::transformer(&text).unwrap(),
        NetworkGraph::transformer(&TransformerConfig { tied: false, ..text }).unwrap(),
        NetworkGraph::vit(&vit, Loss::CrossEntropy).unwrap(),
    ];
    for form in [CnnForm::ResNet, CnnForm::Vgg] {
        for norm in [ImageNorm::None, ImageNorm::Batch, ImageNorm::Group { groups: 4 }] {
            for input in [[1, 28, 28], [1, 1, 40], [3, 64, 48]] {
                let blocks = vec![1, 2];
                let mut cnn = CnnConfig { form, norm, input, blocks, ..CnnConfig::default() };
                cnn.sites = cnn.known_sites();
                hosts.push(NetworkGraph::cnn(&cnn, Loss::CrossEntropy).unwrap());
            }
        }
    }
    for host in hosts {
        let n_sites = host.nodes().filter(|(_, node)| node.op == Op::Site(Site)).count();
        let program = Program::compile(&host, CompileOptions::HOST).unwrap();
        assert_eq!(program.sites.len(), n_sites);
        let n_buffers: usize = host
            .nodes()
            .flat_map(|(index, node)| node.op.buffers(&node.name, &host.input_shapes(index)))
            .count();
        assert_eq!(program.buffers.len(), n_buffers);
    }
}

/// Why a text's graph is refused in which another node reads tokens, or an embedding numbers.
fn refusal(read: &str) -> GraphError {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![2, 3] }, &[]).unwrap();
    let tokens = graph.add("flat", Reshape { shape: vec![6] }, &[x]).unwrap();
    let table = Embedding { vocabulary: 5, width: 4, init: Init::Normal(1.0) };
    let features = graph.add("embed", table.clone(), &[tokens]).unwrap();
    let mean = graph.add("mean", MeanPositions, &[features]).unwrap();
    assert_eq!(Program::compile(&graph, HOST).unwrap().input_dtype, DType::U32);
    if read == "tokens" {
        let map = graph.add("map", Linear::new(4), &[tokens]).unwrap();
        graph.add("sum", Add, &[mean, map]).unwrap();
    } else {
        graph.add("again", table, &[mean]).unwrap();
    }
    Program::compile(&graph, HOST).unwrap_err()
}

#[test]
fn tokens_are_for_embeddings_and_embeddings_for_tokens() {
    assert_eq!(refusal("tokens"), GraphError::ReadsTokens { node: "map".into() });
    assert_eq!(refusal("numbers"), GraphError::ReadsNumbers { node: "again".into() });
}

#[test]
fn other_batches_are_numbers() {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![3] }, &[]).unwrap();
    graph.add("y", Linear::new(2), &[x]).unwrap();
    assert_eq!(graph.input_dtype(), Ok(DType::F32));
}
