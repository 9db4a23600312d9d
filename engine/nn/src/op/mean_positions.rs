//! The mean over positions.

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

/// The mean over positions: `[len, width]` to `[width]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct MeanPositions;

impl OpRule for MeanPositions {
    const WORD: &'static str = "mean_positions";
    const TORCH: &'static str = "torch.mean(x, dim=1)";

    fn unset() -> Self {
        Self
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let [_, width] = at.sequence()?;
        Ok(vec![width])
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        let flops = lowering.info(x).elems;
        lowering.push(MeanPositionsForward { shape: node.channels(), x, y }, flops);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let [len, width] = [0, 1].map(|axis| node.shapes[0][axis]);
        oracle::mean_positions(len, width, node.x())
    }
}

instruction! {
    /// `y`: the mean of the rows of `x: f32[len, width]`; `shape` has the positions as its batch.
    MeanPositionsForward { shape: ChannelShape, x: TensorId, y: TensorId }
    tensors: x, y;
}

impl Differentiable for MeanPositionsForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = tape.elems(y);
            tape.push_input(x, flops, |dx, accumulate| MeanPositionsGrad {
                shape,
                dy,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// `dx (=|+=) dy / len` at every position.
    MeanPositionsGrad { shape: ChannelShape, dy: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}
