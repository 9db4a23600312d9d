//! A linear map of features.

use esper_kernels::{
    cpu::{self, Activation, ChannelShape, LinearShape},
    oracle,
};
use serde::{Deserialize, Serialize};

use super::{
    ActivationBiasGrad, ActivationGrad, BiasForward, BiasGrad, Differentiable, Evaluation,
    Inference, Lowered, Lowering, OpRule, Tape, instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Init, Param, ParamSpec, Shape, TensorId, channel_shape},
};

/// `y = x W^T (+ b)`, `W: f32[outputs, inputs]`; of a sequence, at each position alike.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Linear {
    /// Features out.
    pub outputs: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// How `W` and `b` are drawn.
    pub init: Init,
}

impl Linear {
    /// With bias and PyTorch's initialisation.
    pub const fn new(outputs: usize) -> Self {
        Self { outputs, bias: true, init: Init::FanIn }
    }

    /// All zeros: as a module's last layer it makes the module an identity at birth.
    pub const fn zero(outputs: usize) -> Self {
        Self { outputs, bias: true, init: Init::ZERO }
    }
}

impl OpRule for Linear {
    const WORD: &'static str = "linear";
    const TORCH: &'static str = "torch.nn.Linear";

    fn unset() -> Self {
        Self::new(0)
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("outputs", &mut self.outputs);
        keys.optional("bias", &mut self.bias, true);
        keys.optional("init", &mut self.init, Init::FanIn);
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let mut shape = at.vector_or_sequence()?.to_vec();
        shape[at.x().len() - 1] = self.outputs;
        Ok(shape)
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        let shape = vec![self.outputs, channel_shape(shapes[0]).channels];
        ParamSpec::weight_and_bias(node, shape, self.bias, self.init)
    }

    fn is_causal(&self) -> bool {
        true
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let ChannelShape { batch: rows, channels: inputs, .. } = node.channels();
        let shape = LinearShape { rows, inputs, outputs: self.outputs };
        let (weight, bias) = (node.params[0], node.params.get(1).copied());
        lower_linear(node, lowering, shape, node.inputs[0], weight, bias)
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let ChannelShape { batch: rows, channels: inputs, .. } = node.channels();
        let shape = LinearShape { rows, inputs, outputs: self.outputs };
        oracle::linear(shape, node.x(), node.param("weight"), node.bias(self.bias))
    }
}

/// The linear map of `x`, `shape` being that of one example, with what follows it in `node` folded in where that is
/// wanted.
pub(super) fn lower_linear(
    node: &Lowered<'_>,
    lowering: &mut Lowering,
    shape: LinearShape,
    x: TensorId,
    weight: Param,
    bias: Option<Param>,
) -> TensorId {
    let (elems, flops) = (node.elems(), shape.flops() as usize);
    if !lowering.fuse {
        let z = lowering.output(node);
        let (activation, pre) = (None, None);
        let map = LinearForward { shape, x, weight, bias: None, activation, pre, y: z };
        lowering.push(map, flops);
        let Some(bias) = bias else { return z };
        let y = lowering.output(node);
        let shape = ChannelShape { batch: shape.rows, channels: shape.outputs, len: 1 };
        lowering.push(BiasForward { shape, x: z, bias, y }, elems);
        return y;
    }
    let activation = node.foldable;
    let pre = activation.filter(|kind| kind.saves_input()).map(|_| lowering.output(node));
    let y = lowering.output(node);
    if let Some(kind) = activation {
        lowering.fold(&format!("linear+{kind:?}").to_lowercase());
    }
    let per_elem = u64::from(bias.is_some()) + activation.map_or(0, Activation::flops_per_elem);
    let flops = flops + per_elem as usize * elems;
    lowering.push(LinearForward { shape, x, weight, bias, activation, pre, y }, flops);
    if bias.is_some() {
        lowering.note("linear+bias");
    }
    y
}

instruction! {
    /// `pre = x W^T (+ b)`, `y = activation(pre)`; `pre` is kept where the activation's gradient reads it.
    LinearForward {
        shape: LinearShape,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
        activation: Option<Activation>,
        pre: Option<TensorId>,
        y: TensorId,
    }
    tensors: x, pre, y;
    scratch_len_elems: |it, rows| cpu::linear_scratch_len(it.shape.times(rows));
}

impl Differentiable for LinearForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, weight, .. } = *self;
        let flops = shape.flops() as usize;
        tape.from(self.y, |tape, dy| {
            self.reverse_folded(tape, dy);
            let accumulate = tape.is_written(weight);
            let grad = LinearGradWeight { shape, dy, x, weight, accumulate };
            tape.push_param(weight, grad, flops);
            tape.push_input(x, flops, |dx, accumulate| LinearGradInput {
                shape,
                dy,
                weight,
                dx,
                accumulate,
            });
        })
    }
}

impl LinearForward {
    /// The gradients of the activation and the bias that were folded in.
    fn reverse_folded(&self, tape: &mut Tape<'_>, dy: TensorId) {
        let (elems, mask) = (tape.elems(self.y), tape.mask(self.y));
        let saved = self.pre.unwrap_or(self.y);
        let shape = ChannelShape { batch: self.shape.rows, channels: self.shape.outputs, len: 1 };
        let bias = self.bias.filter(|bias| tape.lowering.trains(*bias));
        match (self.activation, bias) {
            (Some(kind), Some(bias)) => {
                let grad = ActivationBiasGrad { kind, shape, saved, dy, bias };
                tape.push(grad, mask, (kind.grad_flops_per_elem() as usize + 1) * elems);
            }
            (Some(kind), None) => {
                let flops = kind.grad_flops_per_elem() as usize * elems;
                tape.push(ActivationGrad { kind, saved, dy }, mask, flops);
            }
            (None, Some(bias)) => {
                tape.push_param(bias, BiasGrad { shape, dy, bias }, elems);
            }
            (None, None) => {}
        }
    }
}

instruction! {
    /// `dW (=|+=) dy^T x`.
    LinearGradWeight {
        shape: LinearShape,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        accumulate: bool,
    }
    tensors: dy, x;
    scratch_len_elems: |it, rows| cpu::linear_scratch_len(it.shape.times(rows));
}

instruction! {
    /// `dx (=|+=) dy W`.
    LinearGradInput {
        shape: LinearShape,
        dy: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, dx;
    scratch_len_elems: |it, rows| cpu::linear_scratch_len(it.shape.times(rows));
}
