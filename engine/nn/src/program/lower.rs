//! Ops to instructions.

use esper_kernels::cpu::Activation;

use super::{
    GradMask, Instr, TensorId,
    compile::{Lowered, Lowering, TensorInfo},
    instr::{
        AttentionSpec, ConvSpec, FeatureMap, LinearSpec, PatchSpec, PoolSpec, RunningStatistics,
    },
};
use crate::{
    digest::Digest,
    graph::{Features, Loss, NodeIndex, Op, Pool, features},
};

impl Lowering<'_> {
    /// Lowers an op that computes something, and returns its output.
    pub(super) fn lower_op(&mut self, node: Lowered) -> TensorId {
        let graph = self.graph;
        let shape = graph.input_shapes(node.index)[0];
        match &graph.node(node.index).op {
            Op::Linear { outputs, .. } => {
                let Features { positions, width: inputs, .. } = features(shape);
                self.lower_linear(node, LinearSpec { positions, inputs, outputs: *outputs })
            }
            Op::TiedLinear { embedding } => {
                let Features { positions, width: inputs, .. } = features(shape);
                let outputs = node.elems / positions;
                let weight = self.embedding_weight(embedding);
                let need = GradMask { params: true, ..node.need };
                let node = Lowered { params: vec![weight], need, ..node };
                self.lower_linear(node, LinearSpec { positions, inputs, outputs })
            }
            Op::Conv2d { outputs, kernel, stride, padding, groups, .. } => {
                let spec = ConvSpec {
                    in_channels: shape[0],
                    out_channels: *outputs,
                    height: shape[1],
                    width: shape[2],
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    groups: *groups,
                };
                self.lower_conv(node, spec)
            }
            Op::PatchEmbed { outputs, patch } => {
                let (channels, height, width) = (shape[0], shape[1], shape[2]);
                let spec = PatchSpec { channels, height, width, patch: *patch };
                let inputs = channels * patch * patch;
                let positions = node.elems / outputs;
                let squares =
                    self.tensor(positions * inputs, self.info[node.inputs[0].0 as usize].need);
                self.push(Instr::Patches { spec, x: node.inputs[0], y: squares }, 0);
                let node = Lowered { inputs: vec![squares], ..node };
                self.lower_linear(node, LinearSpec { positions, inputs, outputs: *outputs })
            }
            Op::BatchNorm { eps, momentum, .. } => {
                self.lower_batch_norm(node, shape, *eps, *momentum)
            }
            Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::GroupNorm { .. } => {
                self.lower_norm(node, shape)
            }
            Op::Attention { heads, is_causal } => {
                let spec = AttentionSpec {
                    len: shape[0],
                    heads: *heads,
                    head_width: shape[1] / (3 * heads),
                    is_causal: *is_causal,
                };
                let lse = self.tensor(spec.heads * spec.len, GradMask::default());
                let y = self.tensor(node.elems, node.need);
                let flops = spec.with_rows(1).flops_forward();
                self.push(Instr::Attention { spec, x: node.inputs[0], lse, y }, flops);
                y
            }
            Op::Concat => self.lower_concat(node),
            _ => self.lower_map(node, shape),
        }
    }

    pub(super) fn lower_loss(&mut self, loss: Loss, index: NodeIndex, x: TensorId) -> TensorId {
        let TensorInfo { elems, need } = self.info[x.0 as usize];
        let gradient = self.tensor(elems, need);
        let positions = features(self.graph.input_shapes(index)[0]).positions;
        // Softmax: max, subtract, exp (about 20), sum, divide, label, gradient: counted as 25 a logit.
        match loss {
            Loss::CrossEntropy => {
                let instr = Instr::CrossEntropy { positions, logits: x, gradient };
                self.push(instr, 25 * elems as u64);
            }
            Loss::MeanSquaredError => {
                self.push(Instr::MeanSquaredError { prediction: x, gradient }, 4 * elems as u64);
            }
        }
        x
    }

    fn lower_linear(&mut self, node: Lowered, spec: LinearSpec) -> TensorId {
        let Lowered { index, need, elems, .. } = node;
        let (x, weight, bias) = (node.inputs[0], node.params[0], node.params.get(1).copied());
        if !self.options.fuse {
            let z = self.tensor(elems, need);
            let (activation, pre) = (None, None);
            let linear = Instr::Linear { spec, x, weight, bias: None, activation, pre, y: z };
            self.push(linear, spec.flops());
            let Some(bias) = bias else { return z };
            let y = self.tensor(elems, need);
            let spec = Features { positions: spec.positions, width: spec.outputs, inner: 1 };
            self.push(Instr::Bias { spec, x: z, bias, y }, elems as u64);
            return y;
        }
        let folded = self.foldable_activation(index);
        let activation = folded.map(|(_, kind)| kind);
        let pre = activation.filter(|kind| kind.saves_input()).map(|_| self.tensor(elems, need));
        let y = self.tensor(elems, need);
        if let Some((reader, kind)) = folded {
            self.tensors[reader.index()] = Some(y);
            self.note(&format!("linear+{kind:?}").to_lowercase());
        }
        let elementwise =
            u64::from(bias.is_some()) + activation.map_or(0, |kind| kind.flops_per_elem());
        self.push(
            Instr::Linear { spec, x, weight, bias, activation, pre, y },
            spec.flops() + elementwise * elems as u64,
        );
        if bias.is_some() {
            self.note("linear+bias");
        }
        y
    }

    /// The rectifier that reads `index` and nothing else does, folded into it: `y` is then its output too.
    fn fold_rectifier(&mut self, index: NodeIndex, y: TensorId, what: &str) -> bool {
        match self.foldable_activation(index) {
            Some((reader, Activation::Relu)) => {
                self.tensors[reader.index()] = Some(y);
                self.note(&format!("{what}+relu"));
                true
            }
            _ => false,
        }
    }

    fn lower_conv(&mut self, node: Lowered, spec: ConvSpec) -> TensorId {
        let (x, weight, bias) = (node.inputs[0], node.params[0], node.params.get(1).copied());
        let flops = spec.with_rows(1).flops();
        if !self.options.fuse
            && let Some(bias) = bias
        {
            let z = self.tensor(node.elems, node.need);
            self.push(Instr::Conv2d { spec, x, weight, bias: None, rectify: false, y: z }, flops);
            let y = self.tensor(node.elems, node.need);
            let (positions, width) = (1, spec.out_channels);
            let spec = Features { positions, width, inner: node.elems / width };
            self.push(Instr::Bias { spec, x: z, bias, y }, node.elems as u64);
            return y;
        }
        let y = self.tensor(node.elems, node.need);
        let rectify = self.fold_rectifier(node.index, y, "conv2d");
        let elementwise = u64::from(bias.is_some()) + u64::from(rectify);
        let flops = flops + elementwise * node.elems as u64;
        self.push(Instr::Conv2d { spec, x, weight, bias, rectify, y }, flops);
        y
    }

    fn lower_batch_norm(
        &mut self,
        node: Lowered,
        shape: &[usize],
        eps: f32,
        momentum: f32,
    ) -> TensorId {
        let spec = features(shape);
        let (mean, rstd) = (
            self.tensor(spec.width, GradMask::default()),
            self.tensor(spec.width, GradMask::default()),
        );
        let y = self.tensor(node.elems, node.need);
        let rectify = self.fold_rectifier(node.index, y, "batch norm");
        let [mean_of, var, batches] = [0, 1, 2].map(|at| node.buffers[at]);
        let running = RunningStatistics { mean: mean_of, var, batches };
        let (weight, bias) = (node.params[0], node.params[1]);
        // Mean 1, variance 3, normalised and mapped 4.
        let flops = (8 + u64::from(rectify)) * node.elems as u64;
        let x = node.inputs[0];
        self.push(
            Instr::BatchNorm {
                spec,
                x,
                weight,
                bias,
                running,
                eps,
                momentum,
                rectify,
                mean,
                rstd,
                y,
            },
            flops,
        );
        y
    }

    fn lower_norm(&mut self, node: Lowered, shape: &[usize]) -> TensorId {
        let spec = features(shape);
        let (x, weight) = (node.inputs[0], node.params[0]);
        let none = GradMask::default();
        let op = self.graph.node(node.index).op.clone();
        let rows = match op {
            Op::GroupNorm { groups, .. } => groups,
            _ => spec.positions,
        };
        let mean = self.tensor(rows, none);
        let rstd = self.tensor(rows, none);
        let y = self.tensor(node.elems, node.need);
        let (instr, flops_per_elem) = match op {
            Op::LayerNorm { eps, .. } => {
                (Instr::LayerNorm { spec, x, weight, bias: node.params[1], eps, mean, rstd, y }, 8)
            }
            Op::GroupNorm { groups, eps, .. } => {
                let bias = node.params[1];
                (Instr::GroupNorm { spec, groups, x, weight, bias, eps, mean, rstd, y }, 8)
            }
            Op::RmsNorm { eps, .. } => (Instr::RmsNorm { spec, x, weight, eps, rstd, y }, 4),
            _ => unreachable!("only norms are lowered here"),
        };
        self.push(instr, flops_per_elem * node.elems as u64);
        y
    }

    fn lower_concat(&mut self, node: Lowered) -> TensorId {
        let shapes = self.graph.input_shapes(node.index);
        let positions = features(shapes[0]).positions;
        let y = self.tensor(node.elems, node.need);
        let mut at = 0;
        for x in node.inputs {
            self.push(Instr::CopyColumns { positions, at, x, y }, 0);
            at += self.info[x.0 as usize].elems / positions;
        }
        y
    }

    /// Ops of one instruction.
    fn lower_map(&mut self, node: Lowered, shape: &[usize]) -> TensorId {
        let Lowered { ref inputs, ref params, need, elems, index, .. } = node;
        let spec = features(shape);
        let x = inputs[0];
        let other = inputs.get(1).map_or(x, |other| self.distinct(*other, x));
        let y = self.tensor(elems, need);
        let pool = |pool: Pool| {
            let (channels, height, width) = (shape[0], shape[1], shape[2]);
            PoolSpec { channels, height, width, pool }
        };
        let read = inputs.first().map_or(0, |x| self.info[x.0 as usize].elems) as u64;
        let elems = elems as u64;
        let node = self.graph.node(index);
        let (instr, flops) = match node.op {
            Op::Embedding { width, .. } => {
                let spec = Features { positions: shape[0], width, inner: 1 };
                (Instr::Embedding { spec, x, weight: params[0], y }, 0)
            }
            Op::Positions { .. } => {
                let spec = Features { positions: 1, width: spec.positions * spec.width, inner: 1 };
                (Instr::Bias { spec, x, bias: params[0], y }, elems)
            }
            Op::Bias => (Instr::Bias { spec, x, bias: params[0], y }, elems),
            Op::Activation(kind) => {
                (Instr::Activation { kind, x, y }, kind.flops_per_elem() * elems)
            }
            Op::Add => (Instr::Add { a: x, b: other, y }, elems),
            Op::Multiply => (Instr::Multiply { a: x, b: other, y }, elems),
            Op::ChannelMultiply => (Instr::ChannelMultiply { spec, x, scales: other, y }, elems),
            Op::Residual { alpha } => (Instr::Residual { x, f: other, alpha, y }, 2 * elems),
            Op::Blend { alpha } => (Instr::Blend { x, m: other, alpha, y }, 4 * elems),
            Op::Scale { factor } => (Instr::Scale { x, factor, y }, elems),
            Op::LayerScale { .. } => {
                let map = FeatureMap::Scale;
                (Instr::FeatureMap { map, spec, x, weight: params[0], y }, elems)
            }
            Op::Gate => {
                let map = FeatureMap::Gate;
                (Instr::FeatureMap { map, spec, x, weight: params[0], y }, elems)
            }
            // The mask depends on the node's name alone, so that what grows elsewhere moves no mask.
            Op::Dropout { p } => {
                let salt = salt_of(&node.name);
                (Instr::Dropout { x, p, salt, y }, elems)
            }
            Op::Branch => (Instr::Copy { x, y }, 0),
            Op::MaxPool2d(windows) => {
                let taps = (windows.kernel[0] * windows.kernel[1]) as u64;
                (Instr::MaxPool { spec: pool(windows), x, y }, taps * elems)
            }
            Op::AvgPool2d(windows) => {
                let taps = (windows.kernel[0] * windows.kernel[1]) as u64;
                (Instr::AvgPool { spec: pool(windows), x, y }, (taps + 1) * elems)
            }
            Op::GlobalAvgPool => (Instr::ChannelMean { spec, x, y }, read),
            Op::MeanPositions => (Instr::MeanPositions { spec, x, y }, read),
            ref op => unreachable!("{op:?} is lowered by a function of its own"),
        };
        self.push(instr, flops);
        y
    }

    /// `x`, or a copy of it if it is `other`: no kernel reads one tensor as both of its inputs.
    fn distinct(&mut self, x: TensorId, other: TensorId) -> TensorId {
        if x != other {
            return x;
        }
        let TensorInfo { elems, need } = self.info[x.0 as usize];
        let y = self.tensor(elems, need);
        self.push(Instr::Copy { x, y }, 0);
        y
    }
}

fn salt_of(name: &str) -> u64 {
    let digest = Digest::of_value(&name);
    let (head, _) = digest.0.split_first_chunk().expect("a digest has 32 bytes");
    u64::from_le_bytes(*head)
}
