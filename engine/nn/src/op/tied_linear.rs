//! A head that shares its weight with an embedding.

use esper_kernels::{
    cpu::{ChannelShape, LinearShape},
    oracle,
};
use serde::{Deserialize, Serialize};

use super::{Evaluation, Inference, Lowered, Lowering, Op, OpRule, linear::lower_linear};
use crate::{
    error::GraphError,
    schedule::GradMask,
    settings::Keys,
    tensor::{Shape, TensorId},
};

/// `y = x W^T` with the weight `f32[vocabulary, width]` of an embedding: a tied head (Press and Wolf 2017).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct TiedLinear {
    /// The embedding's node.
    pub embedding: String,
}

impl OpRule for TiedLinear {
    const WORD: &'static str = "tied_linear";
    const TORCH: &'static str = "torch.nn.functional.linear with torch.nn.Embedding.weight";

    fn unset() -> Self {
        Self { embedding: String::new() }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("embedding", &mut self.embedding);
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let Some(Op::Embedding(tied)) = (at.find)(&self.embedding) else {
            let (node, embedding) = (at.node.to_owned(), self.embedding.clone());
            return Err(GraphError::NotAnEmbedding { node, embedding });
        };
        let mut shape = at.x().to_vec();
        match shape.last_mut() {
            Some(last) if *last == tied.width && at.x().len() <= 2 => *last = tied.vocabulary,
            _ => return at.refuse("input", vec![tied.width], at.x()),
        }
        Ok(shape)
    }

    fn is_causal(&self) -> bool {
        // It would be, but what it names is outside of the module that has it.
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let ChannelShape { batch: rows, channels: inputs, .. } = node.channels();
        let shape = LinearShape { rows, inputs, outputs: node.elems() / rows };
        let weight = lowering.params.find(&format!("{}.weight", self.embedding));
        let weight = weight.expect("a tied head's embedding is alive: it feeds it");
        let own = GradMask { params: lowering.trains(weight), sites: 0 };
        let node = Lowered { mask: node.mask.or(own), ..*node };
        lower_linear(&node, lowering, shape, node.inputs[0], weight, None)
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let ChannelShape { batch: rows, channels: inputs, .. } = node.channels();
        let weight = &node.params[&format!("{}.weight", self.embedding)];
        let shape = LinearShape { rows, inputs, outputs: weight.len() / inputs };
        oracle::linear(shape, node.x(), weight, None)
    }
}
