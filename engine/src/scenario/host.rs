//! `[host]`: the network as it is before anything grows.

use super::{
    keys::{Given, Keys, Section},
    value::{Interval, List, Text},
    word::words,
};

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
    later "cnn", "transformer", "graph"
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
    /// How many parameters a host of these widths has before anything grows.
    pub fn n_params(&self) -> u64 {
        let (n_bias, n_norm) = match self.norm {
            Norm::None => (u64::from(self.bias), 0),
            Norm::Layer => (u64::from(self.bias), 2),
            Norm::Rms => (u64::from(self.bias), 1),
        };
        let linear = self.layers.windows(2).map(|it| (it[0] as u64 + n_bias) * it[1] as u64);
        let n_hidden = self.layers.len().saturating_sub(2);
        let norms = self.layers.iter().skip(1).take(n_hidden).map(|&it| n_norm * it as u64);
        linear.chain(norms).sum()
    }

    /// The names of every place a host of `n_layers` widths has for a seed, from input to output.
    pub fn site_names(n_layers: usize) -> Vec<String> {
        let hidden = (0..n_layers.saturating_sub(2)).map(|index| format!("hidden{index}"));
        std::iter::once("input".to_owned()).chain(hidden).collect()
    }
}

/// Names of sites; which of them a host has is checked when its layers are known.
const SITE: Text = Text {
    form: "the name of a site",
    example: "hidden0",
    is_one: |text| (1..=64).contains(&text.len()),
    all: &[],
};

impl Section for Host {
    fn keys(&mut self, keys: &mut impl Keys) {
        let layers = List { len: 2..=64, item: 1..=65_536, is_distinct: false };
        let sites = List { len: 0..=64, item: SITE, is_distinct: true };
        keys.kind(&mut self.kind);
        keys.required("layers", &mut self.layers, layers);
        keys.key("activation", &mut self.activation, ());
        keys.key("norm", &mut self.norm, ());
        keys.key("dropout", &mut self.dropout, Interval::from(0.0).below(1.0));
        keys.key("bias", &mut self.bias, ());
        if keys.key("sites", &mut self.sites, sites) == Given::No {
            self.sites = Self::site_names(self.layers.len());
        }
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
