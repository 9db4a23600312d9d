//! Dropout.

use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    digest::Digest,
    error::GraphError,
    settings::Keys,
    tensor::{Shape, TensorId},
};

/// Inverted dropout (Srivastava et al. 2014, section 10): while training, zero with probability `p`, else scaled by
/// `1 / (1 - p)`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of zero.
    pub p: f32,
}

impl OpRule for Dropout {
    const WORD: &'static str = "dropout";
    const TORCH: &'static str = "torch.nn.Dropout";

    fn unset() -> Self {
        Self { p: 0.0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.optional("p", &mut self.p, 0.5);
    }

    fn check(&self) -> Result<(), &'static str> {
        if (0.0..1.0).contains(&self.p) { Ok(()) } else { Err("dropout's p is in [0, 1)") }
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, y) = (node.inputs[0], lowering.output(node));
        let dropout = DropoutForward { x, p: self.p, salt: salt_of(node.name), y };
        lowering.push(dropout, node.elems());
        y
    }

    /// As in evaluation, where nothing is dropped.
    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        node.x().to_vec()
    }
}

/// What tells a node's masks from those of other nodes: it depends on the name alone, so that what grows elsewhere moves
/// no mask.
fn salt_of(name: &str) -> u64 {
    let digest = Digest::of_value(&name);
    let (head, _) = digest.0.split_first_chunk().expect("a digest has 32 bytes");
    u64::from_le_bytes(*head)
}

instruction! {
    /// `y = x / (1 - p)` where kept, else zero; outside of training `y = x`. `salt` is part of the mask's key.
    DropoutForward { x: TensorId, p: f32, salt: u64, y: TensorId }
    tensors: x, y;
}

impl Differentiable for DropoutForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { x, p, salt, y } = *self;
        tape.from(y, |tape, dy| {
            let flops = tape.elems(y);
            tape.push_input(x, flops, |dx, accumulate| DropoutGrad { dy, p, salt, dx, accumulate });
        })
    }
}

instruction! {
    /// `dx (=|+=) dy / (1 - p)` where kept, else zero.
    DropoutGrad { dy: TensorId, p: f32, salt: u64, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}
