//! The same values in another shape.

use serde::{Deserialize, Serialize};

use super::{Evaluation, Inference, Lowered, Lowering, OpRule};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Shape, TensorId},
};

/// The same values in another shape.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Reshape {
    /// The new per-example shape.
    pub shape: Shape,
}

impl OpRule for Reshape {
    const WORD: &'static str = "reshape";
    const TORCH: &'static str = "torch.nn.Unflatten";

    fn unset() -> Self {
        Self { shape: Shape::new() }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("shape", &mut self.shape);
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        if self.shape.iter().product::<usize>() == at.x().iter().product::<usize>() {
            return Ok(self.shape.clone());
        }
        at.refuse("reshape", self.shape.clone(), at.x())
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, _: &mut Lowering) -> TensorId {
        node.inputs[0]
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        node.x().to_vec()
    }
}
