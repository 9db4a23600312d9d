//! What a graph means: an interpreter in `f64`, slow and plain, that shares nothing with [`Program::compile`].
//!
//! Compiled programs are held to it, and it is smooth enough for central differences.

use std::collections::BTreeMap;

use esper_kernels::{cpu::LinearShape, oracle};

use super::{Program, compile::live_nodes};
use crate::graph::{GraphError, NetworkGraph, NodeIndex, Op};

/// Parameters by full name, in `f64`.
pub type ReferenceParams = BTreeMap<String, Vec<f64>>;

/// The parameters of `program` as they lie in `block`: `f32[params_len_elems]`.
pub fn widen_params(program: &Program, block: &[f32]) -> ReferenceParams {
    let widen = |values: &[f32]| values.iter().copied().map(f64::from).collect();
    let each = program.params.iter();
    each.map(|param| (param.spec.name.clone(), widen(&block[param.range()]))).collect()
}

/// The output of `graph` for `x: f64[rows, inputs]`, as in evaluation: dropout is off, and a loss gives its input.
///
/// # Errors
///
/// Fails on an empty graph.
///
/// # Panics
///
/// If `params` or `x` are not the graph's.
pub fn forward(
    graph: &NetworkGraph,
    params: &ReferenceParams,
    x: &[f64],
    rows: usize,
) -> Result<Vec<f64>, GraphError> {
    let output = graph.output()?;
    let n_slots = graph.nodes().map(|(index, _)| index.index() + 1).max().unwrap_or(0);
    let live = live_nodes(graph, n_slots)?;
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); n_slots];
    for (index, _) in graph.nodes().filter(|(index, _)| live[index.index()]) {
        values[index.index()] = evaluate(graph, index, params, &values, x, rows);
    }
    Ok(values.swap_remove(output.index()))
}

fn evaluate(
    graph: &NetworkGraph,
    index: NodeIndex,
    params: &ReferenceParams,
    values: &[Vec<f64>],
    x: &[f64],
    rows: usize,
) -> Vec<f64> {
    let node = graph.node(index);
    let inputs = graph.inputs(index);
    let input = |at: usize| values[inputs[at].index()].as_slice();
    let width = |at: usize| graph.node(inputs[at]).shape.iter().product::<usize>();
    let param = |suffix: &str| params[&format!("{}.{suffix}", node.name)].as_slice();
    match node.op {
        Op::Input { .. } => x.to_vec(),
        Op::Linear { outputs, bias, .. } => {
            let shape = LinearShape { rows, inputs: width(0), outputs };
            oracle::linear(shape, input(0), param("weight"), bias.then(|| param("bias")))
        }
        Op::Bias => add_rows(input(0), param("bias")),
        Op::Activation(kind) => input(0).iter().map(|x| oracle::activate(kind, *x)).collect(),
        Op::LayerNorm { eps, .. } => {
            oracle::layer_norm(width(0), f64::from(eps), input(0), param("weight"), param("bias"))
        }
        Op::RmsNorm { eps, .. } => {
            oracle::rms_norm(width(0), f64::from(eps), input(0), param("weight"))
        }
        Op::Add => oracle::add(input(0), input(1)),
        Op::Multiply => oracle::multiply(input(0), input(1)),
        Op::Residual { alpha } => oracle::residual(input(0), input(1), f64::from(alpha)),
        Op::Blend { alpha } => oracle::blend(input(0), input(1), f64::from(alpha)),
        Op::Scale { factor } => oracle::scale(input(0), f64::from(factor)),
        Op::LayerScale { .. } => oracle::layer_scale(input(0), param("weight")),
        Op::Gate => oracle::gate(input(0), param("weight")),
        Op::Dropout { .. } | Op::Reshape { .. } | Op::Fork | Op::Site | Op::Loss(_) => {
            input(0).to_vec()
        }
        _ => unimplemented!("pending"),
    }
}

fn add_rows(x: &[f64], bias: &[f64]) -> Vec<f64> {
    x.iter().zip(bias.iter().cycle()).map(|(x, bias)| x + bias).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{graph::Init, program::CompileOptions};

    #[test]
    fn a_small_network_computed_by_hand() {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Op::Input { shape: vec![2] }, &[]).unwrap();
        let init = Init::Constant(0.5);
        let h = graph.add("h", Op::Linear { outputs: 1, bias: true, init }, &[x]).unwrap();
        let unused = graph.add("unused", Op::linear(3), &[x]).unwrap();
        let y = graph.add("y", Op::Scale { factor: 4.0 }, &[h]).unwrap();
        graph.set_output(y);
        assert_ne!(unused, y);
        let program = Program::compile(&graph, CompileOptions::REFERENCE).unwrap();
        let block = program.draw_params(0, crate::world::rng::Purpose::Probe, 0);
        let params = widen_params(&program, &block);
        let found = forward(&graph, &params, &[1.0, 3.0, -1.0, 0.0], 2).unwrap();
        assert_eq!(found, [4.0 * (0.5 + 1.5 + 0.5), 4.0 * (-0.5 + 0.5)]);
    }
}
