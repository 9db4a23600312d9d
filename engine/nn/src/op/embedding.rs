//! Tokens to features.

use esper_kernels::oracle;
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Init, Param, ParamSpec, Shape, TensorId},
};

/// Tokens a vocabulary has at most: what `f32`, in which other examples lie, tells apart.
const TOKENS_MAX: usize = 1 << 24;

/// Row `x` of `W: f32[vocabulary, width]` for each token of `u32[len]`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Rows of `W`.
    pub vocabulary: usize,
    /// Features a token.
    pub width: usize,
    /// How `W` is drawn; PyTorch's is [`Init::Normal`] with 1.
    pub init: Init,
}

impl OpRule for Embedding {
    const WORD: &'static str = "embedding";
    const TORCH: &'static str = "torch.nn.Embedding";

    fn unset() -> Self {
        Self { vocabulary: 0, width: 0, init: Init::FanIn }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("vocabulary", &mut self.vocabulary);
        keys.required("width", &mut self.width);
        keys.optional("init", &mut self.init, Init::Normal(1.0));
    }

    fn check(&self) -> Result<(), &'static str> {
        match self.vocabulary {
            1..=TOKENS_MAX => Ok(()),
            _ => Err("a vocabulary has 1 to 16,777,216 tokens"),
        }
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        match at.x() {
            [len] => Ok(vec![*len, self.width]),
            other => at.refuse("tokens", vec![other.iter().product()], other),
        }
    }

    fn params(&self, node: &str, _: &[&[usize]]) -> Vec<ParamSpec> {
        vec![ParamSpec::new(node, "weight", vec![self.vocabulary, self.width], self.init, 1)]
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, weight, y) = (node.inputs[0], node.params[0], lowering.output(node));
        lowering.push(EmbeddingForward { width: self.width, x, weight, y }, 0);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let tokens: Vec<u32> = node.x().iter().map(|token| *token as u32).collect();
        oracle::embedding(self.width, &tokens, node.param("weight"))
    }
}

instruction! {
    /// `y[i] = W[x[i]]`, `x: u32[len]`.
    EmbeddingForward { width: usize, x: TensorId, weight: Param, y: TensorId }
    tensors: x, y;
}

impl Differentiable for EmbeddingForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { width, x, weight, y } = *self;
        tape.from(y, |tape, dy| {
            let (accumulate, flops) = (tape.is_written(weight), tape.elems(y));
            let grad = EmbeddingGrad { width, dy, x, weight, accumulate };
            tape.push_param(weight, grad, flops);
        })
    }
}

instruction! {
    /// `dW[x[i]] += dy[i]`, from zero or from what is there.
    EmbeddingGrad { width: usize, dy: TensorId, x: TensorId, weight: Param, accumulate: bool }
    tensors: dy, x;
}
