//! The vision transformer.

use esper_kernels::cpu::Activation;

use super::{
    super::{GraphError, Init, Loss, NetworkGraph, Op},
    HostBuilder,
    block::{Blocks, LAYER_NORM, block_ends, block_sites},
    refuse,
    transformer::WEIGHT_STD,
};
use crate::op::{MeanPositions, PatchEmbed, Positions};

/// A vision transformer: an image is a sequence of square patches (Dosovitskiy et al. 2021, section 3.1), and the head
/// reads the mean over them in place of a class token (Beyer et al. 2022, section 2).
#[derive(Clone, Debug, PartialEq)]
pub struct VitConfig {
    /// The shape of an image, `[channels, height, width]`.
    pub input: [usize; 3],
    /// Classes or targets.
    pub n_outputs: usize,
    /// Side of a patch; it divides height and width.
    pub patch: usize,
    /// Blocks.
    pub layers: usize,
    /// Features a patch.
    pub width: usize,
    /// Heads of each attention; they divide the width.
    pub heads: usize,
    /// Hidden features of each block's perceptron; four times the width in most published models.
    pub mlp_width: usize,
    /// Dropout of the embeddings, and of what attention and perceptron add.
    pub dropout: f32,
    /// Within each perceptron.
    pub activation: Activation,
    /// Where seeds may be planted; see [`VitConfig::known_sites`].
    pub sites: Vec<String>,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            n_outputs: 10,
            patch: 4,
            layers: 4,
            width: 64,
            heads: 4,
            mlp_width: 256,
            dropout: 0.0,
            activation: Activation::Gelu,
            sites: Vec::new(),
        }
    }
}

impl VitConfig {
    /// The sites such a network has, from input to output.
    pub fn known_sites(&self) -> Vec<String> {
        let first = ["input", "embed"].map(str::to_owned).into_iter();
        let last = ["norm.out", "features", "logits"].map(str::to_owned);
        first.chain(block_sites(self.layers)).chain(last).collect()
    }

    /// The sites seeds are planted at unless others are named: `embed` and the end of every block.
    pub fn default_sites(&self) -> Vec<String> {
        std::iter::once("embed".to_owned()).chain(block_ends(self.layers)).collect()
    }
}

impl NetworkGraph {
    /// Builds the host of `config`, ending in `loss`.
    ///
    /// Layers are named `patch_embed.proj`, `pos_embed`, `blocks.0.norm1`, `blocks.0.attn.qkv`, `blocks.0.attn.proj`,
    /// `blocks.0.norm2`, `blocks.0.mlp.fc1`, `blocks.0.mlp.fc2`, ..., `norm`, `head`, as in timm. Parameters are drawn
    /// by PyTorch's defaults, positions normal with standard deviation 0.02 as in timm.
    ///
    /// # Errors
    ///
    /// Fails when a site does not exist, a setting is out of range, or patches do not tile the image.
    pub fn vit(config: &VitConfig, loss: Loss) -> Result<Self, GraphError> {
        let blocks = Blocks {
            layers: config.layers,
            width: config.width,
            heads: config.heads,
            mlp_width: config.mlp_width,
            dropout: config.dropout,
            activation: config.activation,
            is_causal: false,
            init: Init::FanIn,
            residual_init: Init::FanIn,
        };
        blocks.check()?;
        let [_, height, width] = config.input;
        let is_whole = |side: usize| side.is_multiple_of(config.patch);
        if config.patch == 0 || !is_whole(height) || !is_whole(width) {
            let what =
                format!("is {}, which does not tile images of {height}x{width}", config.patch);
            return refuse("patch", what);
        }
        let mut host = HostBuilder::new(&config.sites, &config.known_sites())?;
        let patches = Op::PatchEmbed(PatchEmbed { outputs: config.width, patch: config.patch });
        let mut x = host.input(&config.input)?;
        x = host.site("input", x)?;
        x = host.add("patch_embed.proj", patches, x)?;
        x = host.add("pos_embed", Positions { init: Init::Normal(WEIGHT_STD) }, x)?;
        x = host.dropout("drop", config.dropout, x)?;
        x = host.site("embed", x)?;
        x = blocks.add(&mut host, x)?;
        x = host.add("norm", LAYER_NORM, x)?;
        x = host.site("norm.out", x)?;
        x = host.add("pool", MeanPositions, x)?;
        x = host.site("features", x)?;
        x = host.add("head", Op::linear(config.n_outputs), x)?;
        x = host.site("logits", x)?;
        host.finish(loss, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Attention, Site};

    fn build(config: &VitConfig) -> Result<NetworkGraph, GraphError> {
        NetworkGraph::vit(config, Loss::CrossEntropy)
    }

    #[test]
    fn a_vit_of_tiny_shape_has_its_number_of_parameters() {
        let config = VitConfig {
            input: [3, 224, 224],
            n_outputs: 1_000,
            patch: 16,
            layers: 12,
            width: 192,
            heads: 3,
            mlp_width: 768,
            ..VitConfig::default()
        };
        // timm's vit_tiny_patch16_224 has 5,717,416, of which a class token and its position are 192 each.
        assert_eq!(build(&config).unwrap().params_elems(), 5_717_416 - 2 * 192);
    }

    #[test]
    fn every_known_site_exists_once() {
        let mut config = VitConfig::default();
        config.sites = config.known_sites();
        assert!(config.default_sites().iter().all(|site| config.sites.contains(site)));
        let graph = build(&config).unwrap();
        let sites: Vec<&str> = graph
            .nodes()
            .filter(|(_, node)| node.op == Op::Site(Site))
            .map(|(_, node)| node.name.as_str())
            .collect();
        assert_eq!(sites, config.sites, "in the order of the network");
    }

    #[test]
    fn a_vit_sees_every_patch_from_each() {
        let graph = build(&VitConfig::default()).unwrap();
        assert!(!graph.is_causal());
        let mut heads = graph.nodes().filter_map(|(_, node)| match node.op {
            Op::Attention(Attention { is_causal, .. }) => Some(is_causal),
            _ => None,
        });
        assert!(heads.all(|is_causal| !is_causal));
        assert_eq!(graph.node(graph.find("pos_embed").unwrap()).shape, [64, 64]);
    }

    #[test]
    fn patches_that_do_not_tile_the_image_are_refused_by_size() {
        for patch in [0, 5, 64, usize::MAX] {
            let error =
                build(&VitConfig { patch, ..VitConfig::default() }).unwrap_err().to_string();
            assert!(error.contains("`patch`") && error.contains("32x32"), "{error}");
        }
        assert!(build(&VitConfig { input: [3, 0, 32], ..VitConfig::default() }).is_err());
        assert!(build(&VitConfig { n_outputs: 0, ..VitConfig::default() }).is_err());
    }
}
