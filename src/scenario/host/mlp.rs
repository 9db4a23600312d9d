//! `kind = "mlp"`: a multilayer perceptron.

use esper_engine::scenario::{Interval, Keys, List, Table};
use esper_kernels::cpu::Activation;
use esper_nn::graph::{MlpConfig, NormKind};

/// Linear layers with what lies between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// Widths from input to output, 2 to 64 of them, each 1 to 65,536. Required.
    pub layers: Vec<usize>,
    /// What follows each hidden linear layer. Default `relu`.
    pub activation: Activation,
    /// What normalises each hidden layer, before its activation. Default `none`.
    pub norm: NormKind,
    /// Probability of zeroing a hidden activation in training, 0 to below 1. Default 0.
    pub dropout: f64,
    /// Whether linear layers have a bias. Default true.
    pub bias: bool,
}

impl Mlp {
    /// What the graph's builder asks for, with seeds at `sites`.
    pub fn config(&self, sites: &[String]) -> MlpConfig {
        MlpConfig {
            layers: self.layers.clone(),
            activation: self.activation,
            norm: self.norm,
            dropout: self.dropout as f32,
            bias: self.bias,
            sites: sites.to_vec(),
        }
    }
}

impl Table for Mlp {
    fn keys(&mut self, keys: &mut impl Keys) {
        let layers = List { len: 2..=64, item: 1..=65_536, is_distinct: false };
        keys.required("layers", &mut self.layers, layers);
        keys.key("activation", &mut self.activation, ());
        keys.key("norm", &mut self.norm, ());
        keys.key("dropout", &mut self.dropout, Interval::from(0.0).below(1.0));
        keys.key("bias", &mut self.bias, ());
    }
}

impl Default for Mlp {
    fn default() -> Self {
        Self {
            layers: vec![64, 8, 10],
            activation: Activation::Relu,
            norm: NormKind::None,
            dropout: 0.0,
            bias: true,
        }
    }
}
