//! The instructions.

mod operands;
mod spec;

use esper_kernels::cpu::{self, Activation};
use serde::{Deserialize, Serialize};

pub use spec::{AttentionSpec, ConvSpec, LinearSpec, PatchSpec, PoolSpec};

use crate::graph::Features;

/// A tensor of a program: its place in [`Program::regions`](super::Program::regions).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub u32);

/// A parameter or buffer in its block: `offset .. offset + len`.
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

/// What a parameter for each feature does to it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureMap {
    /// `y = w x`.
    Scale,
    /// `y = sigmoid(w) x`.
    Gate,
}

/// Buffers of a batch norm, in the block of buffers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningStatistics {
    /// `f32[channels]`.
    pub mean: Param,
    /// `f32[channels]`, unbiased.
    pub var: Param,
    /// Batches seen: one whole number.
    pub batches: Param,
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
        spec: LinearSpec,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
        activation: Option<Activation>,
        pre: Option<TensorId>,
        y: TensorId,
    },
    Conv2d {
        spec: ConvSpec,
        x: TensorId,
        weight: Param,
        bias: Option<Param>,
        rectify: bool,
        y: TensorId,
    },
    Embedding {
        spec: Features,
        x: TensorId,
        weight: Param,
        y: TensorId,
    },
    Patches {
        spec: PatchSpec,
        x: TensorId,
        y: TensorId,
    },
    Attention {
        spec: AttentionSpec,
        x: TensorId,
        lse: TensorId,
        y: TensorId,
    },
    Bias {
        spec: Features,
        x: TensorId,
        bias: Param,
        y: TensorId,
    },
    FeatureMap {
        map: FeatureMap,
        spec: Features,
        x: TensorId,
        weight: Param,
        y: TensorId,
    },
    Activation {
        kind: Activation,
        x: TensorId,
        y: TensorId,
    },
    LayerNorm {
        spec: Features,
        x: TensorId,
        weight: Param,
        bias: Param,
        eps: f32,
        mean: TensorId,
        rstd: TensorId,
        y: TensorId,
    },
    RmsNorm {
        spec: Features,
        x: TensorId,
        weight: Param,
        eps: f32,
        rstd: TensorId,
        y: TensorId,
    },
    GroupNorm {
        spec: Features,
        groups: usize,
        x: TensorId,
        weight: Param,
        bias: Param,
        eps: f32,
        mean: TensorId,
        rstd: TensorId,
        y: TensorId,
    },
    /// `mean` and `rstd` are of the batch: `f32[channels]`, at the start of their regions.
    BatchNorm {
        spec: Features,
        x: TensorId,
        weight: Param,
        bias: Param,
        running: RunningStatistics,
        eps: f32,
        momentum: f32,
        rectify: bool,
        mean: TensorId,
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
    ChannelMultiply {
        spec: Features,
        x: TensorId,
        scales: TensorId,
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
    Dropout {
        x: TensorId,
        p: f32,
        salt: u64,
        y: TensorId,
    },
    MaxPool {
        spec: PoolSpec,
        x: TensorId,
        y: TensorId,
    },
    AvgPool {
        spec: PoolSpec,
        x: TensorId,
        y: TensorId,
    },
    ChannelMean {
        spec: Features,
        x: TensorId,
        y: TensorId,
    },
    MeanPositions {
        spec: Features,
        x: TensorId,
        y: TensorId,
    },
    /// Writes `x: f32[positions, ..]` into columns `at ..` of `y`; others write the rest of it.
    CopyColumns {
        positions: usize,
        at: usize,
        x: TensorId,
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
        positions: usize,
        logits: TensorId,
        gradient: TensorId,
    },
    MeanSquaredError {
        prediction: TensorId,
        gradient: TensorId,
    },

    LinearGradWeight {
        spec: LinearSpec,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        accumulate: bool,
    },
    LinearGradInput {
        spec: LinearSpec,
        dy: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    },
    Conv2dGradWeight {
        spec: ConvSpec,
        dy: TensorId,
        x: TensorId,
        weight: Param,
    },
    Conv2dGradInput {
        spec: ConvSpec,
        dy: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    },
    EmbeddingGrad {
        spec: Features,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        accumulate: bool,
    },
    PatchesGrad {
        spec: PatchSpec,
        dy: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    AttentionGrad {
        spec: AttentionSpec,
        dy: TensorId,
        x: TensorId,
        y: TensorId,
        lse: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    BiasGrad {
        spec: Features,
        dy: TensorId,
        bias: Param,
    },
    FeatureMapGrad {
        map: FeatureMap,
        spec: Features,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        dx: TensorId,
        accumulate: bool,
    },
    ActivationGrad {
        kind: Activation,
        saved: TensorId,
        dy: TensorId,
    },
    ActivationBiasGrad {
        kind: Activation,
        spec: Features,
        saved: TensorId,
        dy: TensorId,
        bias: Param,
    },
    LayerNormGrad {
        spec: Features,
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
        spec: Features,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        rstd: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    GroupNormGrad {
        spec: Features,
        groups: usize,
        dy: TensorId,
        x: TensorId,
        weight: Param,
        bias: Param,
        mean: TensorId,
        rstd: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    /// Where `rectified`, the output that the rectifier left, `dy` is masked by it in place first.
    BatchNormGrad {
        spec: Features,
        dy: TensorId,
        x: TensorId,
        rectified: Option<TensorId>,
        weight: Param,
        bias: Param,
        mean: TensorId,
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
    /// The gradient of the image that was multiplied.
    ChannelMultiplyGrad {
        spec: Features,
        dy: TensorId,
        scales: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    /// The gradient of what it was multiplied by.
    ChannelScalesGrad {
        spec: Features,
        dy: TensorId,
        x: TensorId,
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
    MaxPoolGrad {
        spec: PoolSpec,
        dy: TensorId,
        x: TensorId,
        y: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    AvgPoolGrad {
        spec: PoolSpec,
        dy: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    ChannelMeanGrad {
        spec: Features,
        dy: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    MeanPositionsGrad {
        spec: Features,
        dy: TensorId,
        dx: TensorId,
        accumulate: bool,
    },
    /// `dx (=|+=)` the columns `at ..` of `dy`.
    TakeColumns {
        positions: usize,
        at: usize,
        dy: TensorId,
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
    /// Scratch the kernel needs for `rows` examples.
    pub fn scratch_len_elems(&self, rows: usize) -> usize {
        match *self {
            Self::Linear { spec, .. }
            | Self::LinearGradWeight { spec, .. }
            | Self::LinearGradInput { spec, .. } => cpu::linear_scratch_len(spec.with_rows(rows)),
            Self::Conv2d { spec, .. }
            | Self::Conv2dGradWeight { spec, .. }
            | Self::Conv2dGradInput { spec, .. } => cpu::conv2d_scratch_len(spec.with_rows(rows)),
            Self::Attention { spec, .. } | Self::AttentionGrad { spec, .. } => {
                cpu::attention_scratch_len(spec.with_rows(rows))
            }
            // The loss of each position, before the mean.
            Self::CrossEntropy { positions, .. } => positions * rows,
            _ => 0,
        }
    }
}
