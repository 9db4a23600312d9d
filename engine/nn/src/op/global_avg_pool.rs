//! The mean of each channel.

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

/// The mean of each channel: `[channels, height, width]` to `[channels]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct GlobalAvgPool;

impl OpRule for GlobalAvgPool {
    const WORD: &'static str = "global_avg_pool";
    const TORCH: &'static str = "torch.nn.AdaptiveAvgPool2d(1)";

    fn unset() -> Self {
        Self
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let [channels, ..] = at.image()?;
        Ok(vec![channels])
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        let flops = lowering.info(x).elems;
        lowering.push(GlobalAvgPoolForward { shape: node.channels(), x, y }, flops);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::channel_mean(node.channels(), node.x())
    }
}

instruction! {
    /// `y`: the mean of each channel of `x`.
    GlobalAvgPoolForward { shape: ChannelShape, x: TensorId, y: TensorId }
    tensors: x, y;
}

impl Differentiable for GlobalAvgPoolForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = tape.elems(y);
            tape.push_input(x, flops, |dx, accumulate| GlobalAvgPoolGrad {
                shape,
                dy,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// `dx (=|+=) dy / len` at every pixel of a channel.
    GlobalAvgPoolGrad { shape: ChannelShape, dy: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}
