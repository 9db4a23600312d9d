//! What a graph means: an interpreter in `f64`, slow and plain, that shares nothing with [`Program::compile`].
//!
//! Compiled programs are held to it, and it is smooth enough for central differences.

use std::collections::BTreeMap;

use esper_kernels::{
    cpu::{AttentionShape, ChannelShape, Conv2dShape, LinearShape, PatchShape, PoolShape},
    oracle,
};

use super::{PlacedParam, Program, compile::live_nodes};
use crate::graph::{Features, GraphError, NetworkGraph, NodeIndex, Op, Pool, features};

/// Parameters and buffers by full name, in `f64`.
pub type ReferenceParams = BTreeMap<String, Vec<f64>>;

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

/// The output of `graph` for `x: f64[rows, inputs]`, as in evaluation: dropout is off, batch norms use their running
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

/// A node about to be evaluated.
struct Operands<'a> {
    op: &'a Op,
    name: &'a str,
    /// The inputs' values, a batch each.
    inputs: Vec<&'a [f64]>,
    /// The first input's shape.
    shape: &'a [usize],
    params: &'a ReferenceParams,
}

impl<'a> Operands<'a> {
    fn param(&self, suffix: &str) -> &'a [f64] {
        &self.params[&format!("{}.{suffix}", self.name)]
    }

    fn bias(&self, has_bias: bool) -> Option<&'a [f64]> {
        has_bias.then(|| self.param("bias"))
    }

    fn image(&self) -> [usize; 3] {
        self.shape.try_into().expect("shapes were inferred")
    }
}

impl Reference<'_> {
    fn output(&self) -> Result<Vec<f64>, GraphError> {
        let graph = self.graph;
        let output = graph.output()?;
        let n_slots = graph.nodes().map(|(index, _)| index.index() + 1).max().unwrap_or(0);
        let live = live_nodes(graph, n_slots)?;
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); n_slots];
        for (index, _) in graph.nodes().filter(|(index, _)| live[index.index()]) {
            values[index.index()] = self.evaluate(index, &values);
        }
        Ok(values.swap_remove(output.index()))
    }

    fn evaluate(&self, index: NodeIndex, values: &[Vec<f64>]) -> Vec<f64> {
        let node = self.graph.node(index);
        let inputs = self.graph.inputs(index);
        let operands = Operands {
            op: &node.op,
            name: &node.name,
            inputs: inputs.iter().map(|input| values[input.index()].as_slice()).collect(),
            shape: inputs.first().map_or(&[], |input| &self.graph.node(*input).shape),
            params: self.params,
        };
        let input = |at: usize| operands.inputs[at];
        match node.op {
            Op::Input { .. } => self.x.to_vec(),
            Op::Activation(kind) => input(0).iter().map(|x| oracle::activate(kind, *x)).collect(),
            Op::Add => oracle::add(input(0), input(1)),
            Op::Multiply => oracle::multiply(input(0), input(1)),
            Op::Residual { alpha } => oracle::residual(input(0), input(1), f64::from(alpha)),
            Op::Blend { alpha } => oracle::blend(input(0), input(1), f64::from(alpha)),
            Op::Scale { factor } => oracle::scale(input(0), f64::from(factor)),
            Op::Concat => self.concat(index, &operands.inputs),
            Op::Dropout { .. }
            | Op::Reshape { .. }
            | Op::Flatten
            | Op::Branch
            | Op::Site
            | Op::Loss(_) => input(0).to_vec(),
            Op::Linear { .. }
            | Op::TiedLinear { .. }
            | Op::Embedding { .. }
            | Op::PatchEmbed { .. }
            | Op::Conv2d { .. } => self.weigh(&operands),
            Op::Attention { .. }
            | Op::MaxPool2d(_)
            | Op::AvgPool2d(_)
            | Op::GlobalAvgPool
            | Op::MeanPositions
            | Op::ChannelMultiply => self.mix(&operands),
            _ => self.per_feature(&operands),
        }
    }

    /// Ops with a weight matrix.
    fn weigh(&self, node: &Operands<'_>) -> Vec<f64> {
        let (x, rows) = (node.inputs[0], self.rows);
        let Features { positions, width: inputs, .. } = features(node.shape);
        match *node.op {
            Op::Linear { outputs, bias, .. } => {
                let shape = LinearShape { rows: rows * positions, inputs, outputs };
                oracle::linear(shape, x, node.param("weight"), node.bias(bias))
            }
            Op::TiedLinear { ref embedding } => {
                let weight = &node.params[&format!("{embedding}.weight")];
                let outputs = weight.len() / inputs;
                let shape = LinearShape { rows: rows * positions, inputs, outputs };
                oracle::linear(shape, x, weight, None)
            }
            Op::Embedding { width, .. } => {
                // The bit pattern of each, as programs read them.
                let tokens: Vec<u32> = x.iter().map(|token| (*token as f32).to_bits()).collect();
                oracle::embedding(width, &tokens, node.param("weight"))
            }
            Op::PatchEmbed { outputs, patch } => {
                let [channels, height, width] = node.image();
                let shape = PatchShape { batch: rows, channels, height, width, patch };
                let squares = oracle::patches(shape, x);
                let inputs = channels * patch * patch;
                let shape = LinearShape { rows: squares.len() / inputs, inputs, outputs };
                oracle::linear(shape, &squares, node.param("weight"), node.bias(true))
            }
            Op::Conv2d { outputs, kernel, stride, padding, groups, bias, .. } => {
                let [in_channels, height, width] = node.image();
                let shape = Conv2dShape {
                    batch: rows,
                    in_channels,
                    out_channels: outputs,
                    height,
                    width,
                    kernel,
                    stride,
                    padding,
                    groups,
                };
                oracle::conv2d(shape, x, node.param("weight"), node.bias(bias))
            }
            ref op => unreachable!("{op:?} has no weight matrix"),
        }
    }

    /// Ops without parameters that mix positions or channels.
    fn mix(&self, node: &Operands<'_>) -> Vec<f64> {
        let (x, batch) = (node.inputs[0], self.rows);
        let Features { positions, width, inner } = features(node.shape);
        let channels = ChannelShape { batch, channels: width, len: inner };
        let windows = |Pool { kernel, stride, padding }| {
            let [channels, height, width] = node.image();
            PoolShape { batch, channels, height, width, kernel, stride, padding }
        };
        match *node.op {
            Op::Attention { heads, is_causal } => {
                let head_width = width / (3 * heads);
                let shape = AttentionShape { batch, len: positions, heads, head_width, is_causal };
                let [y, _] = oracle::attention(shape, x);
                y
            }
            Op::MaxPool2d(pool) => oracle::max_pool2d(windows(pool), x),
            Op::AvgPool2d(pool) => oracle::avg_pool2d(windows(pool), x),
            Op::GlobalAvgPool => oracle::channel_mean(channels, x),
            Op::MeanPositions => oracle::mean_positions(positions, width, x),
            Op::ChannelMultiply => oracle::channel_multiply(channels, x, node.inputs[1]),
            ref op => unreachable!("{op:?} mixes nothing"),
        }
    }

    /// Ops with parameters for each feature.
    fn per_feature(&self, node: &Operands<'_>) -> Vec<f64> {
        let x = node.inputs[0];
        let Features { positions, width, inner } = features(node.shape);
        let shape = ChannelShape { batch: self.rows * positions, channels: width, len: inner };
        let affine = || (node.param("weight"), node.param("bias"));
        match *node.op {
            Op::Bias => oracle::channel_bias(shape, x, node.param("bias")),
            Op::Positions { .. } => add_rows(x, node.param("weight")),
            Op::LayerScale { .. } => oracle::channel_scale(shape, x, node.param("weight")),
            Op::Gate => oracle::channel_gate(shape, x, node.param("weight")),
            Op::RmsNorm { eps, .. } => {
                oracle::rms_norm(width, f64::from(eps), x, node.param("weight"))
            }
            Op::LayerNorm { eps, .. } => {
                let (gamma, beta) = affine();
                oracle::layer_norm(width, f64::from(eps), x, gamma, beta)
            }
            Op::GroupNorm { groups, eps, .. } => {
                let (gamma, beta) = affine();
                oracle::group_norm(shape, groups, f64::from(eps), x, gamma, beta)
            }
            Op::BatchNorm { eps, .. } => {
                let ((gamma, beta), eps) = (affine(), f64::from(eps));
                if self.is_training {
                    return oracle::batch_norm(shape, eps, x, gamma, beta);
                }
                let (mean, var) = (node.param("running_mean"), node.param("running_var"));
                oracle::batch_norm_inference(shape, eps, x, gamma, beta, mean, var)
            }
            ref op => unreachable!("{op:?} is evaluated elsewhere"),
        }
    }

    fn concat(&self, index: NodeIndex, inputs: &[&[f64]]) -> Vec<f64> {
        let rows = self.rows * features(&self.graph.node(index).shape).positions;
        let row = |row: usize| {
            inputs.iter().flat_map(move |input| {
                let width = input.len() / rows;
                &input[row * width..][..width]
            })
        };
        (0..rows).flat_map(row).copied().collect()
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
        let block = program.draw_params(0, crate::rng::Purpose::Probe, 0);
        let params = widen_params(&program, &block);
        let found = forward(&graph, &params, &[1.0, 3.0, -1.0, 0.0], 2).unwrap();
        assert_eq!(found, [4.0 * (0.5 + 1.5 + 0.5), 4.0 * (-0.5 + 0.5)]);
    }
}
