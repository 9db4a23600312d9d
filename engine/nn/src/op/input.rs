//! The batch.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Evaluation, Inference, Lowered, Lowering, OpRule};
use crate::{
    error::GraphError,
    schedule::{GradMask, INPUT_GRADIENT},
    settings::Keys,
    tensor::{Shape, TensorId},
};

/// The batch.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Input {
    /// Its per-example shape: `[width]`, or `[len]` of tokens; `[len, width]`; `[channels, height, width]`.
    pub shape: Shape,
}

impl OpRule for Input {
    const WORD: &'static str = "input";
    const TORCH: &'static str = "the argument of forward";

    fn unset() -> Self {
        Self { shape: Shape::new() }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("shape", &mut self.shape);
    }

    fn arity(&self) -> RangeInclusive<usize> {
        0..=0
    }

    fn output_shape(&self, _: &Inference<'_>) -> Result<Shape, GraphError> {
        Ok(self.shape.clone())
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let sites = if lowering.input_gradient { INPUT_GRADIENT } else { 0 };
        lowering.tensor(node.elems(), node.mask.or(GradMask { params: false, sites }))
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        node.x().to_vec()
    }
}
