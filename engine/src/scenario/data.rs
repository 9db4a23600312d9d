//! `[data]`: what is learned, and what is held out.

use super::{
    keys::{Given, Keys, Section},
    run::SEED_MAX,
    value::{Interval, Text},
    word::words,
};
use crate::data::{Augment, TEXT_SHARE, is_text};

/// What is learned, in batches of what size, and what is held out (DESIGN §9).
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// A bundled data set (`digits`, `mnist1d`, `hamlet`), a folder of IDX or CIFAR files, a `.csv`,
    /// a `.npy`, a `.safetensors` or a text in a `.txt`; a relative path starts at the scenario's
    /// folder. Required.
    pub source: String,
    /// What the targets are; of a text always the next token. Default `classification`.
    pub task: Task,
    /// The target column of a CSV, the label file of a `.npy`, the label tensor of a `.safetensors`
    /// or `coarse` for the coarse labels of CIFAR-100. Default: the last column, the file whose name
    /// ends in `_labels`, the tensor `labels`, the fine labels. Not for texts.
    pub label: Option<String>,
    /// Examples a step, 1 to 65,536. Default 64.
    pub batch: usize,
    /// Share of the training examples held out for validation, above 0 and below 1.
    /// Default 0.15, of a text 0.05. Seeds are judged on it (DESIGN §5, G5).
    pub validation_share: f64,
    /// Share held out for the test where the source brings no test set, above 0 and below 1.
    /// Default 0.15, of a text 0.05.
    pub test_share: f64,
    /// Draws the split, 0 to 2^63 - 1, apart from `run.seed` so that runs of different seeds are
    /// measured on the same examples. Default 0. Not for texts, which are split by place.
    pub split_seed: u64,
    /// How features are scaled, by statistics of the training examples alone. Default
    /// `per_feature`. Not for texts.
    pub standardize: Standardize,
    /// How training images and signals are varied: `crop_padding` 0 to 64, `cutout` 0 to 1024.
    /// Default: not at all. Not for texts.
    pub augment: Augment,
    /// Tokens of an example, 1 to 65,536. Default 128. For texts only.
    pub context: usize,
    /// What a token is. Default `chars`. For texts only.
    pub tokens: Tokens,
}

words! {
    /// What the targets are.
    Task {
        /// One class of several; softmax cross-entropy.
        Classification = "classification",
        /// Real numbers; mean squared error.
        Regression = "regression",
    }
}

words! {
    /// How features are scaled before training.
    Standardize {
        /// Mean 0 and standard deviation 1 in each feature.
        PerFeature = "per_feature",
        /// Mean 0 and standard deviation 1 over all features together.
        Global = "global",
        /// Mean 0 and standard deviation 1 in each channel of an image.
        PerChannel = "per_channel",
        /// As they come.
        Off = "off",
    }
}

words! {
    /// What a token of a text is.
    Tokens {
        /// A character; the vocabulary is those that the text has, sorted.
        Chars = "chars",
        /// A byte; the vocabulary is all 256.
        Bytes = "bytes",
    }
}

impl Data {
    /// Whether the source is a text, as far as its name tells.
    pub fn is_text(&self) -> bool {
        is_text(&self.source)
    }
}

/// Names and paths of some length, without control characters.
pub(super) const PATH: Text = Text {
    form: "1 to 4096 bytes without control characters",
    example: "digits",
    is_one: |text| (1..=4096).contains(&text.len()) && !text.contains(char::is_control),
    all: &[],
};

impl Section for Data {
    fn keys(&mut self, keys: &mut impl Keys) {
        let share = Interval::above(0.0).below(1.0);
        keys.required("source", &mut self.source, PATH);
        let is_text = self.is_text();
        if !is_text {
            keys.key("task", &mut self.task, ());
            keys.key("label", &mut self.label, Text { example: "class", ..PATH });
        }
        keys.key("batch", &mut self.batch, 1..=65_536);
        for (name, slot) in
            [("validation_share", &mut self.validation_share), ("test_share", &mut self.test_share)]
        {
            if keys.key(name, slot, share) == Given::No && is_text {
                *slot = TEXT_SHARE;
            }
        }
        if is_text {
            keys.key("context", &mut self.context, 1..=65_536);
            keys.key("tokens", &mut self.tokens, ());
        } else {
            keys.key("split_seed", &mut self.split_seed, 0..=SEED_MAX);
            keys.key("standardize", &mut self.standardize, ());
            keys.key("augment", &mut self.augment, ());
        }
    }

    fn kinds() -> Vec<(&'static str, Self)> {
        let text = Self { source: "hamlet".to_owned(), ..Self::default() };
        vec![
            ("texts (`hamlet` or a .txt file)", text),
            ("sources of examples, such as `digits`", Self::default()),
        ]
    }
}

impl Section for Augment {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("flip", &mut self.flip, ());
        keys.key("crop_padding", &mut self.crop_padding, 0..=64);
        keys.key("cutout", &mut self.cutout, 0..=1024);
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            source: "digits".to_owned(),
            task: Task::Classification,
            label: None,
            batch: 64,
            validation_share: 0.15,
            test_share: 0.15,
            split_seed: 0,
            standardize: Standardize::PerFeature,
            augment: Augment::default(),
            context: 128,
            tokens: Tokens::Chars,
        }
    }
}
