//! `kind = "cnn"`: stages of convolutions.

use esper_engine::scenario::{Given, Interval, Keys, List, Rules, Table, words};
use esper_kernels::cpu::Activation;
use esper_nn::graph::{CnnConfig, CnnForm, ImageNorm};

use super::nearest_divisor;

/// Stages of blocks of convolutions, each stage at half the resolution of the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Cnn {
    /// How blocks are made. Default `resnet`.
    pub form: CnnForm,
    /// Channels of each stage, 1 to 16 of them, each 1 to 65,536. Required.
    pub channels: Vec<usize>,
    /// Blocks of each stage, 1 to 64 each, as many entries as `channels`. Default: 1 each.
    pub blocks: Vec<usize>,
    /// Taps of a convolution along each side, odd, 1 to 31. Default 3. Of a signal, which is an
    /// image of height 1, kernels have height 1.
    pub kernel: usize,
    /// What normalises after each convolution. Default `batch`. `group` takes `groups`, 1 to
    /// 65,536, which divide the channels of every stage. Default 8.
    pub norm: ImageNorm,
    /// What follows each normalised convolution. Default `relu`.
    pub activation: Activation,
    /// Probability of zeroing a feature before the head in training, 0 to below 1. Default 0.
    pub dropout: f64,
}

words! {
    /// The word of an [`ImageNorm`].
    ImageNormKind {
        /// [`ImageNorm::Batch`].
        Batch = "batch",
        /// [`ImageNorm::Group`].
        Group = "group",
        /// [`ImageNorm::None`].
        None = "none",
    }
}

impl Cnn {
    /// What the graph's builder asks for, for images of shape `input`, with seeds at `sites`.
    pub fn config(&self, input: [usize; 3], n_outputs: usize, sites: &[String]) -> CnnConfig {
        CnnConfig {
            input,
            n_outputs,
            form: self.form,
            channels: self.channels.clone(),
            blocks: self.blocks.clone(),
            kernel: self.kernel,
            norm: self.norm,
            activation: self.activation,
            dropout: self.dropout as f32,
            sites: sites.to_vec(),
        }
    }
}

/// The norm of that kind with its default settings.
pub(super) const fn norm_of(kind: ImageNormKind) -> ImageNorm {
    match kind {
        ImageNormKind::Batch => ImageNorm::Batch,
        ImageNormKind::Group => ImageNorm::Group { groups: 8 },
        ImageNormKind::None => ImageNorm::None,
    }
}

const fn kind_of(norm: ImageNorm) -> ImageNormKind {
    match norm {
        ImageNorm::Batch => ImageNormKind::Batch,
        ImageNorm::Group { .. } => ImageNormKind::Group,
        ImageNorm::None => ImageNormKind::None,
    }
}

impl Cnn {
    /// Checks what no key can tell alone.
    pub(super) fn check(&self, rules: &mut Rules<'_, '_>) {
        let n_stages = self.channels.len();
        rules.hold(
            self.blocks.len() == n_stages,
            &["host.blocks", "host.channels"],
            format!(
                "must have an entry for each of the {n_stages} `host.channels`, has {}",
                self.blocks.len()
            ),
            format!("for example `blocks = {:?}`", vec![1; n_stages]),
        );
        rules.hold(
            !self.kernel.is_multiple_of(2),
            &["host.kernel"],
            format!("must be odd, so that it has a middle, is {}", self.kernel),
            format!("for example `kernel = {}`", self.kernel.saturating_sub(1).max(1)),
        );
        if let ImageNorm::Group { groups } = self.norm {
            let odd = self.channels.iter().copied().find(|it| !it.is_multiple_of(groups));
            let common = self.channels.iter().copied().fold(0, gcd);
            rules.hold(
                odd.is_none(),
                &["host.groups", "host.channels"],
                format!(
                    "must divide the channels of every stage, and {groups} does not divide {}",
                    odd.unwrap_or_default()
                ),
                format!("for example `groups = {}`", nearest_divisor(groups, common)),
            );
        }
    }
}

/// The greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Table for Cnn {
    fn keys(&mut self, keys: &mut impl Keys) {
        let list = |item| List { len: 1..=16, item, is_distinct: false };
        keys.key("form", &mut self.form, ());
        keys.required("channels", &mut self.channels, list(1..=65_536));
        if keys.key("blocks", &mut self.blocks, list(1..=64)) == Given::No {
            self.blocks = vec![1; self.channels.len()];
        }
        keys.key("kernel", &mut self.kernel, 1..=31);
        let mut norm = kind_of(self.norm);
        keys.kind("norm", &mut norm);
        if norm != kind_of(self.norm) {
            self.norm = norm_of(norm);
        }
        if let ImageNorm::Group { groups } = &mut self.norm {
            keys.key("groups", groups, 1..=65_536);
        }
        keys.key("activation", &mut self.activation, ());
        keys.key("dropout", &mut self.dropout, Interval::from(0.0).below(1.0));
    }
}

impl Default for Cnn {
    fn default() -> Self {
        Self {
            form: CnnForm::ResNet,
            channels: vec![16, 32],
            blocks: vec![1, 1],
            kernel: 3,
            norm: norm_of(ImageNormKind::Batch),
            activation: Activation::Relu,
            dropout: 0.0,
        }
    }
}
