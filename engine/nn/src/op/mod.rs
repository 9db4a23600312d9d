//! The ops: one file each, with all there is to know of it.
//!
//! A file says what its op computes, which inputs it takes and what shape it gives, its parameters and buffers, whether a
//! position sees later ones, what a graph file calls it and its settings, the instructions it becomes, their derivative,
//! scratch and FLOPs, and how the reference interpreter evaluates it. The table below makes [`Op`] of them, and the two
//! tables after it make [`Forward`] and [`Backward`], which devices match exhaustively.
//!
//! Written graphs name an op by its place in the table: new ops come last.

mod activation;
mod add;
mod attention;
mod avg_pool2d;
mod batch_norm;
mod bias;
mod blend;
mod branch;
mod channel_multiply;
mod concat;
mod conv2d;
mod dropout;
mod embedding;
mod flatten;
mod gate;
mod global_avg_pool;
mod group_norm;
mod inference;
mod input;
mod instruction;
mod layer_norm;
mod layer_scale;
mod linear;
mod loss;
mod lowering;
mod max_pool2d;
mod mean_positions;
mod multiply;
mod norm_settings;
mod patch_embed;
mod positions;
mod reference;
mod reshape;
mod residual;
mod rms_norm;
mod scale;
mod shared;
mod site;
mod softplus;
mod tape;
mod tied_linear;
mod windows;

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

pub use activation::{ActivationBiasGrad, ActivationForward, ActivationGrad};
pub use add::{Add, AddForward};
pub use attention::{Attention, AttentionForward, AttentionGrad};
pub use avg_pool2d::{AvgPool2d, AvgPool2dForward, AvgPool2dGrad};
pub use batch_norm::{
    BATCH_NORM_MOMENTUM, BatchNorm, BatchNormForward, BatchNormGrad, RunningStatistics,
};
pub use bias::{Bias, BiasForward, BiasGrad};
pub use blend::{Blend, BlendForward};
pub use branch::Branch;
pub use channel_multiply::{
    ChannelMultiply, ChannelMultiplyForward, ChannelMultiplyGrad, ChannelScalesGrad,
};
pub use concat::{Concat, CopyColumns, TakeColumns};
pub use conv2d::{Conv2d, Conv2dForward, Conv2dGradInput, Conv2dGradWeight};
pub use dropout::{Dropout, DropoutForward, DropoutGrad};
pub use embedding::{Embedding, EmbeddingForward, EmbeddingGrad};
pub use esper_kernels::cpu::Activation;
pub use flatten::Flatten;
pub use gate::{Gate, GateForward, GateGrad};
pub use global_avg_pool::{GlobalAvgPool, GlobalAvgPoolForward, GlobalAvgPoolGrad};
pub use group_norm::{GroupNorm, GroupNormForward, GroupNormGrad};
pub use inference::Inference;
pub use input::Input;
pub use instruction::Instruction;
pub use layer_norm::{LayerNorm, LayerNormForward, LayerNormGrad};
pub use layer_scale::{LayerScale, LayerScaleForward, LayerScaleGrad};
pub use linear::{Linear, LinearForward, LinearGradInput, LinearGradWeight};
pub use loss::{CrossEntropy, Loss, MeanSquaredError};
pub use lowering::{Lowered, Lowering, SiteInfo, TensorInfo};
pub use max_pool2d::{MaxPool2d, MaxPool2dForward, MaxPool2dGrad};
pub use mean_positions::{MeanPositions, MeanPositionsForward, MeanPositionsGrad};
pub use multiply::{Multiply, MultiplyForward, MultiplyGrad};
pub use norm_settings::NORM_EPS;
pub use patch_embed::{PatchEmbed, PatchesForward, PatchesGrad};
pub use positions::Positions;
pub use reference::{Evaluation, ReferenceParams};
pub use reshape::Reshape;
pub use residual::{Residual, ResidualForward};
pub use rms_norm::{RmsNorm, RmsNormForward, RmsNormGrad};
pub use scale::{Scale, ScaleForward};
pub use shared::{CopyForward, PassGrad, ScaleGrad};
pub use site::{Site, SiteForward, SiteGrad};
pub use softplus::{Softplus, SoftplusForward, SoftplusGrad};
pub use tape::{Differentiable, Tape};
pub use tied_linear::TiedLinear;
pub use windows::Windows;

use crate::{
    error::GraphError,
    settings::Keys,
    tensor::{ParamSpec, Shape, TensorId},
};

/// All that the rest of the crate knows of an op.
pub trait OpRule: fmt::Debug {
    /// What a graph file calls it.
    const WORD: &'static str;
    /// What older graph files called it.
    const OLD_WORD: Option<&'static str> = None;
    /// What PyTorch calls it: a module or function of `torch`, or an expression where it has no name for it.
    const TORCH: &'static str;

    /// One whose settings are still to be read.
    fn unset() -> Self;

    /// Visits every setting, to read or to write it.
    fn settings(&mut self, _keys: &mut impl Keys) {}

    /// How many inputs it takes.
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }

    /// Whether its settings are in range.
    ///
    /// # Errors
    ///
    /// Says which is not, and the range.
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Its output's shape.
    ///
    /// # Errors
    ///
    /// Names the node when its inputs' shapes do not fit.
    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError>;

    /// Its parameters, named after `node`, for inputs of `shapes`.
    fn params(&self, _node: &str, _shapes: &[&[usize]]) -> Vec<ParamSpec> {
        Vec::new()
    }

    /// What it carries from step to step and no gradient reaches, named after `node`.
    fn buffers(&self, _node: &str, _shapes: &[&[usize]]) -> Vec<ParamSpec> {
        Vec::new()
    }

    /// Whether what it gives at a position of `[len, width]` depends on that position and earlier ones only.
    fn is_causal(&self) -> bool;

    /// Appends the instructions that compute it, and returns the tensor they leave it in.
    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId;

    /// Its output in `f64`, for the whole batch.
    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64>;

    /// Itself and its settings, in Rust's form.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Makes [`Op`] of the ops' types, and has it answer as each of them.
macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident,)+) => {
        /// What a node computes. `x` is its first input; shapes leave out the batch.
        #[derive(Serialize, Deserialize, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Op {
            $($(#[$doc])* $op($op),)+
        }

        $(impl From<$op> for Op {
            fn from(op: $op) -> Self {
                Self::$op(op)
            }
        })+

        /// Evaluates an expression with `$rule` bound to the op that an [`Op`] holds.
        macro_rules! each_op {
            ($value:expr, $rule:ident => $body:expr) => {
                match $value { $(Op::$op($rule) => $body,)+ }
            };
        }

        impl Op {
            /// What a graph file may call an op.
            pub const WORDS: &'static [&'static str] = &[$(<$op as OpRule>::WORD),+];

            /// What graph files and PyTorch call each op.
            pub const IN_PYTORCH: &'static [(&'static str, &'static str)] =
                &[$((<$op as OpRule>::WORD, <$op as OpRule>::TORCH)),+];

            /// The op that a graph file calls `word`, its settings still to be read.
            pub fn unset(word: &str) -> Option<Self> {
                $(
                    if word == <$op as OpRule>::WORD || Some(word) == <$op as OpRule>::OLD_WORD {
                        return Some(Self::$op(OpRule::unset()));
                    }
                )+
                None
            }
        }
    };
}

ops! {
    /// The batch.
    Input,
    /// `y = x W^T (+ b)`.
    Linear,
    /// `y = x W^T` with the weight of an embedding.
    TiedLinear,
    /// Row `x` of a table for each token.
    Embedding,
    /// `y = x + W`: learned positions.
    Positions,
    /// An image as a sequence of squares, each mapped to features.
    PatchEmbed,
    /// Multi-head self-attention.
    Attention,
    /// `y = x + b`.
    Bias,
    /// An elementwise nonlinearity.
    Activation,
    /// Layer norm.
    LayerNorm,
    /// Root-mean-square norm.
    RmsNorm,
    /// `y = a + b`.
    Add,
    /// `y = a * b`, elementwise.
    Multiply,
    /// `y = fma(alpha, f, x)`.
    Residual,
    /// `y = (1 - alpha) x + alpha m`.
    Blend,
    /// `y = factor * x`.
    Scale,
    /// `y = weight * x`.
    LayerScale,
    /// `y = sigmoid(weight) * x`.
    Gate,
    /// Inverted dropout.
    Dropout,
    /// Batch norm.
    BatchNorm,
    /// Group norm.
    GroupNorm,
    /// 2-D convolution.
    Conv2d,
    /// The largest of each window.
    MaxPool2d,
    /// The mean of each window.
    AvgPool2d,
    /// The mean of each channel.
    GlobalAvgPool,
    /// The mean over positions.
    MeanPositions,
    /// An image whose channels are scaled by a vector.
    ChannelMultiply,
    /// Inputs one after another along the features.
    Concat,
    /// The same values as one vector.
    Flatten,
    /// The same values in another shape.
    Reshape,
    /// The same values, whose gradients are summed apart.
    Branch,
    /// A place where seeds may be planted.
    Site,
    /// The loss.
    Loss,
    /// `y = ln(1 + e^(beta x)) / beta`.
    Softplus,
}

impl Op {
    /// A linear layer with bias and PyTorch's initialisation.
    pub fn linear(outputs: usize) -> Self {
        Linear::new(outputs).into()
    }

    /// A linear layer of zeros.
    pub fn zero_linear(outputs: usize) -> Self {
        Linear::zero(outputs).into()
    }

    /// A convolution that keeps height and width: stride 1, `kernel` odd, padded by half of it, with a bias.
    pub fn same_conv2d(outputs: usize, kernel: [usize; 2], init: crate::tensor::Init) -> Self {
        Conv2d::same(outputs, kernel, init).into()
    }

    /// What a graph file calls it.
    pub fn word(&self) -> &'static str {
        fn word<T: OpRule>(_: &T) -> &'static str {
            T::WORD
        }
        each_op!(self, op => word(op))
    }

    /// Visits every setting, to read or to write it.
    pub fn settings(&mut self, keys: &mut impl Keys) {
        each_op!(self, op => op.settings(keys));
    }

    /// Its output's shape; its number of inputs and its settings are checked first.
    ///
    /// # Errors
    ///
    /// Names the node when a setting is out of range, or the inputs' number or shapes do not fit.
    pub fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        let (arity, found) = each_op!(self, op => (op.arity(), at.shapes.len()));
        let node = || at.node.to_owned();
        if !arity.contains(&found) {
            let expected = found.clamp(*arity.start(), *arity.end());
            return Err(GraphError::Arity { node: node(), expected, found });
        }
        let checked = each_op!(self, op => op.check());
        checked.map_err(|what| GraphError::Setting { node: node(), what })?;
        each_op!(self, op => op.output_shape(at))
    }

    /// Its parameters, named after `node`, for inputs of `shapes`.
    pub fn params(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        each_op!(self, op => op.params(node, shapes))
    }

    /// What it carries from step to step and no gradient reaches, named after `node`.
    pub fn buffers(&self, node: &str, shapes: &[&[usize]]) -> Vec<ParamSpec> {
        each_op!(self, op => op.buffers(node, shapes))
    }

    /// Whether what it gives at a position of `[len, width]` depends on that position and earlier ones only.
    pub fn is_causal(&self) -> bool {
        each_op!(self, op => op.is_causal())
    }

    /// Whether its output is its input's memory.
    pub const fn is_view(&self) -> bool {
        matches!(self, Self::Reshape(_) | Self::Flatten(_))
    }

    /// Appends the instructions that compute it, and returns the tensor they leave it in.
    pub fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        each_op!(self, op => op.lower(node, lowering))
    }

    /// Its output in `f64`, for the whole batch.
    pub fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        each_op!(self, op => op.evaluate(node))
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        each_op!(self, op => op.describe(f))
    }
}

/// Makes an enum of instructions, and has it answer as each of them.
macro_rules! instructions {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident($instr:ident),)+ }) => {
        $(#[$meta])*
        #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
        pub enum $name {
            $($(#[$doc])* $variant($instr),)+
        }

        $(impl From<$instr> for $name {
            fn from(instr: $instr) -> Self {
                Self::$variant(instr)
            }
        })+

        impl $name {
            /// What each is called.
            pub const NAMES: &[&str] = &[$(stringify!($variant)),+];

            /// What this one is called.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant),)+ }
            }

            /// Every tensor it touches.
            pub fn tensors(&self) -> Vec<TensorId> {
                match self { $(Self::$variant(instr) => instr.tensors(),)+ }
            }

            /// Scratch its kernel needs for `rows` examples.
            pub fn scratch_len_elems(&self, rows: usize) -> usize {
                match self { $(Self::$variant(instr) => instr.scratch_len_elems(rows),)+ }
            }
        }
    };
}

/// Makes [`Forward`], whose every instruction has a derivative.
macro_rules! forward {
    ($($(#[$doc:meta])* $variant:ident($instr:ident),)+) => {
        instructions! {
            /// An instruction of the forward pass: one call of a kernel.
            Forward { $($(#[$doc])* $variant($instr),)+ }
        }

        impl Forward {
            /// Writes its derivative.
            ///
            /// # Errors
            ///
            /// Names a site that no gradient reaches.
            pub fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
                match self { $(Self::$variant(instr) => instr.reverse(tape),)+ }
            }
        }
    };
}

forward! {
    /// A linear map, with bias and activation where they were folded in.
    Linear(LinearForward),
    /// A convolution, with bias and rectifier where they were folded in.
    Conv2d(Conv2dForward),
    /// Rows of a table.
    Embedding(EmbeddingForward),
    /// An image cut into squares.
    Patches(PatchesForward),
    /// Self-attention.
    Attention(AttentionForward),
    /// A bias for each feature.
    Bias(BiasForward),
    /// A factor for each feature.
    LayerScale(LayerScaleForward),
    /// A gate for each feature.
    Gate(GateForward),
    /// An activation.
    Activation(ActivationForward),
    /// Layer norm.
    LayerNorm(LayerNormForward),
    /// Root-mean-square norm.
    RmsNorm(RmsNormForward),
    /// Group norm.
    GroupNorm(GroupNormForward),
    /// Batch norm, with the rectifier where it was folded in.
    BatchNorm(BatchNormForward),
    /// A sum.
    Add(AddForward),
    /// A product.
    Multiply(MultiplyForward),
    /// An image whose channels are scaled.
    ChannelMultiply(ChannelMultiplyForward),
    /// A residual connection.
    Residual(ResidualForward),
    /// A blend.
    Blend(BlendForward),
    /// A constant factor.
    Scale(ScaleForward),
    /// Dropout.
    Dropout(DropoutForward),
    /// The largest of each window.
    MaxPool2d(MaxPool2dForward),
    /// The mean of each window.
    AvgPool2d(AvgPool2dForward),
    /// The mean of each channel.
    GlobalAvgPool(GlobalAvgPoolForward),
    /// The mean over positions.
    MeanPositions(MeanPositionsForward),
    /// One input of a concatenation.
    CopyColumns(CopyColumns),
    /// A copy.
    Copy(CopyForward),
    /// A site.
    Site(SiteForward),
    /// Softmax cross-entropy and its gradient.
    CrossEntropy(CrossEntropy),
    /// Mean squared error and its gradient.
    MeanSquaredError(MeanSquaredError),
    /// Softplus.
    Softplus(SoftplusForward),
}

instructions! {
    /// An instruction of the backward pass: one call of a kernel. Where it has `accumulate`, the gradient is added to
    /// what is there.
    Backward {
        /// A linear map's weight.
        LinearGradWeight(LinearGradWeight),
        /// A linear map's input.
        LinearGradInput(LinearGradInput),
        /// A convolution's weight.
        Conv2dGradWeight(Conv2dGradWeight),
        /// A convolution's input.
        Conv2dGradInput(Conv2dGradInput),
        /// A table's rows.
        Embedding(EmbeddingGrad),
        /// An image that was cut into squares.
        Patches(PatchesGrad),
        /// Queries, keys and values.
        Attention(AttentionGrad),
        /// A bias for each feature.
        Bias(BiasGrad),
        /// A factor for each feature, and what it scaled.
        LayerScale(LayerScaleGrad),
        /// A gate for each feature, and what it scaled.
        Gate(GateGrad),
        /// An activation, in place.
        Activation(ActivationGrad),
        /// An activation, in place, and the bias before it.
        ActivationBias(ActivationBiasGrad),
        /// Layer norm.
        LayerNorm(LayerNormGrad),
        /// Root-mean-square norm.
        RmsNorm(RmsNormGrad),
        /// Group norm.
        GroupNorm(GroupNormGrad),
        /// Batch norm, and the rectifier that was folded into it.
        BatchNorm(BatchNormGrad),
        /// `dx (=|+=) dy`.
        Pass(PassGrad),
        /// `dx (=|+=) factor * dy`.
        Scale(ScaleGrad),
        /// `dx (=|+=) dy * other`.
        Multiply(MultiplyGrad),
        /// The image whose channels were scaled.
        ChannelMultiply(ChannelMultiplyGrad),
        /// What channels were scaled by.
        ChannelScales(ChannelScalesGrad),
        /// Dropout.
        Dropout(DropoutGrad),
        /// Max pooling.
        MaxPool2d(MaxPool2dGrad),
        /// Average pooling.
        AvgPool2d(AvgPool2dGrad),
        /// The mean of each channel.
        GlobalAvgPool(GlobalAvgPoolGrad),
        /// The mean over positions.
        MeanPositions(MeanPositionsGrad),
        /// One input of a concatenation.
        TakeColumns(TakeColumns),
        /// A site.
        Site(SiteGrad),
        /// Softplus.
        Softplus(SoftplusGrad),
    }
}
