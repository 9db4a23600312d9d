//! Blends of two tensors.

use std::ops::RangeInclusive;

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

/// `y = (1 - alpha) x + alpha m` with inputs `x` and `m`, exact at both ends.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Blend {
    /// The blend.
    pub alpha: f32,
}

impl OpRule for Blend {
    const WORD: &'static str = "blend";
    const TORCH: &'static str = "torch.lerp";

    fn unset() -> Self {
        Self { alpha: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("alpha", &mut self.alpha);
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn check(&self) -> Result<(), &'static str> {
        if (0.0..=1.0).contains(&self.alpha) { Ok(()) } else { Err("alpha is in [0, 1]") }
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.alike()
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let [x, m] = lowering.distinct_pair(node);
        let y = lowering.output(node);
        lowering.push(BlendForward { x, m, alpha: self.alpha, y }, 4 * node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::blend(node.inputs[0], node.inputs[1], f64::from(self.alpha))
    }
}

instruction! {
    /// `y = (1 - alpha) x + alpha m`, in two multiply-adds.
    BlendForward { x: TensorId, m: TensorId, alpha: f32, y: TensorId }
    tensors: x, m, y;
}

impl Differentiable for BlendForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        tape.from(self.y, |tape, dy| {
            tape.push_scaled(self.m, dy, self.alpha);
            tape.push_scaled(self.x, dy, 1.0 - self.alpha);
        })
    }
}
