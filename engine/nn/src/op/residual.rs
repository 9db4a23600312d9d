//! Residual connections.

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

/// `y = fma(alpha, f, x)` with inputs `x` and `f`: how a grafted module joins its host.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Residual {
    /// The blend.
    pub alpha: f32,
}

impl OpRule for Residual {
    const WORD: &'static str = "residual";
    const TORCH: &'static str = "torch.add(x, f, alpha=alpha)";

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
        let [x, f] = lowering.distinct_pair(node);
        let y = lowering.output(node);
        lowering.push(ResidualForward { x, f, alpha: self.alpha, y }, 2 * node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::residual(node.inputs[0], node.inputs[1], f64::from(self.alpha))
    }
}

instruction! {
    /// `y = x + alpha f`, rounded once.
    ResidualForward { x: TensorId, f: TensorId, alpha: f32, y: TensorId }
    tensors: x, f, y;
}

impl Differentiable for ResidualForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        tape.from(self.y, |tape, dy| {
            tape.push_scaled(self.f, dy, self.alpha);
            tape.pass(self.x, dy, true);
        })
    }
}
