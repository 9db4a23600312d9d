//! Multi-head self-attention.

use esper_kernels::{
    cpu::{self, AttentionShape},
    oracle,
};
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    schedule::GradMask,
    settings::Keys,
    tensor::{Shape, TensorId},
};

/// Multi-head self-attention over `[len, 3 * width]`: queries, keys and values, each `[heads, width / heads]`;
/// gives `[len, width]` (Vaswani et al. 2017, section 3.2).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Attention {
    /// Heads; they divide the width.
    pub heads: usize,
    /// Whether a position sees itself and what lies before it only.
    pub is_causal: bool,
}

impl Attention {
    fn shape(&self, x: &[usize]) -> AttentionShape {
        let (heads, is_causal) = (self.heads, self.is_causal);
        AttentionShape { batch: 1, len: x[0], heads, head_width: x[1] / (3 * heads), is_causal }
    }
}

impl OpRule for Attention {
    const WORD: &'static str = "attention";
    const TORCH: &'static str = "torch.nn.functional.scaled_dot_product_attention";

    fn unset() -> Self {
        Self { heads: 0, is_causal: false }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("heads", &mut self.heads);
        keys.optional("causal", &mut self.is_causal, false);
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.heads == 0 { Err("there is at least one head or group") } else { Ok(()) }
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        match at.x() {
            [len, wide] if wide.is_multiple_of(3 * self.heads) => Ok(vec![*len, wide / 3]),
            other => {
                let expected = vec![other[0], 3 * self.heads];
                at.refuse("queries, keys and values", expected, other)
            }
        }
    }

    fn is_causal(&self) -> bool {
        self.is_causal
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let shape = self.shape(node.input_shapes[0]);
        let lse = lowering.tensor(shape.heads * shape.len, GradMask::NONE);
        let (x, y) = (node.inputs[0], lowering.output(node));
        lowering.push(AttentionForward { shape, x, lse, y }, shape.flops_forward() as usize);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let [y, _] = oracle::attention(self.shape(node.shapes[0]).times(node.rows), node.x());
        y
    }
}

instruction! {
    /// `y = softmax(q k^T / sqrt(head_width)) v`; `lse` is the logarithm of each row's sum of exponentials.
    AttentionForward { shape: AttentionShape, x: TensorId, lse: TensorId, y: TensorId }
    tensors: x, lse, y;
    scratch_len_elems: |it, rows| cpu::attention_scratch_len(it.shape.times(rows));
}

impl Differentiable for AttentionForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, lse, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = shape.flops_backward() as usize;
            tape.push_input(x, flops, |dx, accumulate| AttentionGrad {
                shape,
                dy,
                x,
                y,
                lse,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// The gradient of queries, keys and values, the attention's weights computed again.
    AttentionGrad {
        shape: AttentionShape,
        dy: TensorId,
        x: TensorId,
        y: TensorId,
        lse: TensorId,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, x, y, lse, dx;
    scratch_len_elems: |it, rows| cpu::attention_scratch_len(it.shape.times(rows));
}
