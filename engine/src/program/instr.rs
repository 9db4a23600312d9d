//! The instructions.

use esper_kernels::cpu::{self, Activation, Conv1dShape, LinearShape};
use serde::{Deserialize, Serialize};

use super::Program;

/// A tensor of a program: its place in [`Program::regions`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub u32);

/// A parameter in the block: `offset .. offset + len`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// First value.
    pub offset: usize,
    /// Values.
    pub len: usize,
}

impl Param {
    /// Where its values lie.
    pub fn range(self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// The fixed part of a 1-D convolution.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    /// Channels in.
    pub in_channels: usize,
    /// Channels out.
    pub out_channels: usize,
    /// Positions in.
    pub len: usize,
    /// Taps.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros at each end.
    pub padding: usize,
}

impl ConvSpec {
    /// The shape for a batch of `rows` examples.
    pub fn with_rows(self, rows: usize) -> Conv1dShape {
        let Self { in_channels, out_channels, len, kernel, stride, padding } = self;
        Conv1dShape { batch: rows, in_channels, out_channels, len, kernel, stride, padding }
    }
}

/// One kernel call. Operands are tensors unless they are [`Param`]s; gradients of parameters lie at the same
/// offsets in the gradient block.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "an operand's name is its meaning, and the graph's ops define the formulas"
)]
pub enum Instr {
    Linear {
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
        activation: Option<Activation>,
        pre: Option<TensorId>,
        y: TensorId,
    },
    Bias {
        x: TensorId,
        bias: Param,
        y: TensorId,
    },
    Activation {
        kind: Activation,
        x: TensorId,
        y: TensorId,
    },
    LayerNorm {
        x: TensorId,
        weight: Param,
        bias: Param,
        eps: f32,
        mean: TensorId,
        rstd: TensorId,
        y: TensorId,
    },
    RmsNorm {
        x: TensorId,
        weight: Param,
        eps: f32,
        rstd: TensorId,
        y: TensorId,
    },
    Add {
        a: TensorId,
        b: TensorId,
        y: TensorId,
    },
    Multiply {
        a: TensorId,
        b: TensorId,
        y: TensorId,
    },
    Residual {
        x: TensorId,
        f: TensorId,
        alpha: f32,
        y: TensorId,
    },
    Blend {
        x: TensorId,
        m: TensorId,
        alpha: f32,
        y: TensorId,
    },
    Scale {
        x: TensorId,
        factor: f32,
        y: TensorId,
    },
    LayerScale {
        x: TensorId,
        weight: Param,
        y: TensorId,
    },
    Gate {
        x: TensorId,
        weight: Param,
        y: TensorId,
    },
    Dropout {
        x: TensorId,
        p: f32,
        salt: u64,
        y: TensorId,
    },
    Conv1d {
        spec: ConvSpec,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
        y: TensorId,
    },
    Copy {
        x: TensorId,
        y: TensorId,
    },
    Site {
        site: usize,
        x: TensorId,
    },
    CrossEntropy {
        logits: TensorId,
        gradient: TensorId,
    },
    MeanSquaredError {
        prediction: TensorId,
        gradient: TensorId,
    },

    LinearGradWeight {
        dy: TensorId,
        x: TensorId,
        weight: Param,
    },
    LinearGradInput {
        dy: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    },
    BiasGrad {
        dy: TensorId,
        bias: Param,
    },
    ActivationGrad {
        kind: Activation,
        saved: TensorId,
        dy: TensorId,
    },
    ActivationBiasGrad {
        kind: Activation,
        saved: TensorId,
        dy: TensorId,
        bias: Param,
    },
    LayerNormGrad {
        dy: TensorId,
        x: TensorId,
        weight: Param,
        bias: Param,
        mean: TensorId,
        rstd: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    RmsNormGrad {
        dy: TensorId,
        x: TensorId,
        weight: Param,
        rstd: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    /// `dx (=|+=) dy`.
    PassGrad {
        dy: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    /// `dx (=|+=) factor * dy`.
    ScaleGrad {
        dy: TensorId,
        factor: f32,
        dx: TensorId,
        accumulate: bool,
    },
    /// `dx (=|+=) dy * other`.
    MultiplyGrad {
        dy: TensorId,
        other: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    LayerScaleGrad {
        dy: TensorId,
        x: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    },
    GateGrad {
        dy: TensorId,
        x: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    },
    DropoutGrad {
        dy: TensorId,
        p: f32,
        salt: u64,
        dx: TensorId,
        accumulate: bool,
    },
    Conv1dGradWeight {
        spec: ConvSpec,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
    },
    Conv1dGradInput {
        spec: ConvSpec,
        dy: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    },
    SiteGrad {
        site: usize,
        x: TensorId,
        gradient: TensorId,
    },
}

impl Instr {
    /// Every tensor the instruction touches.
    pub fn tensors(&self) -> Vec<TensorId> {
        match *self {
            Self::Linear { x, pre, y, .. } => {
                [Some(x), pre, Some(y)].into_iter().flatten().collect()
            }
            Self::Bias { x, y, .. }
            | Self::Activation { x, y, .. }
            | Self::Scale { x, y, .. }
            | Self::LayerScale { x, y, .. }
            | Self::Gate { x, y, .. }
            | Self::Dropout { x, y, .. }
            | Self::Conv1d { x, y, .. }
            | Self::Copy { x, y } => vec![x, y],
            Self::LayerNorm { x, mean, rstd, y, .. } => vec![x, mean, rstd, y],
            Self::RmsNorm { x, rstd, y, .. } => vec![x, rstd, y],
            Self::Add { a, b, y } | Self::Multiply { a, b, y } => vec![a, b, y],
            Self::Residual { x, f, y, .. } => vec![x, f, y],
            Self::Blend { x, m, y, .. } => vec![x, m, y],
            Self::Site { x, .. } => vec![x],
            Self::CrossEntropy { logits, gradient } => vec![logits, gradient],
            Self::MeanSquaredError { prediction, gradient } => vec![prediction, gradient],
            Self::LinearGradWeight { dy, x, .. } | Self::Conv1dGradWeight { dy, x, .. } => {
                vec![dy, x]
            }
            Self::BiasGrad { dy, .. } => vec![dy],
            Self::ActivationGrad { saved, dy, .. } | Self::ActivationBiasGrad { saved, dy, .. } => {
                vec![saved, dy]
            }
            Self::LayerNormGrad { dy, x, mean, rstd, dx, .. } => vec![dy, x, mean, rstd, dx],
            Self::RmsNormGrad { dy, x, rstd, dx, .. } => vec![dy, x, rstd, dx],
            Self::LinearGradInput { dy, dx, .. }
            | Self::PassGrad { dy, dx, .. }
            | Self::ScaleGrad { dy, dx, .. }
            | Self::DropoutGrad { dy, dx, .. }
            | Self::Conv1dGradInput { dy, dx, .. } => vec![dy, dx],
            Self::MultiplyGrad { dy, other, dx, .. } => vec![dy, other, dx],
            Self::LayerScaleGrad { dy, x, dx, .. } | Self::GateGrad { dy, x, dx, .. } => {
                vec![dy, x, dx]
            }
            Self::SiteGrad { x, gradient, .. } => vec![x, gradient],
        }
    }

    /// Scratch the kernel needs for `rows` examples.
    pub fn scratch_len_elems(&self, program: &Program, rows: usize) -> usize {
        let linear = |x: TensorId, y: TensorId| {
            cpu::linear_scratch_len(LinearShape {
                rows,
                inputs: program.elems(x),
                outputs: program.elems(y),
            })
        };
        match *self {
            Self::Linear { x, y, .. } => linear(x, y),
            Self::LinearGradWeight { dy, x, .. } => linear(x, dy),
            Self::LinearGradInput { dy, dx, .. } => linear(dx, dy),
            Self::Conv1d { spec, .. }
            | Self::Conv1dGradWeight { spec, .. }
            | Self::Conv1dGradInput { spec, .. } => cpu::conv1d_scratch_len(spec.with_rows(rows)),
            _ => 0,
        }
    }
}
