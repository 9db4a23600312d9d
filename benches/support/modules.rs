//! What grows in hosts: families of Karn's, written out.

use esper::{
    engine::graph::{Init, NetworkGraph, Op},
    engine::nn::op,
    kernels::cpu::Activation,
};

/// A module for a site of `shape`: [`conv3x3`] for an image, else [`residual_mlp`], as wide as the site.
pub fn fitting(shape: &[usize]) -> NetworkGraph {
    match *shape {
        [channels, _, _] => conv3x3(shape, channels),
        _ => residual_mlp(shape, *shape.last().expect("a site has axes")),
    }
}

/// `x -> W2 gelu(W1 x)` of a vector or at each position, an identity at birth: Karn's `residual_mlp` family.
pub fn residual_mlp(shape: &[usize], hidden: usize) -> NetworkGraph {
    let width = *shape.last().expect("a site has axes");
    chain(shape, Op::linear(hidden), Op::zero_linear(width))
}

/// The same with convolutions of 3x3 taps for products: Karn's `conv3x3` family.
pub fn conv3x3(shape: &[usize], hidden: usize) -> NetworkGraph {
    let conv = |outputs, init| Op::same_conv2d(outputs, [3, 3], init);
    chain(shape, conv(hidden, Init::FanIn), conv(shape[0], Init::ZERO))
}

fn chain(shape: &[usize], first: Op, last: Op) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let input = Op::Input(op::Input { shape: shape.to_vec() });
    let gelu = Op::Activation(Activation::Gelu);
    let mut x = None;
    for (name, op) in [("x", input), ("hidden", first), ("act", gelu), ("out", last)] {
        x = Some(graph.add(name, op, x.as_slice()).expect("the module is sound"));
    }
    graph
}
