//! The families that are meant to help.
//!
//! None of them holds a batch norm: what a module adds to an example must not depend on the others of its batch.

use esper_kernels::cpu::Activation;
use esper_nn::{
    contract::{Contract, Layer, Taps},
    graph::{GraphError, Init, NetworkGraph, Op},
    op::{
        Attention, ChannelMultiply, Conv2d, GlobalAvgPool, GroupNorm, LayerNorm, Linear, MaxPool2d,
        Multiply, NORM_EPS, Windows,
    },
    tensor::channel_shape,
};

use super::{
    chain::Chain,
    family::{
        Family, everywhere, has_vectors, is_image, is_over_conv, is_over_linear, is_sequence,
        is_vector, width,
    },
};

/// What the residual families rest on.
const RESIDUAL: &str =
    "He et al. 2016b, section 2; last layer zero: Goyal et al. 2017, section 5.1";

/// What widening rests on.
const WIDENING: &str = "new units beside the old: Chen et al. 2016 (Net2Net), section 2.3; outgoing weights zero: \
                        Evci et al. 2022 (GradMax), section 3.1";

/// Every family but the controls and the bad ones.
pub(super) const FAMILIES: [Family; 22] = [
    Family {
        name: "residual_mlp_small",
        intent: "one hidden layer of half the width",
        basis: RESIDUAL,
        fits: has_vectors,
        draw: |site| residual_mlp(site, width(site) / 2),
    },
    Family {
        name: "residual_mlp",
        intent: "one hidden layer of the site's width",
        basis: RESIDUAL,
        fits: has_vectors,
        draw: |site| residual_mlp(site, width(site)),
    },
    Family {
        name: "residual_mlp_wide",
        intent: "one hidden layer of twice the width",
        basis: RESIDUAL,
        fits: has_vectors,
        draw: |site| residual_mlp(site, 2 * width(site)),
    },
    Family {
        name: "bottleneck_adapter",
        intent: "a normalised bottleneck of a quarter of the width",
        basis: "Houlsby et al. 2019, section 2.1",
        fits: has_vectors,
        draw: bottleneck_adapter,
    },
    Family {
        name: "low_rank",
        intent: "a linear map of an eighth of full rank",
        basis: "Hu et al. 2022 (LoRA), section 4.1",
        fits: has_vectors,
        draw: low_rank,
    },
    Family {
        name: "glu",
        intent: "a linear map gated by another",
        basis: "Dauphin et al. 2017, equation 1",
        fits: has_vectors,
        draw: glu,
    },
    Family {
        name: "squeeze_excite",
        intent: "scales each feature or channel by what all of them say",
        basis: "Hu et al. 2018, section 3; excitation less one half, doubled: tanh(z/2) = 2 sigmoid(z) - 1",
        fits: |site| is_vector(site) || is_image(site),
        draw: squeeze_excite,
    },
    Family {
        name: "norm",
        intent: "adds the normalised features, each by a learned weight",
        basis: "Ba et al. 2016, equation 4; of images Wu and He 2018, section 3",
        fits: everywhere,
        draw: norm,
    },
    Family {
        name: "pointwise",
        intent: "one function of a single feature, the same at every position",
        basis: "Lin et al. 2014, section 3.1",
        fits: is_vector,
        draw: |site| convolution(site, signal_channels(site), 1, 1),
    },
    Family {
        name: "conv1d_one",
        intent: "neighbouring features through one hidden layer, the same at every position",
        basis: "LeCun et al. 1998, section II.A",
        fits: is_vector,
        draw: |site| convolution(site, signal_channels(site), SIGNAL_TAPS, 1),
    },
    Family {
        name: "conv1d_two",
        intent: "neighbouring features through two hidden layers, the same at every position",
        basis: "LeCun et al. 1998, section II.A",
        fits: is_vector,
        draw: |site| convolution(site, signal_channels(site), SIGNAL_TAPS, 2),
    },
    Family {
        name: "conv1x1",
        intent: "one function of a pixel's channels, the same at every pixel",
        basis: "Lin et al. 2014, section 3.1",
        fits: is_image,
        draw: |site| convolution(site, width(site).max(HIDDEN_MIN), 1, 1),
    },
    Family {
        name: "conv3x3",
        intent: "neighbouring pixels through one hidden layer of as many channels",
        basis: "He et al. 2016a, figure 5, left",
        fits: is_image,
        draw: |site| convolution(site, width(site).max(HIDDEN_MIN), IMAGE_TAPS, 1),
    },
    Family {
        name: "depthwise_separable",
        intent: "neighbouring pixels of each channel apart, then channels at each pixel",
        basis: "Howard et al. 2017, section 3.1",
        fits: is_image,
        draw: depthwise_separable,
    },
    Family {
        name: "bottleneck_conv",
        intent: "neighbouring pixels in a normalised bottleneck of a quarter of the channels",
        basis: "He et al. 2016a, figure 5, right; norm first: He et al. 2016b, section 4",
        fits: is_image,
        draw: bottleneck_conv,
    },
    Family {
        name: "attention",
        intent: "each position reads the others, as far as it may see them",
        basis: "Vaswani et al. 2017, section 3.2; norm first: Xiong et al. 2020, table 1",
        fits: is_sequence,
        draw: |site| attention(site, site.is_causal()),
    },
    Family {
        name: "widen_25",
        intent: "a quarter more hidden units beside those of the layer that it spans",
        basis: WIDENING,
        fits: is_over_linear,
        draw: |span| widen(span, 25),
    },
    Family {
        name: "widen_50",
        intent: "half as many hidden units again beside those of the layer that it spans",
        basis: WIDENING,
        fits: is_over_linear,
        draw: |span| widen(span, 50),
    },
    Family {
        name: "widen_100",
        intent: "as many hidden units again beside those of the layer that it spans",
        basis: WIDENING,
        fits: is_over_linear,
        draw: |span| widen(span, 100),
    },
    Family {
        name: "widen_300",
        intent: "three times as many hidden units again, for a layer that is far too narrow",
        basis: WIDENING,
        fits: is_over_linear,
        draw: |span| widen(span, 300),
    },
    Family {
        name: "widen_channels_100",
        intent: "as many hidden channels again beside those of the convolutions that it spans",
        basis: WIDENING,
        fits: is_over_conv,
        draw: |span| widen_channels(span, 100),
    },
    Family {
        name: "widen_channels_300",
        intent: "three times as many hidden channels again, for convolutions that are far too narrow",
        basis: WIDENING,
        fits: is_over_conv,
        draw: |span| widen_channels(span, 300),
    },
];

/// Hidden features a module has at least: fewer cut most of what passes through.
const HIDDEN_MIN: usize = 4;
/// Channels of a vector's convolutions: it has few positions to share weights over.
const SIGNAL_CHANNELS_MIN: usize = 4;
const SIGNAL_CHANNELS_MAX: usize = 8;
/// Taps of convolutions, where the vector or image is that long.
const SIGNAL_TAPS: usize = 5;
const IMAGE_TAPS: usize = 3;
/// Features a head reads at least: with fewer, scores of `q k^T` tell positions badly apart.
const HEAD_WIDTH_MIN: usize = 16;
/// Heads at most.
const HEADS_MAX: usize = 4;
/// Channels a group of a group norm: best of those tried by Wu and He 2018, table 3.
const GROUP_CHANNELS: usize = 16;

/// `f = W2 gelu(W1 x + b1) + b2`, `W2 = 0`.
fn residual_mlp(site: Contract, hidden: usize) -> Result<NetworkGraph, GraphError> {
    let hidden = Chain::input(site)?.linear("hidden", hidden.max(HIDDEN_MIN))?.gelu("act")?;
    hidden.zero("out", width(site))?.finish(site)
}

/// `f = W2 act(W1 x + b1) + b2`, `W2 = 0`, with the activation of the layer that it spans and `percent` of its width.
fn widen(span: Contract, percent: usize) -> Result<NetworkGraph, GraphError> {
    let Some(Layer::Linear { width, activation }) = span.layer() else {
        unreachable!("families are asked where they fit")
    };
    let units = (width as usize * percent).div_ceil(100);
    let outputs = channel_shape(&span.output_shape()).channels;
    Chain::input(span)?
        .linear("hidden", units)?
        .then("act", activation)?
        .zero("out", outputs)?
        .finish(span)
}

/// `f = W2 pool(act(norm(W1 x + b1))) + b2`, `W2 = 0`, with what the convolutions that it spans have but for `percent` of
/// their hidden channels; the norm is over groups, whatever else is in the batch.
fn widen_channels(span: Contract, percent: usize) -> Result<NetworkGraph, GraphError> {
    let Some(Layer::Conv { channels, activation, first, pool, last }) = span.layer() else {
        unreachable!("families are asked where they fit")
    };
    let convolution = |taps: Taps, outputs, init| {
        let Windows { kernel, stride, padding } = taps.windows();
        Op::Conv2d(Conv2d { outputs, kernel, stride, padding, groups: 1, bias: true, init })
    };
    let channels = (channels as usize * percent).div_ceil(100);
    let outputs = channel_shape(&span.output_shape()).channels;
    let norm = Op::GroupNorm(GroupNorm { groups: groups_of(channels), eps: NORM_EPS, weight: 1.0 });
    let mut chain = Chain::input(span)?
        .then("hidden", convolution(first, channels, Init::FanIn))?
        .then("norm", norm)?
        .then("act", activation)?;
    if let Some(taps) = pool {
        chain = chain.then("pool", Op::MaxPool2d(MaxPool2d(taps.windows())))?;
    }
    chain.then("out", convolution(last, outputs, Init::ZERO))?.finish(span)
}

/// `f = W2 gelu(W1 norm(x) + b1) + b2`, `W2 = 0`.
fn bottleneck_adapter(site: Contract) -> Result<NetworkGraph, GraphError> {
    let normal = Chain::input(site)?.then("norm", norm_of(site, 1.0))?;
    let down = normal.linear("down", (width(site) / 4).max(2))?.gelu("act")?;
    down.zero("up", width(site))?.finish(site)
}

/// `f = B A x`, `B = 0`.
fn low_rank(site: Contract) -> Result<NetworkGraph, GraphError> {
    let width = width(site);
    let down = Op::Linear(Linear { outputs: (width / 8).max(1), bias: false, init: Init::FanIn });
    let up = Op::Linear(Linear { outputs: width, bias: false, init: Init::ZERO });
    Chain::input(site)?.then("down", down)?.then("up", up)?.finish(site)
}

/// `f = W3 ((W1 x + b1) * sigmoid(W2 x + b2)) + b3`, `W3 = 0`.
fn glu(site: Contract) -> Result<NetworkGraph, GraphError> {
    let hidden = (width(site) / 2).max(HIDDEN_MIN);
    let mut chain = Chain::input(site)?;
    let x = chain.at;
    chain = chain.linear("value", hidden)?;
    let value = chain.at;
    chain.at = x;
    chain = chain.linear("gate", hidden)?.then("sigmoid", Activation::Sigmoid)?;
    chain.at = chain.graph.add("product", Multiply, &[value, chain.at])?;
    chain.zero("out", width(site))?.finish(site)
}

/// `f = x * tanh(W2 relu(W1 s + b1) + b2)`, `W2 = 0`, `b2 = 0`; `s` is a vector itself, or the mean of each channel.
fn squeeze_excite(site: Contract) -> Result<NetworkGraph, GraphError> {
    let mut chain = Chain::input(site)?;
    let x = chain.at;
    let mut multiply = Op::Multiply(Multiply);
    if is_image(site) {
        chain = chain.then("means", GlobalAvgPool)?;
        multiply = Op::ChannelMultiply(ChannelMultiply);
    }
    chain = chain
        .linear("squeeze", (width(site) / 4).max(HIDDEN_MIN))?
        .then("relu", Activation::Relu)?
        .zero("excite", width(site))?
        .then("tanh", Activation::Tanh)?;
    chain.at = chain.graph.add("product", multiply, &[x, chain.at])?;
    chain.finish(site)
}

/// `f = w * normalised(x) + b`, `w = 0`, `b = 0`.
fn norm(site: Contract) -> Result<NetworkGraph, GraphError> {
    Chain::input(site)?.then("norm", norm_of(site, 0.0))?.finish(site)
}

/// The norm of a site: over the features of a vector or position, or over groups of an image's channels.
fn norm_of(site: Contract, weight: f32) -> Op {
    if !is_image(site) {
        return Op::LayerNorm(LayerNorm { eps: NORM_EPS, weight });
    }
    Op::GroupNorm(GroupNorm { groups: groups_of(width(site)), eps: NORM_EPS, weight })
}

/// Groups of [`GROUP_CHANNELS`] each, or one of all channels.
fn groups_of(channels: usize) -> usize {
    if channels.is_multiple_of(GROUP_CHANNELS) { channels / GROUP_CHANNELS } else { 1 }
}

/// Convolutions of `taps` with `n_hidden` hidden layers of `channels`; the last is zero. A vector is read as one channel.
fn convolution(
    site: Contract,
    channels: usize,
    taps: usize,
    n_hidden: usize,
) -> Result<NetworkGraph, GraphError> {
    let mut chain = Chain::input(site)?.image()?;
    let (outputs, kernel) = (chain.width(), chain.kernel(taps));
    for layer in 0..n_hidden {
        let op = Op::same_conv2d(channels, kernel, Init::FanIn);
        chain = chain.then(format!("hidden{layer}"), op)?.gelu(format!("act{layer}"))?;
    }
    chain.then("out", Op::same_conv2d(outputs, kernel, Init::ZERO))?.finish(site)
}

fn signal_channels(site: Contract) -> usize {
    (width(site) / 8).clamp(SIGNAL_CHANNELS_MIN, SIGNAL_CHANNELS_MAX)
}

/// `f = W2 gelu(W1 x + b1) + b2`, `W2 = 0`: `W1` sees each channel apart, `W2` each pixel.
fn depthwise_separable(site: Contract) -> Result<NetworkGraph, GraphError> {
    let channels = width(site);
    let chain = Chain::input(site)?;
    let kernel = chain.kernel(IMAGE_TAPS);
    let depthwise = Op::Conv2d(Conv2d {
        // Several filters a channel, where the channels alone would be too few.
        outputs: channels * HIDDEN_MIN.div_ceil(channels),
        kernel,
        stride: [1, 1],
        padding: [kernel[0] / 2, kernel[1] / 2],
        groups: channels,
        bias: true,
        init: Init::FanIn,
    });
    chain.then("depthwise", depthwise)?.gelu("act")?.zero("pointwise", channels)?.finish(site)
}

/// `f = W3 gelu(W2 gelu(W1 norm(x) + b1) + b2) + b3`, `W3 = 0`: `W1` and `W3` see each pixel apart.
fn bottleneck_conv(site: Contract) -> Result<NetworkGraph, GraphError> {
    let inner = (width(site) / 4).max(HIDDEN_MIN);
    let normal = Chain::input(site)?.then("norm", norm_of(site, 1.0))?;
    let down = normal.linear("down", inner)?.gelu("act0")?;
    let conv = Op::same_conv2d(inner, down.kernel(IMAGE_TAPS), Init::FanIn);
    down.then("conv", conv)?.gelu("act1")?.zero("up", width(site))?.finish(site)
}

/// `f = W2 attention(W1 norm(x) + b1) + b2`, `W2 = 0`.
pub(super) fn attention(site: Contract, is_causal: bool) -> Result<NetworkGraph, GraphError> {
    let inner = width(site).max(HEAD_WIDTH_MIN);
    let is_fit = |heads: &usize| inner.is_multiple_of(*heads) && HEAD_WIDTH_MIN <= inner / heads;
    let heads = (1..=HEADS_MAX).rev().find(is_fit).expect("one head always fits");
    let normal = Chain::input(site)?.then("norm", norm_of(site, 1.0))?;
    let read = normal.linear("qkv", 3 * inner)?;
    let read = read.then("attention", Attention { heads, is_causal })?;
    read.zero("out", width(site))?.finish(site)
}
