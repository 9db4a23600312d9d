//! The same values as one vector.

use serde::{Deserialize, Serialize};

use super::{Evaluation, Inference, Lowered, Lowering, OpRule};
use crate::{
    error::GraphError,
    tensor::{Shape, TensorId},
};

/// The same values as one vector.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Flatten;

impl OpRule for Flatten {
    const WORD: &'static str = "flatten";
    const TORCH: &'static str = "torch.nn.Flatten";

    fn unset() -> Self {
        Self
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        Ok(vec![at.x().iter().product()])
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
