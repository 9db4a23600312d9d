//! Elementwise nonlinearities.

use std::fmt;

use esper_kernels::{
    cpu::{Activation, ChannelShape},
    oracle,
};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::{Keys, Setting, Value, read_word},
    tensor::{Param, Shape, TensorId},
    word::Word,
};

impl OpRule for Activation {
    const WORD: &'static str = "activation";
    const TORCH: &'static str =
        "torch.nn.ReLU, GELU, GELU(approximate=\"tanh\"), SiLU, Tanh or Sigmoid";

    fn unset() -> Self {
        Self::Relu
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("kind", self);
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        let flops = self.flops_per_elem() as usize * node.elems();
        lowering.push(ActivationForward { kind: *self, x, y }, flops);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::activation(*self, node.x())
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Activation({self:?})")
    }
}

impl Setting for Activation {
    const EXPECTED: &'static str =
        "\"relu\", \"gelu\", \"gelu_tanh\", \"silu\", \"tanh\" or \"sigmoid\"";

    fn read(value: &Value) -> Option<Self> {
        read_word(value, <Self as Word>::ALL, Word::word)
    }

    fn write(&self) -> String {
        self.word().to_owned().write()
    }
}

instruction! {
    /// `y = activation(x)`.
    ActivationForward { kind: Activation, x: TensorId, y: TensorId }
    tensors: x, y;
}

impl Differentiable for ActivationForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { kind, x, y } = *self;
        tape.from(y, |tape, dy| {
            let saved = if kind.saves_input() { x } else { y };
            let flops = kind.grad_flops_per_elem() as usize * tape.elems(y);
            tape.push(ActivationGrad { kind, saved, dy }, tape.mask(y), flops);
            tape.pass(x, dy, true);
        })
    }
}

instruction! {
    /// `dy = dy * activation'(saved)`, in place.
    ActivationGrad { kind: Activation, saved: TensorId, dy: TensorId }
    tensors: saved, dy;
}

instruction! {
    /// [`ActivationGrad`], then the gradient of the bias before it: the sum of `dy`.
    ActivationBiasGrad {
        kind: Activation,
        shape: ChannelShape,
        saved: TensorId,
        dy: TensorId,
        bias: Param,
    }
    tensors: saved, dy;
}
