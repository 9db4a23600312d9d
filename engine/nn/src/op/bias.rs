//! A bias for each feature.

use esper_kernels::{cpu::ChannelShape, oracle};
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    tensor::{Init, Param, ParamSpec, Shape, TensorId},
};

/// `y = x + b`, `b: f32[width]`, drawn as zeros.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Bias;

impl OpRule for Bias {
    const WORD: &'static str = "bias";
    const TORCH: &'static str = "x + torch.nn.Parameter";

    fn unset() -> Self {
        Self
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![ParamSpec::per_feature(node, "bias", shapes[0], Init::ZERO)]
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, bias, y) = (node.inputs[0], node.params[0], lowering.output(node));
        lowering.push(BiasForward { shape: node.channels(), x, bias, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::channel_bias(node.channels(), node.x(), node.param("bias"))
    }
}

instruction! {
    /// `y = x + b`, a value of `b` for each feature.
    BiasForward { shape: ChannelShape, x: TensorId, bias: Param, y: TensorId }
    tensors: x, y;
}

impl Differentiable for BiasForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, bias, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = tape.elems(y);
            tape.push_param(bias, BiasGrad { shape, dy, bias }, flops);
            tape.pass(x, dy, true);
        })
    }
}

instruction! {
    /// `db`: the sum of `dy` over examples, positions and pixels.
    BiasGrad { shape: ChannelShape, dy: TensorId, bias: Param }
    tensors: dy;
}
