//! `[data]`: what is learned, and what is held out.

use super::{
    keys::{Keys, Section},
    run::SEED_MAX,
    value::{Interval, Text},
    word::words,
};

/// What is learned, in batches of what size, and what is held out (DESIGN §9).
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// A bundled data set (`digits`, `mnist1d`), a folder of IDX files, a `.csv` or a `.npy`; a
    /// relative path starts at the scenario's folder. Required.
    pub source: String,
    /// What the targets are. Default `classification`.
    pub task: Task,
    /// The target column of a CSV, or the label file of a `.npy`. Default: the last column, or
    /// the file whose name ends in `_labels`.
    pub label: Option<String>,
    /// Examples a step, 1 to 65,536. Default 64.
    pub batch: usize,
    /// Share of the training examples held out for validation, above 0 and below 1.
    /// Default 0.15. Seeds are judged on it (DESIGN §5, G5).
    pub validation_share: f64,
    /// Share held out for the test where the source brings no test set, above 0 and below 1.
    /// Default 0.15.
    pub test_share: f64,
    /// Draws the split, 0 to 2^63 - 1, apart from `run.seed` so that runs of different seeds are
    /// measured on the same examples. Default 0.
    pub split_seed: u64,
    /// How features are scaled, by statistics of the training examples alone.
    /// Default `per_feature`.
    pub standardize: Standardize,
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
        /// As they come.
        Off = "off",
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
        keys.key("task", &mut self.task, ());
        keys.key("label", &mut self.label, Text { example: "class", ..PATH });
        keys.key("batch", &mut self.batch, 1..=65_536);
        keys.key("validation_share", &mut self.validation_share, share);
        keys.key("test_share", &mut self.test_share, share);
        keys.key("split_seed", &mut self.split_seed, 0..=SEED_MAX);
        keys.key("standardize", &mut self.standardize, ());
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
        }
    }
}
