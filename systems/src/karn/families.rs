//! The families for vectors.

use esper_engine::{
    graph::{GraphError, Init, NetworkGraph, Op},
    world::{catalog::Blueprint, components::Contract},
};
use esper_kernels::cpu::Activation;

use super::{catalogue::BlueprintFamily, chain::Chain};

/// One row of the catalogue.
pub(super) struct VectorFamily {
    pub name: &'static str,
    /// Why this shape.
    pub intent: &'static str,
    /// What it rests on.
    pub basis: &'static str,
    pub draw: fn(width: usize) -> Result<NetworkGraph, GraphError>,
}

impl BlueprintFamily for VectorFamily {
    fn name(&self) -> &str {
        self.name
    }

    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError> {
        match contract {
            Contract::Vector { width } => {
                let graph = (self.draw)(*width as usize)?;
                Blueprint::new(self.name, graph, self.intent, self.basis).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Every family for vectors that is meant to help.
pub(super) const FAMILIES: [VectorFamily; 11] = [
    VectorFamily {
        name: "residual_mlp_small",
        intent: "one hidden layer of half the width",
        basis: "He et al. 2016b, section 2; last layer zero: Goyal et al. 2017, section 5.1",
        draw: |width| residual_mlp(width, width / 2),
    },
    VectorFamily {
        name: "residual_mlp",
        intent: "one hidden layer of the site's width",
        basis: "He et al. 2016b, section 2; last layer zero: Goyal et al. 2017, section 5.1",
        draw: |width| residual_mlp(width, width),
    },
    VectorFamily {
        name: "residual_mlp_wide",
        intent: "one hidden layer of twice the width",
        basis: "He et al. 2016b, section 2; last layer zero: Goyal et al. 2017, section 5.1",
        draw: |width| residual_mlp(width, 2 * width),
    },
    VectorFamily {
        name: "bottleneck_adapter",
        intent: "a normalised bottleneck of a quarter of the width",
        basis: "Houlsby et al. 2019, section 2.1",
        draw: bottleneck_adapter,
    },
    VectorFamily {
        name: "low_rank",
        intent: "a linear map of an eighth of full rank",
        basis: "Hu et al. 2022 (LoRA), section 4.1",
        draw: low_rank,
    },
    VectorFamily {
        name: "glu",
        intent: "a linear map gated by another",
        basis: "Dauphin et al. 2017, equation 1",
        draw: glu,
    },
    VectorFamily {
        name: "squeeze_excite",
        intent: "scales each feature by what all of them say",
        basis: "Hu et al. 2018, section 3; excitation less one half, doubled: tanh(z/2) = 2 sigmoid(z) - 1",
        draw: squeeze_excite,
    },
    VectorFamily {
        name: "norm",
        intent: "adds the normalised features, each by a learned weight",
        basis: "Ba et al. 2016, equation 4",
        draw: norm,
    },
    VectorFamily {
        name: "pointwise",
        intent: "one function of a single feature, the same at every position",
        basis: "Lin et al. 2014, section 3.1",
        draw: |width| convolution(width, 1, 1),
    },
    VectorFamily {
        name: "conv1d_one",
        intent: "neighbouring features through one hidden layer, the same at every position",
        basis: "LeCun et al. 1998, section II.A",
        draw: |width| convolution(width, taps(width), 1),
    },
    VectorFamily {
        name: "conv1d_two",
        intent: "neighbouring features through two hidden layers, the same at every position",
        basis: "LeCun et al. 1998, section II.A",
        draw: |width| convolution(width, taps(width), 2),
    },
];

/// Hidden features a module has at least: fewer cut most of what passes through.
const HIDDEN_MIN: usize = 4;
/// Channels of the convolutions: a vector has few positions to share weights over.
const CHANNELS_MIN: usize = 4;
const CHANNELS_MAX: usize = 8;
/// Taps of the convolutions, where the vector is that long.
const TAPS_MAX: usize = 5;

/// `f = W2 gelu(W1 x + b1) + b2`, `W2 = 0`.
fn residual_mlp(width: usize, hidden: usize) -> Result<NetworkGraph, GraphError> {
    let hidden = hidden.max(HIDDEN_MIN);
    Ok(Chain::input(width)?.linear("hidden", hidden)?.gelu("act")?.zero("out", width)?.finish())
}

/// `f = W2 gelu(W1 norm(x) + b1) + b2`, `W2 = 0`.
fn bottleneck_adapter(width: usize) -> Result<NetworkGraph, GraphError> {
    let norm = Op::LayerNorm { eps: NORM_EPS, weight: 1.0 };
    let down = Chain::input(width)?.then("norm", norm)?.linear("down", (width / 4).max(2))?;
    Ok(down.gelu("act")?.zero("up", width)?.finish())
}

/// `f = B A x`, `B = 0`.
fn low_rank(width: usize) -> Result<NetworkGraph, GraphError> {
    let down = Op::Linear { outputs: (width / 8).max(1), bias: false, init: Init::FanIn };
    let up = Op::Linear { outputs: width, bias: false, init: Init::ZERO };
    Ok(Chain::input(width)?.then("down", down)?.then("up", up)?.finish())
}

/// `f = W3 ((W1 x + b1) * sigmoid(W2 x + b2)) + b3`, `W3 = 0`.
fn glu(width: usize) -> Result<NetworkGraph, GraphError> {
    let hidden = (width / 2).max(HIDDEN_MIN);
    let mut chain = Chain::input(width)?;
    let x = chain.at;
    chain = chain.linear("value", hidden)?;
    let value = chain.at;
    chain.at = x;
    chain = chain.linear("gate", hidden)?.then("sigmoid", Op::Activation(Activation::Sigmoid))?;
    chain.at = chain.graph.add("product", Op::Multiply, &[value, chain.at])?;
    Ok(chain.zero("out", width)?.finish())
}

/// `f = x * tanh(W2 relu(W1 x + b1) + b2)`, `W2 = 0`, `b2 = 0`.
fn squeeze_excite(width: usize) -> Result<NetworkGraph, GraphError> {
    let mut chain = Chain::input(width)?;
    let x = chain.at;
    chain = chain
        .linear("squeeze", (width / 4).max(HIDDEN_MIN))?
        .then("relu", Op::Activation(Activation::Relu))?
        .zero("excite", width)?
        .then("tanh", Op::Activation(Activation::Tanh))?;
    chain.at = chain.graph.add("product", Op::Multiply, &[x, chain.at])?;
    Ok(chain.finish())
}

/// `f = w * normalised(x) + b`, `w = 0`, `b = 0`.
fn norm(width: usize) -> Result<NetworkGraph, GraphError> {
    Ok(Chain::input(width)?.then("norm", Op::LayerNorm { eps: NORM_EPS, weight: 0.0 })?.finish())
}

/// Convolutions of `taps` with `n_hidden` hidden layers over `x` as a sequence; the last is zero.
fn convolution(width: usize, taps: usize, n_hidden: usize) -> Result<NetworkGraph, GraphError> {
    let channels = (width / 8).clamp(CHANNELS_MIN, CHANNELS_MAX);
    let mut chain = Chain::sequence(width)?;
    for layer in 0..n_hidden {
        let op = Op::same_conv2d(channels, [1, taps], Init::FanIn);
        chain = chain.then(format!("hidden{layer}"), op)?.gelu(format!("act{layer}"))?;
    }
    Ok(chain.zero_conv(taps, width)?.finish())
}

/// The largest odd number of taps that is at most [`TAPS_MAX`] and fits the vector.
fn taps(width: usize) -> usize {
    let most = width.min(TAPS_MAX);
    if most % 2 == 1 { most } else { most - 1 }
}

/// `eps` of the norms: PyTorch's default for layer norm.
const NORM_EPS: f32 = 1e-5;
