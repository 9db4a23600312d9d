//! Group norm.

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

/// `(x - mean) / sqrt(var + eps) * weight + bias` over groups of an example's channels (Wu and He 2018, section 3).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct GroupNorm {
    /// Groups; they divide the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// What `weight` is at birth; PyTorch's is 1.
    pub weight: f32,
}

impl OpRule for GroupNorm {
    const WORD: &'static str = "group_norm";
    const TORCH: &'static str = "torch.nn.GroupNorm";

    fn unset() -> Self {
        Self { groups: 0, eps: 0.0, weight: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("groups", &mut self.groups);
        norm_settings::settings(&mut self.eps, &mut self.weight, keys);
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.groups == 0 {
            return Err("there is at least one head or group");
        }
        norm_settings::check_eps(self.eps)
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let [channels, height, width] = at.image()?;
        if channels.is_multiple_of(self.groups) {
            return at.same();
        }
        at.refuse("channels of whole groups", vec![self.groups, height, width], at.x())
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![
            ParamSpec::per_feature(node, "weight", shapes[0], Init::Constant(self.weight)),
            ParamSpec::per_feature(node, "bias", shapes[0], Init::ZERO),
        ]
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (shape, groups, eps) = (node.channels(), self.groups, self.eps);
        let mean = lowering.tensor(groups, GradMask::NONE);
        let rstd = lowering.tensor(groups, GradMask::NONE);
        let (x, y) = (node.inputs[0], lowering.output(node));
        let (weight, bias) = (node.params[0], node.params[1]);
        let norm = GroupNormForward { shape, groups, x, weight, bias, eps, mean, rstd, y };
        // Mean 1, variance 3, normalised and mapped 4.
        lowering.push(norm, 8 * node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let (shape, eps) = (node.channels(), f64::from(self.eps));
        let (gamma, beta) = (node.param("weight"), node.param("bias"));
        oracle::group_norm(shape, self.groups, eps, node.x(), gamma, beta)
    }
}

instruction! {
    /// `y = (x - mean) * rstd * weight + bias`, a mean and a `rstd` for each group.
    GroupNormForward {
        shape: ChannelShape,
        groups: usize,
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

impl Differentiable for GroupNormForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, groups, x, weight, bias, mean, rstd, y, .. } = *self;
        tape.from(y, |tape, dy| {
            let flops = 14 * tape.elems(y);
            tape.push_both(&[weight, bias], x, flops, |dx, accumulate| GroupNormGrad {
                shape,
                groups,
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
    GroupNormGrad {
        shape: ChannelShape,
        groups: usize,
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
