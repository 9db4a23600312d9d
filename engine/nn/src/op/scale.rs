//! A constant factor.

use esper_kernels::oracle;
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Shape, TensorId},
};

/// `y = factor * x`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Scale {
    /// The factor.
    pub factor: f32,
}

impl OpRule for Scale {
    const WORD: &'static str = "scale";
    const TORCH: &'static str = "factor * x";

    fn unset() -> Self {
        Self { factor: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("factor", &mut self.factor);
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        lowering.push(ScaleForward { x, factor: self.factor, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::scale(node.x(), f64::from(self.factor))
    }
}

instruction! {
    /// `y = factor * x`.
    ScaleForward { x: TensorId, factor: f32, y: TensorId }
    tensors: x, y;
}

impl Differentiable for ScaleForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        tape.from(self.y, |tape, dy| tape.push_scaled(self.x, dy, self.factor))
    }
}
