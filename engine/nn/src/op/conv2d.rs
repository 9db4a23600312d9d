//! 2-D convolution.

use esper_kernels::{
    cpu::{self, Activation, ChannelShape, Conv2dShape},
    oracle,
};
use serde::{Deserialize, Serialize};

use super::{
    ActivationGrad, BiasForward, BiasGrad, Differentiable, Evaluation, Inference, Lowered,
    Lowering, OpRule, Tape, Windows, instruction::instruction,
};
use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{Init, Param, ParamSpec, Shape, TensorId},
};

/// Cross-correlation over `[channels, height, width]`, weight `f32[outputs, channels / groups, kernel...]`. A signal
/// is an image of height 1. Pairs are vertical, then horizontal.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Channels out.
    pub outputs: usize,
    /// Taps.
    pub kernel: [usize; 2],
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Zeros added at each end.
    pub padding: [usize; 2],
    /// Groups of channels that do not see each other; they divide both channel counts.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// How weight and bias are drawn.
    pub init: Init,
}

impl Conv2d {
    /// One that keeps height and width: stride 1, `kernel` odd, padded by half of it, with a bias.
    pub const fn same(outputs: usize, kernel: [usize; 2], init: Init) -> Self {
        let padding = [kernel[0] / 2, kernel[1] / 2];
        Self { outputs, kernel, stride: [1, 1], padding, groups: 1, bias: true, init }
    }

    /// The convolution of one image.
    const fn over(&self, [in_channels, height, width]: [usize; 3]) -> Conv2dShape {
        let Self { outputs: out_channels, kernel, stride, padding, groups, .. } = *self;
        Conv2dShape {
            batch: 1,
            in_channels,
            out_channels,
            height,
            width,
            kernel,
            stride,
            padding,
            groups,
        }
    }
}

impl OpRule for Conv2d {
    const WORD: &'static str = "conv2d";
    const TORCH: &'static str = "torch.nn.Conv2d";

    fn unset() -> Self {
        Self::same(0, [0, 0], Init::FanIn)
    }

    fn settings(&mut self, keys: &mut impl Keys) {
        keys.required("outputs", &mut self.outputs);
        keys.required("kernel", &mut self.kernel);
        keys.optional("stride", &mut self.stride, [1, 1]);
        keys.optional("padding", &mut self.padding, [0, 0]);
        keys.optional("groups", &mut self.groups, 1);
        keys.optional("bias", &mut self.bias, true);
        keys.optional("init", &mut self.init, Init::FanIn);
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.kernel.contains(&0) || self.stride.contains(&0) || self.groups == 0 {
            return Err("kernel, stride and groups are at least 1");
        }
        Ok(())
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let [channels, height, width] = at.image()?;
        let Self { outputs, kernel, stride, padding, groups, .. } = *self;
        if !channels.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return at.refuse("channels of whole groups", vec![groups, height, width], at.x());
        }
        let [height, width] = Windows { kernel, stride, padding }.count(at)?;
        Ok(vec![outputs, height, width])
    }

    fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        let [rows, columns] = self.kernel;
        let shape = vec![self.outputs, shapes[0][0] / self.groups, rows, columns];
        ParamSpec::weight_and_bias(node, shape, self.bias, self.init)
    }

    fn is_causal(&self) -> bool {
        false
    }

    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let shape = self.over(node.image());
        let (x, weight, bias) = (node.inputs[0], node.params[0], node.params.get(1).copied());
        let (elems, flops) = (node.elems(), shape.flops() as usize);
        if !lowering.fuse
            && let Some(bias) = bias
        {
            let z = lowering.output(node);
            let (none, rectify) = (None, false);
            lowering.push(Conv2dForward { shape, x, weight, bias: none, rectify, y: z }, flops);
            let y = lowering.output(node);
            let shape = output_channels(shape, elems);
            lowering.push(BiasForward { shape, x: z, bias, y }, elems);
            return y;
        }
        let y = lowering.output(node);
        let rectify = lowering.fold_rectifier(node, "conv2d");
        let per_elem = usize::from(bias.is_some()) + usize::from(rectify);
        let conv = Conv2dForward { shape, x, weight, bias, rectify, y };
        lowering.push(conv, flops + per_elem * elems);
        y
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        let shape = self.over(node.image()).times(node.rows);
        oracle::conv2d(shape, node.x(), node.param("weight"), node.bias(self.bias))
    }
}

/// The output of a convolution, of `elems` values an example, as features.
const fn output_channels(shape: Conv2dShape, elems: usize) -> ChannelShape {
    let channels = shape.out_channels;
    ChannelShape { batch: 1, channels, len: elems / channels }
}

instruction! {
    /// `y = x * W (+ b)`, then the rectifier where `rectify`.
    Conv2dForward {
        shape: Conv2dShape,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
        rectify: bool,
        y: TensorId,
    }
    tensors: x, y;
    scratch_len_elems: |it, rows| cpu::conv2d_scratch_len(it.shape.times(rows));
}

impl Differentiable for Conv2dForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { shape, x, weight, bias, rectify, y } = *self;
        tape.from(y, |tape, dy| {
            let (elems, flops) = (tape.elems(y), shape.flops() as usize);
            if rectify {
                let grad = ActivationGrad { kind: Activation::Relu, saved: y, dy };
                tape.push(grad, tape.mask(y), elems);
            }
            if let Some(bias) = bias {
                let shape = output_channels(shape, elems);
                tape.push_param(bias, BiasGrad { shape, dy, bias }, elems);
            }
            tape.push_param(weight, Conv2dGradWeight { shape, dy, x, weight }, flops);
            tape.push_input(x, flops, |dx, accumulate| Conv2dGradInput {
                shape,
                dy,
                weight,
                dx,
                accumulate,
            });
        })
    }
}

instruction! {
    /// `dW`, from zero.
    Conv2dGradWeight { shape: Conv2dShape, dy: TensorId, x: TensorId, weight: Param }
    tensors: dy, x;
    scratch_len_elems: |it, rows| cpu::conv2d_scratch_len(it.shape.times(rows));
}

instruction! {
    /// `dx (=|+=)` the transposed convolution of `dy`.
    Conv2dGradInput {
        shape: Conv2dShape,
        dy: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    }
    tensors: dy, dx;
    scratch_len_elems: |it, rows| cpu::conv2d_scratch_len(it.shape.times(rows));
}
