//! An image whose channels are scaled by a vector.

use std::ops::RangeInclusive;

use esper_kernels::{cpu::ChannelShape, oracle};
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    tensor::{Shape, TensorId},
};

/// `y = s[channel] * x` with inputs `x: [channels, height, width]` and `s: [channels]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ChannelMultiply;

impl OpRule for ChannelMultiply {
    const WORD: &'static str = "channel_multiply";
    const TORCH: &'static str = "s[:, :, None, None] * x";

    fn unset() -> Self {
        Self
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        match (at.x(), at.shapes[1]) {
            ([channels, _, _], [scales]) if channels == scales => at.same(),
            ([channels, _, _], other) => at.refuse("second input", vec![*channels], other),
            (other, _) => at.refuse("image", vec![other[0], 1, 1], other),
        }
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let [x, scales] = lowering.distinct_pair(node);
        let (shape, y) = (node.channels(), lowering.output(node));
        lowering.push(ChannelMultiplyForward { shape, x, scales, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::channel_multiply(node.channels(), node.x(), node.inputs[1])
    }
}

instruction! {
    /// `y = scales[channel] * x`.
    ChannelMultiplyForward { shape: ChannelShape, x: TensorId, scales: TensorId, y: TensorId }
    tensors: x, scales, y;
}

impl Differentiable for ChannelMultiplyForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, scales, y } = *self;
        tape.from(y, |tape, dy| {
            let elems = tape.elems(y);
            tape.push_input(scales, 2 * elems, |dx, accumulate| ChannelScalesGrad {
                shape,
                dy,
                x,
                dx,
                accumulate,
            });
            tape.push_input(x, elems, |dx, accumulate| ChannelMultiplyGrad {
                shape,
                dy,
                scales,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// `dx (=|+=) scales[channel] * dy`.
    ChannelMultiplyGrad {
        shape: ChannelShape,
        dy: TensorId,
        scales: TensorId,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, scales, dx;
}

instruction! {
    /// The gradient of the scales: `dx (=|+=)` the sum of `dy * x` over each channel.
    ChannelScalesGrad {
        shape: ChannelShape,
        dy: TensorId,
        x: TensorId,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, x, dx;
}
