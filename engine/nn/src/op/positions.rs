//! Learned positions.

use esper_kernels::{cpu::ChannelShape, oracle};
use serde::{Deserialize, Serialize};

use super::{BiasForward, Evaluation, Inference, Lowered, Lowering, OpRule};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Init, ParamSpec, Shape, TensorId},
};

/// `y = x + W`, `W: f32[len, width]`: learned positions.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Positions {
    /// How `W` is drawn.
    pub init: Init,
}

impl OpRule for Positions {
    const WORD: &'static str = "positions";
    const TORCH: &'static str = "x + torch.nn.Parameter, as timm's pos_embed";

    fn unset() -> Self {
        Self { init: Init::FanIn }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.optional("init", &mut self.init, Init::Normal(0.02));
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.sequence().map(Vec::from)
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        vec![ParamSpec::new(node, "weight", shapes[0].to_vec(), self.init, 1)]
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (x, bias, y) = (node.inputs[0], node.params[0], lowering.output(node));
        let shape = ChannelShape { batch: 1, channels: node.elems(), len: 1 };
        lowering.push(BiasForward { shape, x, bias, y }, node.elems());
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        oracle::add_bias(node.x(), node.param("weight"))
    }
}
