//! Average pooling.

use esper_kernels::{cpu::PoolShape, oracle};
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape, Windows,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Shape, TensorId},
};

/// The mean of each window of each channel, padding counted as zeros (PyTorch's `count_include_pad`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct AvgPool2d(pub Windows);

impl OpRule for AvgPool2d {
    const WORD: &'static str = "avg_pool2d";
    const TORCH: &'static str = "torch.nn.AvgPool2d";

    fn unset() -> Self {
        Self(Windows::square(0, 0))
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        self.0.settings(keys);
    }

    fn check(&self) -> Result<(), &'static str> {
        self.0.check()
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let [height, width] = self.0.count(at)?;
        Ok(vec![at.x()[0], height, width])
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        let shape = self.0.over(node.image());
        lowering.push(AvgPool2dForward { shape, x, y }, (self.0.taps() + 1) * node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::avg_pool2d(self.0.over(node.image()).times(node.rows), node.x())
    }
}

instruction! {
    /// `y`: the mean of each window of `x`.
    AvgPool2dForward { shape: PoolShape, x: TensorId, y: TensorId }
    tensors: x, y;
}

impl Differentiable for AvgPool2dForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = (shape.kernel[0] * shape.kernel[1] + 1) * tape.elems(y);
            tape.push_input(x, flops, |dx, accumulate| AvgPool2dGrad { shape, dy, dx, accumulate });
        })
    }
}

instruction! {
    /// `dx (=|+=)` the share of each window's `dy`.
    AvgPool2dGrad { shape: PoolShape, dy: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}
