//! A factor for each feature.

use esper_kernels::{cpu::ChannelShape, oracle};
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Init, Param, ParamSpec, Shape, TensorId},
};

/// `y = weight * x`, `weight: f32[width]` (`LayerScale`, Touvron et al. 2021, equation 4).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct LayerScale {
    /// What `weight` is at birth.
    pub weight: f32,
}

impl OpRule for LayerScale {
    const WORD: &'static str = "layer_scale";
    const TORCH: &'static str = "weight * x, as timm's LayerScale";

    fn unset() -> Self {
        Self { weight: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("weight", &mut self.weight);
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![ParamSpec::per_feature(node, "weight", shapes[0], Init::Constant(self.weight))]
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, weight, y) = (node.inputs[0], node.params[0], lowering.output(node));
        let shape = node.channels();
        lowering.push(LayerScaleForward { shape, x, weight, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::channel_scale(node.channels(), node.x(), node.param("weight"))
    }
}

instruction! {
    /// `y = weight * x`, a value of `weight` for each feature.
    LayerScaleForward { shape: ChannelShape, x: TensorId, weight: Param, y: TensorId }
    tensors: x, y;
}

impl Differentiable for LayerScaleForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, weight, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = 3 * tape.elems(y);
            tape.push_both(&[weight], x, flops, |dx, accumulate| LayerScaleGrad {
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
    LayerScaleGrad {
        shape: ChannelShape,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, x, dx;
}
