//! The multilayer perceptron.

use esper_kernels::cpu::Activation;
use serde::{Deserialize, Serialize};

use super::{
    super::{GraphError, Init, Loss, NetworkGraph, NodeIndex, Op},
    HostBuilder, refuse,
};
use crate::{
    op::{LayerNorm, Linear, NORM_EPS, RmsNorm},
    words,
};

words! {
    /// What follows a hidden layer's linear map.
    #[derive(Serialize, Deserialize, Default)]
    #[serde(rename_all = "snake_case")]
    NormKind {
        /// Nothing.
        #[default]
        None = "none",
        /// Layer norm.
        Layer = "layer",
        /// Root-mean-square norm.
        Rms = "rms",
    }
}

/// A multilayer perceptron.
#[derive(Clone, Debug, PartialEq)]
pub struct MlpConfig {
    /// Widths from input to output, at least two.
    pub layers: Vec<usize>,
    /// After every hidden layer.
    pub activation: Activation,
    /// Before the activation of every hidden layer.
    pub norm: NormKind,
    /// Dropout after every hidden activation.
    pub dropout: f32,
    /// Whether linear layers have a bias.
    pub bias: bool,
    /// Where seeds may be planted; see [`MlpConfig::known_sites`].
    pub sites: Vec<String>,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            layers: vec![64, 8, 10],
            activation: Activation::Relu,
            norm: NormKind::None,
            dropout: 0.0,
            bias: true,
            sites: Vec::new(),
        }
    }
}

impl MlpConfig {
    /// The sites such a network has, from input to output.
    pub fn known_sites(&self) -> Vec<String> {
        let hidden = self.hidden().flat_map(|i| [format!("linear{i}"), format!("hidden{i}")]);
        let input = std::iter::once("input".to_owned());
        input.chain(hidden).chain(std::iter::once("logits".to_owned())).collect()
    }

    /// The sites seeds are planted at unless others are named: `input`, one after each hidden layer, and `logits`, so
    /// that the last hidden layer can be widened.
    pub fn default_sites(&self) -> Vec<String> {
        let hidden = self.hidden().map(|i| format!("hidden{i}"));
        let logits = self.hidden().last().map(|_| "logits".to_owned());
        std::iter::once("input".to_owned()).chain(hidden).chain(logits).collect()
    }

    fn hidden(&self) -> std::ops::Range<usize> {
        0..self.layers.len().saturating_sub(2)
    }
}

impl NetworkGraph {
    /// Builds the host of `config`, ending in `loss`.
    ///
    /// Layers are named as in `torch.nn.Sequential`-based hosts: `layers.0.weight`, `layers.0.bias`, ...
    ///
    /// # Errors
    ///
    /// Fails when a site does not exist or a width is out of range.
    pub fn mlp(config: &MlpConfig, loss: Loss) -> Result<Self, GraphError> {
        let [inputs, widths @ ..] = config.layers.as_slice() else {
            return refuse("layers", "is empty; a network has an input and an output width");
        };
        let Some(last) = widths.len().checked_sub(1) else {
            return refuse("layers", "has one width; a network has an input and an output width");
        };
        let mut host = HostBuilder::new(&config.sites, &config.known_sites())?;
        let mut x = host.input(&[*inputs])?;
        x = host.site("input", x)?;
        for (i, outputs) in widths.iter().enumerate() {
            let linear =
                Op::Linear(Linear { outputs: *outputs, bias: config.bias, init: Init::FanIn });
            x = host.add(format!("layers.{i}"), linear, x)?;
            if i < last {
                x = host.site(&format!("linear{i}"), x)?;
                x = hidden(&mut host, config, i, x)?;
            }
        }
        x = host.site("logits", x)?;
        host.finish(loss, x)
    }
}

/// What follows hidden layer `i`: norm, activation, dropout and site.
fn hidden(
    host: &mut HostBuilder<'_>,
    config: &MlpConfig,
    i: usize,
    mut x: NodeIndex,
) -> Result<NodeIndex, GraphError> {
    x = match config.norm {
        NormKind::None => x,
        NormKind::Layer => {
            host.add(format!("norms.{i}"), LayerNorm { eps: NORM_EPS, weight: 1.0 }, x)?
        }
        NormKind::Rms => {
            host.add(format!("norms.{i}"), RmsNorm { eps: NORM_EPS, weight: 1.0 }, x)?
        }
    };
    x = host.add(format!("activations.{i}"), Op::Activation(config.activation), x)?;
    x = host.dropout(format!("dropouts.{i}"), config.dropout, x)?;
    host.site(&format!("hidden{i}"), x)
}
