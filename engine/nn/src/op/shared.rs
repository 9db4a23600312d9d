//! Instructions that lowering and the tape write of themselves, whatever the op.

use super::instruction::instruction;
use crate::tensor::TensorId;

instruction! {
    /// `y = x`.
    CopyForward { x: TensorId, y: TensorId }
    tensors: x, y;
}

instruction! {
    /// `dx (=|+=) dy`.
    PassGrad { dy: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}

instruction! {
    /// `dx (=|+=) factor * dy`.
    ScaleGrad { dy: TensorId, factor: f32, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}
