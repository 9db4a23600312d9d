//! A gate for each feature.

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

/// `y = sigmoid(weight) * x`, `weight: f32[width]`, drawn as zeros.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Gate;

impl OpRule for Gate {
    const WORD: &'static str = "gate";
    const TORCH: &'static str = "torch.sigmoid(weight) * x";

    fn unset() -> Self {
        Self
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![ParamSpec::per_feature(node, "weight", shapes[0], Init::ZERO)]
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, weight, y) = (node.inputs[0], node.params[0], lowering.output(node));
        let shape = node.channels();
        lowering.push(GateForward { shape, x, weight, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::channel_gate(node.channels(), node.x(), node.param("weight"))
    }
}

instruction! {
    /// `y = sigmoid(weight) * x`, a value of `weight` for each feature.
    GateForward { shape: ChannelShape, x: TensorId, weight: Param, y: TensorId }
    tensors: x, y;
}

impl Differentiable for GateForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, weight, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = 3 * tape.elems(y);
            tape.push_both(&[weight], x, flops, |dx, accumulate| GateGrad {
                shape,
                dy,
                x,
                weight,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// The gradients of `x` and `weight`.
    GateGrad {
        shape: ChannelShape,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, x, dx;
}
