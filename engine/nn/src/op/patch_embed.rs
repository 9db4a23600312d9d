//! An image as a sequence of squares.

use esper_kernels::{
    cpu::{LinearShape, PatchShape},
    oracle,
};
use serde::{Deserialize, Serialize};

use super::{
    Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, Tape,
    instruction::instruction, linear::lower_linear,
};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Init, ParamSpec, Shape, TensorId},
};

/// `[channels, height, width]` cut into squares, each mapped to `outputs` features: `[squares, outputs]`
/// (Dosovitskiy et al. 2021, equation 1). Weight `f32[outputs, channels, patch, patch]`, as a convolution's.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct PatchEmbed {
    /// Features a square.
    pub outputs: usize,
    /// Side of a square.
    pub patch: usize,
}

impl PatchEmbed {
    /// An image of one example cut up, and the linear map of its squares.
    fn shapes(&self, [channels, height, width]: [usize; 3]) -> (PatchShape, LinearShape) {
        let patch = self.patch;
        let rows = height / patch * (width / patch);
        let linear = LinearShape { rows, inputs: channels * patch * patch, outputs: self.outputs };
        (PatchShape { batch: 1, channels, height, width, patch }, linear)
    }
}

impl OpRule for PatchEmbed {
    const WORD: &'static str = "patch_embed";
    const TORCH: &'static str = "torch.nn.Conv2d of stride patch, as timm's PatchEmbed";

    fn unset() -> Self {
        Self { outputs: 0, patch: 0 }
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("outputs", &mut self.outputs);
        keys.required("patch", &mut self.patch);
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.patch == 0 { Err("a patch has a side of at least 1") } else { Ok(()) }
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let [channels, height, width] = at.image()?;
        if !height.is_multiple_of(self.patch) || !width.is_multiple_of(self.patch) {
            let whole = |side: usize| side.next_multiple_of(self.patch);
            let expected = vec![channels, whole(height), whole(width)];
            return at.refuse("image of whole patches", expected, at.x());
        }
        Ok(vec![height / self.patch * (width / self.patch), self.outputs])
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        let shape = vec![self.outputs, shapes[0][0], self.patch, self.patch];
        ParamSpec::weight_and_bias(node, shape, true, Init::FanIn)
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (shape, linear) = self.shapes(node.image());
        let x = node.inputs[0];
        let squares = lowering.tensor(linear.rows * linear.inputs, lowering.info(x).mask);
        lowering.push(PatchesForward { shape, x, y: squares }, 0);
        let (weight, bias) = (node.params[0], Some(node.params[1]));
        lower_linear(node, lowering, linear, squares, weight, bias)
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let (shape, linear) = self.shapes(node.image());
        let squares = oracle::patches(shape.times(node.rows), node.x());
        let shape = linear.times(node.rows);
        oracle::linear(shape, &squares, node.param("weight"), node.bias(true))
    }
}

instruction! {
    /// `x: f32[channels, height, width]` as `y: f32[squares, channels * patch * patch]`.
    PatchesForward { shape: PatchShape, x: TensorId, y: TensorId }
    tensors: x, y;
}

impl Differentiable for PatchesForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, y } = *self;
        tape.from(y, |tape, dy| {
            tape.push_input(x, 0, |dx, accumulate| PatchesGrad { shape, dy, dx, accumulate });
        })
    }
}

instruction! {
    /// `dx (=|+=) dy`, each value where it was taken from.
    PatchesGrad { shape: PatchShape, dy: TensorId, dx: TensorId, accumulate: bool }
    tensors: dy, dx;
}
