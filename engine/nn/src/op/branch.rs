//! A branch, whose gradient is summed apart.

use serde::{Deserialize, Serialize};

use super::{CopyForward, Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape};
use crate::{
    error::GraphError,
    tensor::{Shape, TensorId},
};

/// The same values; gradients of what reads it are summed before they join those of its input.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Branch;

impl OpRule for Branch {
    const WORD: &'static str = "branch";
    const OLD_WORD: Option<&'static str> = Some("fork");
    const TORCH: &'static str = "torch.nn.Identity";

    fn unset() -> Self {
        Self
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        lowering.push(CopyForward { x, y }, 0);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        node.x().to_vec()
    }
}

impl Differentiable for CopyForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        tape.from(self.y, |tape, dy| tape.pass(self.x, dy, true))
    }
}
