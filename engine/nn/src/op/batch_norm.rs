//! Batch norm.

use esper_kernels::{cpu::ChannelShape, oracle};
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction, norm_settings,
};
use crate::{
    error::GraphError,
    schedule::GradMask,
    settings::Keys,
    tensor::{Init, Param, ParamSpec, Shape, TensorId},
};

/// Share of the newest batch in a batch norm's running statistics where none is named: PyTorch's default.
pub const BATCH_NORM_MOMENTUM: f32 = 0.1;

/// `(x - mean) / sqrt(var + eps) * weight + bias` for each channel: while training over the batch, else by running
/// statistics (Ioffe and Szegedy 2015, algorithms 1 and 2).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f32,
    /// Share of the newest batch in the running statistics; PyTorch's is 0.1.
    pub momentum: f32,
    /// What `weight` is at birth; PyTorch's is 1.
    pub weight: f32,
}

impl OpRule for BatchNorm {
    const WORD: &'static str = "batch_norm";
    const TORCH: &'static str = "torch.nn.BatchNorm1d or BatchNorm2d";

    fn unset() -> Self {
        Self { eps: 0.0, momentum: 0.0, weight: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        norm_settings::settings(&mut self.eps, &mut self.weight, keys);
        keys.optional("momentum", &mut self.momentum, BATCH_NORM_MOMENTUM);
    }

    fn check(&self) -> Result<(), &'static str> {
        norm_settings::check_eps(self.eps)?;
        if (0.0..=1.0).contains(&self.momentum) { Ok(()) } else { Err("momentum is in [0, 1]") }
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        match *at.x() {
            [len, width] => at.refuse("input", vec![width, len, 1], at.x()),
            _ => at.same(),
        }
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![
            ParamSpec::per_feature(node, "weight", shapes[0], Init::Constant(self.weight)),
            ParamSpec::per_feature(node, "bias", shapes[0], Init::ZERO),
        ]
    }

    fn buffers(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![
            ParamSpec::per_feature(node, "running_mean", shapes[0], Init::ZERO),
            ParamSpec::per_feature(node, "running_var", shapes[0], Init::Constant(1.0)),
            ParamSpec::new(node, "num_batches_tracked", Vec::new(), Init::ZERO, 1),
        ]
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let shape = node.channels();
        let mean = lowering.tensor(shape.channels, GradMask::NONE);
        let rstd = lowering.tensor(shape.channels, GradMask::NONE);
        let (x, y) = (node.inputs[0], lowering.output(node));
        let rectify = lowering.fold_rectifier(node, "batch norm");
        let [running_mean, var, batches] = [0, 1, 2].map(|at| node.buffers[at]);
        let running = RunningStatistics { mean: running_mean, var, batches };
        let (weight, bias) = (node.params[0], node.params[1]);
        let Self { eps, momentum, .. } = *self;
        // Mean 1, variance 3, normalised and mapped 4.
        let flops = (8 + usize::from(rectify)) * node.elems();
        lowering.push(
            BatchNormForward {
                shape,
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

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let (shape, eps, x) = (node.channels(), f64::from(self.eps), node.x());
        let (gamma, beta) = (node.param("weight"), node.param("bias"));
        if node.is_training {
            return oracle::batch_norm(shape, eps, x, gamma, beta);
        }
        let (mean, var) = (node.param("running_mean"), node.param("running_var"));
        oracle::batch_norm_inference(shape, eps, x, gamma, beta, mean, var)
    }
}

/// Buffers of a batch norm, in the block of buffers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningStatistics {
    /// `f32[channels]`.
    pub mean: Param,
    /// `f32[channels]`, unbiased.
    pub var: Param,
    /// Batches seen: one whole number.
    pub batches: Param,
}

instruction! {
    /// `y = (x - mean) * rstd * weight + bias`, then the rectifier where `rectify`. `mean` and `rstd` are of the batch:
    /// `f32[channels]`, at the start of their regions.
    BatchNormForward {
        shape: ChannelShape,
        x: TensorId,
        weight: Param,
        bias: Param,
        running: RunningStatistics,
        eps: f32,
        momentum: f32,
        rectify: bool,
        mean: TensorId,
        rstd: TensorId,
        y: TensorId,
    }
    tensors: x, mean, rstd, y;
}

impl Differentiable for BatchNormForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, weight, bias, rectify, mean, rstd, y, .. } = *self;
        tape.from(y, |tape, dy| {
            let rectified = rectify.then_some(y);
            let flops = (12 + usize::from(rectify)) * tape.elems(y);
            tape.push_both(&[weight, bias], x, flops, |dx, accumulate| BatchNormGrad {
                shape,
                dy,
                x,
                rectified,
                weight,
                bias,
                mean,
                rstd,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// The gradients of `x`, `weight` and `bias`. Where `rectified`, the output that the rectifier left, `dy` is masked
    /// by it in place first.
    BatchNormGrad {
        shape: ChannelShape,
        dy: TensorId,
        x: TensorId,
        rectified: Option<TensorId>,
        weight: Param,
        bias: Param,
        mean: TensorId,
        rstd: TensorId,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, x, rectified, mean, rstd, dx;
}
