//! The ops.

use esper_kernels::cpu::Activation;
use serde::{Deserialize, Serialize};

use super::{Init, Shape};

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

/// What a node computes. `x` is its first input; shapes leave out the batch.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// The batch.
    Input {
        /// Its per-example shape.
        shape: Shape,
    },
    /// `y = x W^T (+ b)`, `W: f32[outputs, inputs]`; of a sequence, at each position alike.
    Linear {
        /// Features out.
        outputs: usize,
        /// Whether a bias is added.
        bias: bool,
        /// How `W` and `b` are drawn.
        init: Init,
    },
    /// `y = x W^T` with the weight `f32[vocabulary, width]` of an embedding: a tied head (Press and Wolf 2017).
    TiedLinear {
        /// The embedding's node.
        embedding: String,
    },
    /// Row `x` of `W: f32[vocabulary, width]` for each token of `[len]`.
    Embedding {
        /// Rows of `W`.
        vocabulary: usize,
        /// Features a token.
        width: usize,
        /// How `W` is drawn; PyTorch's is [`Init::Normal`] with 1.
        init: Init,
    },
    /// `y = x + W`, `W: f32[len, width]`: learned positions.
    Positions {
        /// How `W` is drawn.
        init: Init,
    },
    /// `[channels, height, width]` cut into squares, each mapped to `outputs` features: `[squares, outputs]`
    /// (Dosovitskiy et al. 2021, equation 1). Weight `f32[outputs, channels, patch, patch]`, as a convolution's.
    PatchEmbed {
        /// Features a square.
        outputs: usize,
        /// Side of a square.
        patch: usize,
    },
    /// Multi-head self-attention over `[len, 3 * width]`: queries, keys and values, each `[heads, width / heads]`;
    /// gives `[len, width]` (Vaswani et al. 2017, section 3.2).
    Attention {
        /// Heads; they divide the width.
        heads: usize,
        /// Whether a position sees itself and what lies before it only.
        is_causal: bool,
    },
    /// `y = x + b`, `b: f32[width]`, drawn as zeros.
    Bias,
    /// Elementwise.
    Activation(Activation),
    /// `(x - mean) / sqrt(var + eps) * weight + bias` over a vector, or each position of a sequence (Ba et al. 2016,
    /// equation 4).
    LayerNorm {
        /// Added to the variance.
        eps: f32,
        /// What `weight` is at birth; PyTorch's is 1.
        weight: f32,
    },
    /// `x / sqrt(mean(x^2) + eps) * weight` over a vector, or each position of a sequence (Zhang and Sennrich 2019,
    /// equation 4).
    RmsNorm {
        /// Added to the mean square.
        eps: f32,
        /// What `weight` is at birth; PyTorch's is 1.
        weight: f32,
    },
    /// `y = a + b`.
    Add,
    /// `y = a * b`, elementwise.
    Multiply,
    /// `y = fma(alpha, f, x)` with inputs `x` and `f`: how a grafted module joins its host.
    Residual {
        /// The blend.
        alpha: f32,
    },
    /// `y = (1 - alpha) x + alpha m` with inputs `x` and `m`, exact at both ends.
    Blend {
        /// The blend.
        alpha: f32,
    },
    /// `y = factor * x`.
    Scale {
        /// The factor.
        factor: f32,
    },
    /// `y = weight * x`, `weight: f32[width]` (`LayerScale`, Touvron et al. 2021, equation 4).
    LayerScale {
        /// What `weight` is at birth.
        weight: f32,
    },
    /// `y = sigmoid(weight) * x`, `weight: f32[width]`, drawn as zeros.
    Gate,
    /// Inverted dropout: while training, zero with probability `p`, else scaled by `1 / (1 - p)`.
    Dropout {
        /// Probability of zero.
        p: f32,
    },
    /// `(x - mean) / sqrt(var + eps) * weight + bias` for each channel: while training over the batch, else by running
    /// statistics (Ioffe and Szegedy 2015, algorithms 1 and 2).
    BatchNorm {
        /// Added to the variance.
        eps: f32,
        /// Share of the newest batch in the running statistics; PyTorch's is 0.1.
        momentum: f32,
        /// What `weight` is at birth; PyTorch's is 1.
        weight: f32,
    },
    /// `(x - mean) / sqrt(var + eps) * weight + bias` over groups of an example's channels (Wu and He 2018, section 3).
    GroupNorm {
        /// Groups; they divide the channels.
        groups: usize,
        /// Added to the variance.
        eps: f32,
        /// What `weight` is at birth; PyTorch's is 1.
        weight: f32,
    },
    /// Cross-correlation over `[channels, height, width]`, weight `f32[outputs, channels / groups, kernel...]`. A signal
    /// is an image of height 1. Pairs are vertical, then horizontal.
    Conv2d {
        /// Channels out.
        outputs: usize,
        /// Taps.
        kernel: [usize; 2],
        /// Step between outputs.
        stride: [usize; 2],
        /// Zeros added at each end.
        padding: [usize; 2],
        /// Groups of channels that do not see each other; they divide both channel counts.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
        /// How weight and bias are drawn.
        init: Init,
    },
    /// The largest of each window of each channel.
    MaxPool2d(Pool),
    /// The mean of each window of each channel, padding counted as zeros (PyTorch's `count_include_pad`).
    AvgPool2d(Pool),
    /// The mean of each channel: `[channels, height, width]` to `[channels]`.
    GlobalAvgPool,
    /// The mean over positions: `[len, width]` to `[width]`.
    MeanPositions,
    /// `y = s[channel] * x` with inputs `x: [channels, height, width]` and `s: [channels]`.
    ChannelMultiply,
    /// Inputs one after another along the features: the only axis of a vector, the last of a sequence, the channels of
    /// an image.
    Concat,
    /// The same values as one vector.
    Flatten,
    /// The same values in another shape.
    Reshape {
        /// The new per-example shape.
        shape: Shape,
    },
    /// The same values; gradients of what reads it are summed before they join those of its input.
    Branch,
    /// A named place where seeds may be planted: `y = x` until one is grafted.
    Site,
    /// The loss of the logits or predictions it is fed.
    Loss(Loss),
}

/// Windows of a pooling op; pairs are vertical, then horizontal.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Extent of a window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Rows and columns added at each end.
    pub padding: [usize; 2],
}

impl Pool {
    /// Windows of `side` that touch and do not overlap; over a signal, an image of height 1, they are flat.
    pub const fn square(side: usize, height: usize) -> Self {
        let kernel = [if height < side { height } else { side }, side];
        Self { kernel, stride: kernel, padding: [0, 0] }
    }
}

/// How an op with parameters a feature sees an example: `[positions, width, inner]`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Positions of a sequence; 1 elsewhere.
    pub positions: usize,
    /// Features: the only axis of a vector, the last of a sequence, the channels of an image.
    pub width: usize,
    /// Pixels a channel; 1 elsewhere.
    pub inner: usize,
}

/// The features of an example of `shape`: a vector, a sequence `[len, width]` or an image `[channels, height, width]`.
pub fn features(shape: &[usize]) -> Features {
    match *shape {
        [positions, width] => Features { positions, width, inner: 1 },
        [width, ref pixels @ ..] => {
            Features { positions: 1, width, inner: pixels.iter().product() }
        }
        [] => Features { positions: 1, width: 1, inner: 1 },
    }
}

impl Op {
    /// A linear layer with bias and PyTorch's initialisation.
    pub fn linear(outputs: usize) -> Self {
        Self::Linear { outputs, bias: true, init: Init::FanIn }
    }

    /// A linear layer of zeros.
    pub fn zero_linear(outputs: usize) -> Self {
        Self::Linear { outputs, bias: true, init: Init::ZERO }
    }

    /// A convolution that keeps height and width: stride 1, `kernel` odd, padded by half of it, with a bias.
    pub fn same_conv2d(outputs: usize, kernel: [usize; 2], init: Init) -> Self {
        let padding = [kernel[0] / 2, kernel[1] / 2];
        Self::Conv2d { outputs, kernel, stride: [1, 1], padding, groups: 1, bias: true, init }
    }
}
