//! What a graph means: an interpreter in `f64`, slow and plain, that shares nothing with [`Program::compile`].
//!
//! Compiled programs are held to it, and it is smooth enough for central differences.

use super::{PlacedParam, Program};
pub use crate::op::ReferenceParams;
use crate::{
    error::GraphError,
    graph::{NetworkGraph, NodeIndex},
    op::{Evaluation, Op},
};

/// The parameters of `program` as they lie in `block`: `f32[params_len_elems]`, and its buffers as they are at birth.
pub fn widen_params(program: &Program, block: &[f32]) -> ReferenceParams {
    let buffers = program.initial_buffers();
    let widen = |param: &PlacedParam, block: &[f32]| {
        let values = block[param.range()].iter().copied().map(f64::from).collect();
        (param.spec.name.clone(), values)
    };
    let params = program.params.iter().map(|param| widen(param, block));
    params.chain(program.buffers.iter().map(|buffer| widen(buffer, &buffers))).collect()
}

/// The output of `graph` for `x: f64[rows, inputs]`, tokens as whole numbers, as in evaluation: dropout is off, batch norms use their running
/// statistics, and a loss gives its input.
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
    Reference { graph, params, x, rows, is_training: false }.output()
}

/// As [`forward`], with batch norms by the statistics of the batch, as in training.
///
/// # Errors
///
/// Fails on an empty graph.
///
/// # Panics
///
/// If `params` or `x` are not the graph's.
pub fn forward_training(
    graph: &NetworkGraph,
    params: &ReferenceParams,
    x: &[f64],
    rows: usize,
) -> Result<Vec<f64>, GraphError> {
    Reference { graph, params, x, rows, is_training: true }.output()
}

struct Reference<'a> {
    graph: &'a NetworkGraph,
    params: &'a ReferenceParams,
    x: &'a [f64],
    rows: usize,
    is_training: bool,
}

impl Reference<'_> {
    fn output(&self) -> Result<Vec<f64>, GraphError> {
        let graph = self.graph;
        let output = graph.output()?;
        let live = graph.live_nodes()?;
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); live.len()];
        for (index, _) in graph.nodes().filter(|(index, _)| live[index.index()]) {
            values[index.index()] = self.evaluate(index, &values);
        }
        Ok(values.swap_remove(output.index()))
    }

    fn evaluate(&self, index: NodeIndex, values: &[Vec<f64>]) -> Vec<f64> {
        let node = self.graph.node(index);
        let mut inputs: Vec<&[f64]> =
            self.graph.inputs(index).iter().map(|it| values[it.index()].as_slice()).collect();
        if let Op::Input(_) = node.op {
            inputs.push(self.x);
        }
        node.op.evaluate(&Evaluation {
            node: &node.name,
            inputs: &inputs,
            shapes: &self.graph.input_shapes(index),
            params: self.params,
            rows: self.rows,
            is_training: self.is_training,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::{Input, Linear, Scale},
        program::CompileOptions,
        tensor::Init,
    };

    #[test]
    fn a_small_network_computed_by_hand() {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Input { shape: vec![2] }, &[]).unwrap();
        let init = Init::Constant(0.5);
        let h = graph.add("h", Linear { outputs: 1, bias: true, init }, &[x]).unwrap();
        let unused = graph.add("unused", Linear::new(3), &[x]).unwrap();
        let y = graph.add("y", Scale { factor: 4.0 }, &[h]).unwrap();
        graph.set_output(y);
        assert_ne!(unused, y);
        let program = Program::compile(&graph, CompileOptions::REFERENCE).unwrap();
        let block = program.draw_params(0, crate::rng::Purpose::Probe, 0);
        let params = widen_params(&program, &block);
        let found = forward(&graph, &params, &[1.0, 3.0, -1.0, 0.0], 2).unwrap();
        assert_eq!(found, [4.0 * (0.5 + 1.5 + 0.5), 4.0 * (-0.5 + 0.5)]);
    }
}
