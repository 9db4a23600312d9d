//! Root-mean-square norm.

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

/// `x / sqrt(mean(x^2) + eps) * weight` over a vector, or each position of a sequence (Zhang and Sennrich 2019,
/// equation 4).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f32,
    /// What `weight` is at birth; PyTorch's is 1.
    pub weight: f32,
}

impl OpRule for RmsNorm {
    const WORD: &'static str = "rms_norm";
    const TORCH: &'static str = "torch.nn.RMSNorm";

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
        vec![ParamSpec::per_feature(node, "weight", shapes[0], Init::Constant(self.weight))]
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let shape = node.channels();
        let rstd = lowering.tensor(shape.batch, GradMask::NONE);
        let (x, y) = (node.inputs[0], lowering.output(node));
        let (weight, eps) = (node.params[0], self.eps);
        // Mean square 2, normalised and mapped 2.
        lowering.push(RmsNormForward { shape, x, weight, eps, rstd, y }, 4 * node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let (width, eps) = (node.channels().channels, f64::from(self.eps));
        oracle::rms_norm(width, eps, node.x(), node.param("weight"))
    }
}

instruction! {
    /// `y = x * rstd * weight`, a `rstd` for each position.
    RmsNormForward {
        shape: ChannelShape,
        x: TensorId,
        weight: Param,
        eps: f32,
        rstd: TensorId,
        y: TensorId,
    }
    tensors: x, rstd, y;
}

impl Differentiable for RmsNormForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, weight, rstd, y, .. } = *self;
        tape.from(y, |tape, dy| {
            let flops = 9 * tape.elems(y);
            tape.push_both(&[weight], x, flops, |dx, accumulate| RmsNormGrad {
                shape,
                dy,
                x,
                weight,
                rstd,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// The gradients of `x` and `weight`.
    RmsNormGrad {
        shape: ChannelShape,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        rstd: TensorId,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, x, rstd, dx;
}
