//! The decoder-only transformer for text.

use esper_kernels::cpu::Activation;

use super::{
    super::{GraphError, Init, Loss, NetworkGraph, Op},
    HostBuilder,
    block::{Blocks, LAYER_NORM, block_ends, block_sites},
};
use crate::op::{Embedding, Linear, Positions, TiedLinear};

/// Standard deviation of weights at birth (Radford et al. 2018, section 4.1).
pub(super) const WEIGHT_STD: f32 = 0.02;

/// A decoder-only, pre-norm transformer with learned positions (Radford et al. 2019, section 2.3).
///
/// It reads `[context]` tokens and says, at each position, how probable each token of the vocabulary is to come next.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformerConfig {
    /// Tokens there are.
    pub vocabulary: usize,
    /// Tokens of an example.
    pub context: usize,
    /// Blocks.
    pub layers: usize,
    /// Features a position.
    pub width: usize,
    /// Heads of each attention; they divide the width.
    pub heads: usize,
    /// Hidden features of each block's perceptron; four times the width in most published models.
    pub mlp_width: usize,
    /// Dropout of the embeddings, and of what attention and perceptron add.
    pub dropout: f32,
    /// Within each perceptron.
    pub activation: Activation,
    /// Whether the head's weight is the embedding's (Press and Wolf 2017).
    pub tied: bool,
    /// Where seeds may be planted; see [`TransformerConfig::known_sites`].
    pub sites: Vec<String>,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            vocabulary: 256,
            context: 128,
            layers: 4,
            width: 128,
            heads: 4,
            mlp_width: 512,
            dropout: 0.0,
            activation: Activation::Gelu,
            tied: true,
            sites: Vec::new(),
        }
    }
}

impl TransformerConfig {
    /// The sites such a network has, from input to output.
    pub fn known_sites(&self) -> Vec<String> {
        let last = ["norm.out", "logits"].map(str::to_owned);
        std::iter::once("embed".to_owned()).chain(block_sites(self.layers)).chain(last).collect()
    }

    /// The sites seeds are planted at unless others are named: `embed` and the end of every block.
    pub fn default_sites(&self) -> Vec<String> {
        std::iter::once("embed".to_owned()).chain(block_ends(self.layers)).collect()
    }
}

impl NetworkGraph {
    /// Builds the host of `config`, ending in the cross-entropy of every position.
    ///
    /// Layers are named `tok_embed`, `pos_embed`, `blocks.0.norm1`, `blocks.0.attn.qkv`, `blocks.0.attn.proj`,
    /// `blocks.0.norm2`, `blocks.0.mlp.fc1`, `blocks.0.mlp.fc2`, ..., `norm`, `head`; the head has no bias, and no
    /// weight of its own when it is tied. Weights are drawn normal with standard deviation 0.02, those of `proj` and
    /// `fc2` with `0.02 / sqrt(2 layers)`, one for each of the sums they enter; biases are zero (Radford et al. 2019,
    /// section 2.3).
    ///
    /// # Errors
    ///
    /// Fails when a site does not exist or a setting is out of range.
    pub fn transformer(config: &TransformerConfig) -> Result<Self, GraphError> {
        let init = Init::Normal(WEIGHT_STD);
        let blocks = Blocks {
            layers: config.layers,
            width: config.width,
            heads: config.heads,
            mlp_width: config.mlp_width,
            dropout: config.dropout,
            activation: config.activation,
            is_causal: true,
            init,
            residual_init: Init::Normal(WEIGHT_STD / (2.0 * config.layers as f32).sqrt()),
        };
        blocks.check()?;
        let mut host = HostBuilder::new(&config.sites, &config.known_sites())?;
        let (vocabulary, width) = (config.vocabulary, config.width);
        let mut x = host.input(&[config.context])?;
        x = host.add("tok_embed", Embedding { vocabulary, width, init }, x)?;
        x = host.add("pos_embed", Positions { init }, x)?;
        x = host.dropout("drop", config.dropout, x)?;
        x = host.site("embed", x)?;
        x = blocks.add(&mut host, x)?;
        x = host.add("norm", LAYER_NORM, x)?;
        x = host.site("norm.out", x)?;
        let head = if config.tied {
            Op::TiedLinear(TiedLinear { embedding: "tok_embed".to_owned() })
        } else {
            Op::Linear(Linear { outputs: vocabulary, bias: false, init })
        };
        x = host.add("head", head, x)?;
        x = host.site("logits", x)?;
        host.finish(Loss::CrossEntropy, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Site;

    #[test]
    fn a_transformer_of_gpt2s_shape_has_its_number_of_parameters() {
        let config = TransformerConfig {
            vocabulary: 50_257,
            context: 256,
            layers: 12,
            width: 768,
            heads: 12,
            mlp_width: 3_072,
            ..TransformerConfig::default()
        };
        // The published 124,439,808, less the positions beyond 256 of its 1,024.
        let graph = NetworkGraph::transformer(&config).unwrap();
        assert_eq!(graph.params_elems(), 124_439_808 - 768 * 768);
        let untied =
            NetworkGraph::transformer(&TransformerConfig { tied: false, ..config }).unwrap();
        assert_eq!(untied.params_elems(), graph.params_elems() + 50_257 * 768);
    }

    #[test]
    fn a_block_is_named_as_timms_and_drawn_as_gpt2s() {
        let config = TransformerConfig { layers: 2, tied: false, ..TransformerConfig::default() };
        let params = NetworkGraph::transformer(&config).unwrap().params();
        let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
        assert_eq!(names[..2], ["tok_embed.weight", "pos_embed.weight"]);
        let layers = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"];
        let block = layers
            .iter()
            .flat_map(|layer| ["weight", "bias"].map(|param| format!("blocks.1.{layer}.{param}")));
        assert_eq!(names[14..26], block.collect::<Vec<_>>());
        assert_eq!(names[26..], ["norm.weight", "norm.bias", "head.weight"]);
        for param in &params {
            let expected = match param.name.rsplit_once('.').unwrap() {
                (_, "bias") => Init::ZERO,
                (layer, _) if layer.contains("norm") => Init::Constant(1.0),
                (layer, _) if layer.ends_with("proj") || layer.ends_with("fc2") => {
                    Init::Normal(0.01)
                }
                _ => Init::Normal(0.02),
            };
            assert_eq!(param.init, expected, "{}", param.name);
        }
    }

    #[test]
    fn every_known_site_exists_once() {
        let mut config = TransformerConfig { layers: 3, ..TransformerConfig::default() };
        config.sites = config.known_sites();
        assert_eq!(config.sites.len(), 1 + 3 * 6 + 2);
        assert!(config.default_sites().iter().all(|site| config.sites.contains(site)));
        let graph = NetworkGraph::transformer(&config).unwrap();
        let sites: Vec<&str> = graph
            .nodes()
            .filter(|(_, node)| node.op == Op::Site(Site))
            .map(|(_, node)| node.name.as_str())
            .collect();
        assert_eq!(sites, config.sites, "in the order of the network");
        config.sites = vec!["input".into()];
        let error = NetworkGraph::transformer(&config).unwrap_err();
        assert!(matches!(error, GraphError::UnknownSite { .. }), "tokens carry no gradient");
    }

    #[test]
    fn a_transformer_is_causal_and_says_something_at_each_position() {
        let graph = NetworkGraph::transformer(&TransformerConfig::default()).unwrap();
        assert!(graph.is_causal());
        assert_eq!(graph.node(graph.find("head").unwrap()).shape, [128, 256]);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_key() {
        let base = TransformerConfig::default;
        let rows = [
            ("layers", TransformerConfig { layers: 0, ..base() }),
            ("layers", TransformerConfig { layers: usize::MAX, ..base() }),
            ("heads", TransformerConfig { heads: 3, ..base() }),
            ("heads", TransformerConfig { heads: 0, ..base() }),
            ("heads", TransformerConfig { width: 0, ..base() }),
            ("dropout", TransformerConfig { dropout: 1.0, ..base() }),
            ("vocabulary", TransformerConfig { vocabulary: 0, ..base() }),
            ("elements", TransformerConfig { width: 1 << 40, heads: 1, ..base() }),
            ("elements", TransformerConfig { context: 0, ..base() }),
            ("elements", TransformerConfig { mlp_width: usize::MAX, ..base() }),
            ("parameters", TransformerConfig { vocabulary: 1 << 24, context: 1, ..base() }),
        ];
        for (word, config) in rows {
            let error = NetworkGraph::transformer(&config).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
