//! Products.

use std::ops::RangeInclusive;

use esper_kernels::oracle;
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    tensor::{Shape, TensorId},
};

/// `y = a * b`, elementwise.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Multiply;

impl OpRule for Multiply {
    const WORD: &'static str = "multiply";
    const TORCH: &'static str = "torch.mul";

    fn unset() -> Self {
        Self
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.alike()
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let [a, b] = lowering.distinct_pair(node);
        let y = lowering.output(node);
        lowering.push(MultiplyForward { a, b, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::multiply(node.inputs[0], node.inputs[1])
    }
}

instruction! {
    /// `y = a * b`.
    MultiplyForward { a: TensorId, b: TensorId, y: TensorId }
    tensors: a, b, y;
}

impl Differentiable for MultiplyForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { a, b, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = tape.elems(y);
            for (x, other) in [(a, b), (b, a)] {
                tape.push_input(x, flops, |dx, accumulate| MultiplyGrad {
                    dy,
                    other,
                    dx,
                    accumulate,
                });
            }
        })
    }
}

instruction! {
    /// `dx (=|+=) dy * other`.
    MultiplyGrad { dy: TensorId, other: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, other, dx;
}
