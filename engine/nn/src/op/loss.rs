//! Losses.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::{Keys, Setting, Value, read_word},
    tensor::{Shape, TensorId},
};

/// What a host is trained to lower.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Softmax cross-entropy with integer classes, in nats, mean over the batch and, where an example gives
    /// `[len, classes]`, over its positions.
    CrossEntropy,
    /// Mean squared error over features and batch.
    MeanSquaredError,
}

impl OpRule for Loss {
    const WORD: &'static str = "loss";
    const TORCH: &'static str = "torch.nn.CrossEntropyLoss or MSELoss";

    fn unset() -> Self {
        Self::CrossEntropy
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("kind", self);
    }

    fn output_shape(&self, _: &Inference<'_>) -> Result<Shape, GraphError> {
        Ok(vec![1])
    }

    fn is_causal(&self) -> bool {
        false
    }

    /// What a program gives is what the loss is fed.
    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let x = node.inputs[0];
        let info = lowering.info(x);
        let gradient = lowering.tensor(info.elems, info.mask);
        match self {
            Self::CrossEntropy => {
                let positions = node.channels().batch;
                // Max, subtract, exp (about 20), sum, divide, label, gradient: counted as 25 a logit.
                let loss = CrossEntropy { positions, logits: x, gradient };
                lowering.push(loss, 25 * info.elems);
            }
            Self::MeanSquaredError => {
                lowering.push(MeanSquaredError { prediction: x, gradient }, 4 * info.elems);
            }
        }
        x
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        node.x().to_vec()
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loss({self:?})")
    }
}

impl Setting for Loss {
    const EXPECTED: &'static str = "\"cross_entropy\" or \"mean_squared_error\"";

    fn read(value: &Value) -> Option<Self> {
        read_word(value, &[Self::CrossEntropy, Self::MeanSquaredError], word)
    }

    fn write(&self) -> String {
        word(*self).to_owned().write()
    }
}

const fn word(loss: Loss) -> &'static str {
    match loss {
        Loss::CrossEntropy => "cross_entropy",
        Loss::MeanSquaredError => "mean_squared_error",
    }
}

instruction! {
    /// The loss of each example, and while training the gradient of their mean: `(softmax(logits) - label) / n`.
    CrossEntropy { positions: usize, logits: TensorId, gradient: TensorId }
    tensors: logits, gradient;
    // The loss of each position, before the mean.
    scratch_len_elems: |it, rows| it.positions * rows;
}

impl Differentiable for CrossEntropy {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        tape.set_gradient(self.logits, self.gradient);
        tape.output_gradient = Some(self.gradient);
        Ok(())
    }
}

instruction! {
    /// The loss of each example, and while training the gradient of their mean: `2 (prediction - target) / n`.
    MeanSquaredError { prediction: TensorId, gradient: TensorId }
    tensors: prediction, gradient;
}

impl Differentiable for MeanSquaredError {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        tape.set_gradient(self.prediction, self.gradient);
        tape.output_gradient = Some(self.gradient);
        Ok(())
    }
}
