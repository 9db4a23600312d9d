//! `kind = "transformer"`: blocks of self-attention.

use esper_engine::scenario::{Given, Interval, Keys, Rules, Table, words};
use esper_kernels::cpu::Activation;
use esper_nn::graph::{TransformerConfig, VitConfig};

use super::nearest_divisor;

/// Pre-norm blocks of self-attention and a perceptron.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    /// What it reads, and what it says. Default `decoder`.
    pub form: TransformerForm,
    /// Blocks, 1 to 128. Required.
    pub layers: usize,
    /// Features of a position, 1 to 65,536. Required.
    pub width: usize,
    /// Heads of the attention, 1 to 1024; they divide `width`. Required.
    pub heads: usize,
    /// Hidden features of a block's perceptron, 1 to 262,144. Default 4 `width` (Vaswani et al.
    /// 2017, section 3.3).
    pub mlp_width: usize,
    /// Between the perceptron's layers. Default `gelu`.
    pub activation: Activation,
    /// Probability of zeroing a feature in training, 0 to below 1. Default 0.
    pub dropout: f64,
}

/// What a [`Transformer`] reads, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformerForm {
    /// `decoder`: the next token at each position of a text (Radford et al. 2019, section 2.3).
    Decoder {
        /// Whether the head is the embedding's transpose (Press and Wolf 2017). Default true.
        tied: bool,
    },
    /// `vit`: an image as a sequence of squares (Dosovitskiy et al. 2021, section 3.1).
    Vit {
        /// Side of a square, which divides height and width of the image, 1 to 1024. Required.
        patch: usize,
    },
}

words! {
    /// The word of a [`TransformerForm`].
    TransformerKind {
        /// [`TransformerForm::Decoder`].
        Decoder = "decoder",
        /// [`TransformerForm::Vit`].
        Vit = "vit",
    }
}

impl Transformer {
    /// What the builder of decoders asks for, with seeds at `sites`; `tied` is that of the form.
    pub fn decoder_config(
        &self,
        tied: bool,
        [vocabulary, context]: [usize; 2],
        sites: &[String],
    ) -> TransformerConfig {
        TransformerConfig {
            vocabulary,
            context,
            layers: self.layers,
            width: self.width,
            heads: self.heads,
            mlp_width: self.mlp_width,
            dropout: self.dropout as f32,
            activation: self.activation,
            tied,
            sites: sites.to_vec(),
        }
    }

    /// What the builder of vision transformers asks for, for images of shape `input`, with seeds at
    /// `sites`; `patch` is that of the form.
    pub fn vit_config(
        &self,
        patch: usize,
        input: [usize; 3],
        n_outputs: usize,
        sites: &[String],
    ) -> VitConfig {
        VitConfig {
            input,
            n_outputs,
            patch,
            layers: self.layers,
            width: self.width,
            heads: self.heads,
            mlp_width: self.mlp_width,
            dropout: self.dropout as f32,
            activation: self.activation,
            sites: sites.to_vec(),
        }
    }

    pub(super) fn known_sites(&self) -> Vec<String> {
        match self.form {
            TransformerForm::Decoder { tied } => {
                self.decoder_config(tied, [1; 2], &[]).known_sites()
            }
            TransformerForm::Vit { patch } => self.vit_config(patch, [1; 3], 1, &[]).known_sites(),
        }
    }

    pub(super) fn default_sites(&self) -> Vec<String> {
        match self.form {
            TransformerForm::Decoder { tied } => {
                self.decoder_config(tied, [1; 2], &[]).default_sites()
            }
            TransformerForm::Vit { patch } => {
                self.vit_config(patch, [1; 3], 1, &[]).default_sites()
            }
        }
    }
}

impl TransformerForm {
    /// The form of that kind with its default settings.
    pub const fn of(kind: TransformerKind) -> Self {
        match kind {
            TransformerKind::Decoder => Self::Decoder { tied: true },
            TransformerKind::Vit => Self::Vit { patch: 4 },
        }
    }

    /// Which form it is.
    pub const fn kind(self) -> TransformerKind {
        match self {
            Self::Decoder { .. } => TransformerKind::Decoder,
            Self::Vit { .. } => TransformerKind::Vit,
        }
    }
}

impl Transformer {
    /// Checks what no key can tell alone.
    pub(super) fn check(&self, rules: &mut Rules<'_, '_>) {
        let Self { width, heads, .. } = *self;
        rules.hold(
            width.is_multiple_of(heads),
            &["host.heads", "host.width"],
            format!("must divide `host.width` ({width}), is {heads}"),
            format!("for example `heads = {}`", nearest_divisor(heads, width)),
        );
    }
}

impl Table for Transformer {
    fn keys(&mut self, keys: &mut impl Keys) {
        let mut kind = self.form.kind();
        keys.kind("form", &mut kind);
        if kind != self.form.kind() {
            self.form = TransformerForm::of(kind);
        }
        keys.required("layers", &mut self.layers, 1..=128);
        keys.required("width", &mut self.width, 1..=65_536);
        keys.required("heads", &mut self.heads, 1..=1024);
        if keys.key("mlp_width", &mut self.mlp_width, 1..=262_144) == Given::No {
            self.mlp_width = 4 * self.width;
        }
        match &mut self.form {
            TransformerForm::Decoder { tied } => keys.key("tied", tied, ()),
            TransformerForm::Vit { patch } => keys.required("patch", patch, 1..=1024),
        };
        keys.key("activation", &mut self.activation, ());
        keys.key("dropout", &mut self.dropout, Interval::from(0.0).below(1.0));
    }
}

impl Default for Transformer {
    fn default() -> Self {
        Self {
            form: TransformerForm::of(TransformerKind::Decoder),
            layers: 4,
            width: 64,
            heads: 4,
            mlp_width: 256,
            activation: Activation::Gelu,
            dropout: 0.0,
        }
    }
}
