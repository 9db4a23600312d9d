//! `[host]`: the network as it is before anything grows.

use super::word::words;

/// The network as it is before anything grows (DESIGN §6, §9).
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// What is built. Default `mlp`.
    pub kind: HostKind,
    /// Widths from input to output, 2 to 64 of them, each 1 to 65,536. Required.
    pub layers: Vec<usize>,
    /// What follows each hidden linear layer. Default `relu`.
    pub activation: Activation,
    /// What normalises each hidden layer, before its activation. Default `none`.
    pub norm: Norm,
    /// Probability of zeroing a hidden activation in training, 0 to below 1. Default 0.
    pub dropout: f64,
    /// Whether linear layers have a bias. Default true.
    pub bias: bool,
    /// Where seeds are planted: `input`, or `hidden0` for the output of the first hidden layer,
    /// and so on. Default: every place there is.
    pub sites: Vec<String>,
}

words! {
    /// What kind of network a host is.
    HostKind {
        /// A multilayer perceptron.
        Mlp = "mlp",
    }
}

words! {
    /// An element-wise nonlinearity.
    Activation {
        /// `max(x, 0)`.
        Relu = "relu",
        /// `x Phi(x)` with the exact normal distribution function.
        Gelu = "gelu",
        /// `gelu` by its tanh approximation.
        GeluTanh = "gelu_tanh",
        /// `x sigmoid(x)`.
        Silu = "silu",
        /// The hyperbolic tangent.
        Tanh = "tanh",
        /// `1 / (1 + exp(-x))`.
        Sigmoid = "sigmoid",
    }
}

words! {
    /// What normalises a hidden layer.
    Norm {
        /// Nothing.
        None = "none",
        /// Layer norm.
        Layer = "layer",
        /// Root-mean-square norm.
        Rms = "rms",
    }
}

impl Host {
    /// The names of every place a host of `n_layers` widths has for a seed, from input to output.
    pub fn site_names(n_layers: usize) -> Vec<String> {
        let hidden = (0..n_layers.saturating_sub(2)).map(|index| format!("hidden{index}"));
        std::iter::once("input".to_owned()).chain(hidden).collect()
    }
}

impl Default for Host {
    fn default() -> Self {
        let layers = vec![64, 8, 10];
        Self {
            kind: HostKind::Mlp,
            sites: Self::site_names(layers.len()),
            layers,
            activation: Activation::Relu,
            norm: Norm::None,
            dropout: 0.0,
            bias: true,
        }
    }
}
