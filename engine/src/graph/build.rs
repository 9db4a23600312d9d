//! Builders of whole hosts.

use esper_kernels::cpu::Activation;
use serde::{Deserialize, Serialize};

use super::{GraphError, Loss, NetworkGraph, NodeIndex, Op};

/// What follows a hidden layer's linear map.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Nothing.
    #[default]
    None,
    /// Layer norm.
    Layer,
    /// Root-mean-square norm.
    Rms,
}

/// `eps` of both norms: PyTorch's default for layer norm.
pub const NORM_EPS: f32 = 1e-5;

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
    /// Where seeds may be planted: `input`, `hidden0`, `hidden1`, ...
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
    /// The sites such a network has: `input` and one after each hidden layer.
    pub fn known_sites(&self) -> Vec<String> {
        let n_hidden = self.layers.len().saturating_sub(2);
        std::iter::once("input".to_owned())
            .chain((0..n_hidden).map(|i| format!("hidden{i}")))
            .collect()
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
        let known = config.known_sites();
        if let Some(site) = config.sites.iter().find(|site| !known.contains(site)) {
            return Err(GraphError::UnknownSite { site: site.clone(), known: known.join(", ") });
        }
        let mut graph = Self::new();
        let mut x = graph.add("x", Op::Input { shape: vec![config.layers[0]] }, &[])?;
        x = graph.site_if_listed(config, "input", x)?;
        let last = config.layers.len() - 2;
        for (i, outputs) in config.layers[1..].iter().enumerate() {
            let linear =
                Op::Linear { outputs: *outputs, bias: config.bias, init: super::Init::FanIn };
            x = graph.add(format!("layers.{i}"), linear, &[x])?;
            if i == last {
                break;
            }
            x = match config.norm {
                NormKind::None => x,
                NormKind::Layer => {
                    let norm = Op::LayerNorm { eps: NORM_EPS, weight: 1.0 };
                    graph.add(format!("norms.{i}"), norm, &[x])?
                }
                NormKind::Rms => {
                    let norm = Op::RmsNorm { eps: NORM_EPS, weight: 1.0 };
                    graph.add(format!("norms.{i}"), norm, &[x])?
                }
            };
            x = graph.add(format!("activations.{i}"), Op::Activation(config.activation), &[x])?;
            if 0.0 < config.dropout {
                x = graph.add(format!("dropouts.{i}"), Op::Dropout { p: config.dropout }, &[x])?;
            }
            x = graph.site_if_listed(config, &format!("hidden{i}"), x)?;
        }
        graph.add("loss", Op::Loss(loss), &[x])?;
        Ok(graph)
    }

    fn site_if_listed(
        &mut self,
        config: &MlpConfig,
        name: &str,
        x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        if config.sites.iter().any(|site| site == name) {
            return self.add(name, Op::Site, &[x]);
        }
        Ok(x)
    }
}
