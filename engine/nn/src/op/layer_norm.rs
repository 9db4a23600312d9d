//! Layer norm.

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

/// `(x - mean) / sqrt(var + eps) * weight + bias` over a vector, or each position of a sequence (Ba et al. 2016,
/// equation 4).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f32,
    /// What `weight` is at birth; PyTorch's is 1.
    pub weight: f32,
}

impl OpRule for LayerNorm {
    const WORD: &'static str = "layer_norm";
    const TORCH: &'static str = "torch.nn.LayerNorm";

    fn unset() -> Self {
        Self { eps: 0.0, weight: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        norm_settings::settings(&mut self.eps, &mut self.weight, keys);
    }

    fn check(&self) -> Result<(), &'static str> {
        norm_settings::check_eps(self.eps)
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.vector_or_sequence().map(<[usize]>::to_vec)
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![
            ParamSpec::per_feature(node, "weight", shapes[0], Init::Constant(self.weight)),
            ParamSpec::per_feature(node, "bias", shapes[0], Init::ZERO),
        ]
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let shape = node.channels();
        let mean = lowering.tensor(shape.batch, GradMask::NONE);
        let rstd = lowering.tensor(shape.batch, GradMask::NONE);
        let (x, y) = (node.inputs[0], lowering.output(node));
        let (weight, bias, eps) = (node.params[0], node.params[1], self.eps);
        let norm = LayerNormForward { shape, x, weight, bias, eps, mean, rstd, y };
        // Mean 1, variance 3, normalised and mapped 4.
        lowering.push(norm, 8 * node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let (width, eps) = (node.channels().channels, f64::from(self.eps));
        oracle::layer_norm(width, eps, node.x(), node.param("weight"), node.param("bias"))
    }
}

instruction! {
    /// `y = (x - mean) * rstd * weight + bias`, a mean and a `rstd` for each position.
    LayerNormForward {
        shape: ChannelShape,
        x: TensorId,
        weight: Param,
        bias: Param,
        eps: f32,
        mean: TensorId,
        rstd: TensorId,
        y: TensorId,
    }
    tensors: x, mean, rstd, y;
}

impl Differentiable for LayerNormForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, weight, bias, mean, rstd, y, .. } = *self;
        tape.from(y, |tape, dy| {
            let flops = 14 * tape.elems(y);
            tape.push_both(&[weight, bias], x, flops, |dx, accumulate| LayerNormGrad {
                shape,
                dy,
                x,
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
    /// The gradients of `x`, `weight` and `bias`.
    LayerNormGrad {
        shape: ChannelShape,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        bias: Param,
        mean: TensorId,
        rstd: TensorId,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, x, mean, rstd, dx;
}
