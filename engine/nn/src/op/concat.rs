//! Concatenation.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    tensor::{Shape, TensorId, channel_shape},
};

/// Inputs a concatenation takes at most: far more than any network has paths that meet.
const INPUTS_MAX: usize = 64;

/// Inputs one after another along the features: the only axis of a vector, the last of a sequence, the channels of
/// an image.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Concat;

impl OpRule for Concat {
    const WORD: &'static str = "concat";
    const TORCH: &'static str = "torch.cat";

    fn unset() -> Self {
        Self
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=INPUTS_MAX
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let axis = if at.x().len() == 2 { 1 } else { 0 };
        let mut shape = at.x().to_vec();
        for other in &at.shapes[1..] {
            let mut like = other.to_vec();
            if like.len() != shape.len() {
                return at.refuse("another input", shape, other);
            }
            like[axis] = shape[axis];
            if like != shape {
                let mut expected = shape;
                expected[axis] = other[axis];
                return at.refuse("another input", expected, other);
            }
            shape[axis] += other[axis];
        }
        Ok(shape)
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let positions = node.channels().batch;
        let y = lowering.output(node);
        let mut at = 0;
        for x in node.inputs {
            lowering.push(CopyColumns { positions, at, x: *x, y }, 0);
            at += lowering.info(*x).elems / positions;
        }
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let rows = node.rows * channel_shape(node.shapes[0]).batch;
        let row = |row: usize| {
            node.inputs.iter().flat_map(move |input| {
                let width = input.len() / rows;
                &input[row * width..][..width]
            })
        };
        (0..rows).flat_map(row).copied().collect()
    }
}

instruction! {
    /// Writes `x: f32[positions, ..]` into columns `at ..` of `y`; others write the rest of it.
    CopyColumns { positions: usize, at: usize, x: TensorId, y: TensorId }
    tensors: x, y;
}

impl Differentiable for CopyColumns {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { positions, at, x, y } = *self;
        tape.from(y, |tape, dy| {
            tape.push_input(x, 0, |dx, accumulate| TakeColumns {
                positions,
                at,
                dy,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// `dx (=|+=)` the columns `at ..` of `dy`.
    TakeColumns { positions: usize, at: usize, dy: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}
