//! Softplus.

use esper_kernels::{cpu, oracle};
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

/// `y = ln(1 + e^(beta x)) / beta`: a smooth rectifier, always positive (Dugas et al. 2001, section 3).
///
/// Unlike PyTorch's, it does not turn into `y = x` at a threshold: it is exact throughout.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Softplus {
    /// How sharp its bend is; PyTorch's is 1.
    pub beta: f32,
}

impl OpRule for Softplus {
    const WORD: &'static str = "softplus";
    const TORCH: &'static str = "torch.nn.Softplus";

    fn unset() -> Self {
        Self { beta: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.optional("beta", &mut self.beta, 1.0);
    }

    fn check(&self) -> Result<(), &'static str> {
        if (1e-3..=1e3).contains(&self.beta) { Ok(()) } else { Err("beta is in [0.001, 1000]") }
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        let flops = cpu::SOFTPLUS_FLOPS_PER_ELEM as usize * node.elems();
        lowering.push(SoftplusForward { beta: self.beta, x, y }, flops);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::softplus(self.beta, node.x())
    }
}

instruction! {
    /// `y = ln(1 + e^(beta x)) / beta`.
    SoftplusForward { beta: f32, x: TensorId, y: TensorId }
    tensors: x, y;
}

impl Differentiable for SoftplusForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { beta, x, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = cpu::SOFTPLUS_GRAD_FLOPS_PER_ELEM as usize * tape.elems(y);
            tape.push_input(x, flops, |dx, accumulate| SoftplusGrad {
                beta,
                dy,
                x,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// `dx (=|+=) dy * sigmoid(beta x)`.
    SoftplusGrad { beta: f32, dy: TensorId, x: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, x, dx;
}
