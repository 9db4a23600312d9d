//! Sums.

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

/// `y = a + b`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Add;

impl OpRule for Add {
    const WORD: &'static str = "add";
    const TORCH: &'static str = "torch.add";

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
        lowering.push(AddForward { a, b, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::add(node.inputs[0], node.inputs[1])
    }
}

instruction! {
    /// `y = a + b`.
    AddForward { a: TensorId, b: TensorId, y: TensorId }
    tensors: a, b, y;
}

impl Differentiable for AddForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { a, b, y } = *self;
        tape.from(y, |tape, dy| {
            // The second input may take the gradient over only once the first has its copy.
            tape.pass(a, dy, !tape.is_wanted(b));
            tape.pass(b, dy, true);
        })
    }
}
