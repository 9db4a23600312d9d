//! Data sets: read, checked, split three ways, standardised, and visited in a keyed order.
//!
//! [`load`] turns a [`DataConfig`] into [`SplitData`]. What `source` may name:
//!
//! | source | features | targets |
//! | --- | --- | --- |
//! | `digits`, `mnist1d` | compiled into the program | class labels, official test set |
//! | a folder of IDX files | `train-images*`, `t10k-images*`, plain or gzip | `*-labels*` |
//! | a folder of CIFAR-10 | images `[3, 32, 32]` of `data_batch_1.bin` to `_5`, `test_batch.bin` | 10 classes |
//! | a folder of CIFAR-100 | the same of `train.bin`, `test.bin` | 100 classes, or 20 if `label` is `coarse` |
//! | a `.csv` file with a header | every other column | the columns that `label` names |
//! | a `.npy` file | `x.npy`, C order | `x_labels.npy`, or the file that `label` names |
//! | a `.safetensors` file | `features`, `x`, `images` or `data`, first axis examples | `labels`, `y` or `targets`, or the tensor that `label` names |
//! | `hamlet`, a `.txt` file | windows of `context` characters or bytes | the character or byte after each |
//!
//! A `.safetensors` file may bring a test set under the same names after `test_`. Images keep the
//! values that their file has, 0 to 255 for bytes, until they are standardised; for photographs
//! [`Standardize::PerChannel`] is usual. Text is split by place and never standardised.
//!
//! Nothing here trusts a file: a size is checked before it is allocated, every value is finite
//! once loaded, and what is wrong comes back as a [`DataError`] that names file and place.

#![forbid(unsafe_code)]

mod array;
mod augment;
mod bundled;
mod cifar;
mod csv;
mod dataset;
mod digest;
mod draw;
mod error;
mod idx;
mod input;
mod loaded;
mod names;
mod npy;
mod order;
mod rows;
mod safetensors;
mod shuffle;
mod source;
mod split;
mod standardize;
mod targets;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod upload;
mod vary;
mod windows;

use std::path::Path;

use esper_nn::words;

use shuffle::shuffle_positions;
use vary::vary;

pub use array::f16_to_f64;
pub use augment::Augment;
pub use bundled::BUNDLED;
pub use dataset::{Dataset, ExampleNames, Features};
pub use draw::Draw;
pub use error::{DataError, DataFault};
pub use order::{Order, PositionError, steps_per_epoch};
pub use source::is_text;
pub use standardize::{Scaling, Standardize};
pub use targets::Targets;
pub use upload::DeviceData;
pub use windows::Windows;

/// The most bytes a file, or the `f32` features made from it, may take: 4 GiB.
///
/// A data set lives in memory whole and once more while it is split; above this it wants
/// streaming, which Esper does not do.
pub const LEN_MAX_BYTES: u64 = 4 << 30;

/// The most classes a data set may have; ImageNet-21k, the largest in common use, has 21,841.
pub const N_CLASSES_MAX: usize = 65_536;

words! {
    /// What the targets of a data set mean.
    #[derive(Default)]
    Task {
        /// Each example belongs to one of at least two classes; softmax cross-entropy.
        #[default]
        Classification = "classification",
        /// Each example has one or more real values; mean squared error.
        Regression = "regression",
    }
}

words! {
    /// What a token of a text is.
    #[derive(Default)]
    Tokens {
        /// A character of UTF-8; the vocabulary is those of the whole text, in the order of code points.
        #[default]
        Chars = "chars",
        /// A byte, of 256 possible ones.
        Bytes = "bytes",
    }
}

/// The share of a text that validates, and that tests, unless another is asked for.
///
/// Windows of a text are many and alike: a twentieth is enough to decide on, and a character model
/// wants the rest. The last tenth of a text is what is usually held out (nanoGPT's
/// `shakespeare_char` does), and here its halves validate and test.
pub const TEXT_SHARE: f64 = 0.05;

/// What to load and how.
#[derive(Clone, Debug, PartialEq)]
pub struct DataConfig {
    /// A name of [`BUNDLED`], or a path; `./digits` is a folder of that name.
    pub source: String,
    /// What the targets mean.
    pub task: Task,
    /// CSV: the label column, by default the last one; for regression several, separated by
    /// commas. NPY: the file of labels beside the features. Safetensors: the tensor of targets.
    /// CIFAR-100: `fine`, the default, or `coarse`. Refused for other sources.
    pub label: Option<String>,
    /// Examples a step. Default 64. Nothing is loaded by it.
    pub batch: usize,
    /// Which part of the examples outside the source's own test set is held out to decide on.
    pub validation_share: f64,
    /// Which part of the examples is the test set, where the source has none of its own.
    pub test_share: f64,
    /// Chooses the split, and nothing else: runs that differ in their run seed share one split.
    pub split_seed: u64,
    /// How features are brought to zero mean and unit variance; text stays as it is.
    pub standardize: Standardize,
    /// Permutes the positions of every example in one way, which this chooses: what was known of neighbours is lost, and
    /// what a perceptron can learn is not. Default: positions stay. Text has no such key.
    pub shuffle_positions: Option<u64>,
    /// Classes whose examples are kept, in every part, after the split and the scaling of the whole; they keep their
    /// numbers. Default: all. Text and regression have none.
    pub classes: Vec<u64>,
    /// Positions by which every example is moved along its last axis, what leaves coming in again, 0 to 1,000,000.
    /// Default 0. Text has no such key.
    pub shift: usize,
    /// Standard deviation of the normal noise that is added to every value after it was scaled, once and for all, 0 to
    /// 1000; `split_seed` chooses it. Default 0. Text has no such key.
    pub noise: f64,
    /// How training images are varied.
    pub augment: Augment,
    /// Text: what a token is. Other sources have none.
    pub tokens: Tokens,
    /// Text: how many tokens an example sees, at least one. Other sources have none.
    pub context: usize,
}

impl DataConfig {
    /// Classification of `source` with the last column as label, 15 % validation, 15 % test (of a
    /// text [`TEXT_SHARE`] each), split seed 0, standardised per feature, not augmented; characters,
    /// 128 at a time.
    ///
    /// [`Default`] is that of `digits`.
    pub fn new(source: impl Into<String>) -> Self {
        let source = source.into();
        let share = if is_text(&source) { TEXT_SHARE } else { 0.15 };
        Self {
            source,
            task: Task::default(),
            label: None,
            batch: 64,
            validation_share: share,
            test_share: share,
            split_seed: 0,
            standardize: Standardize::default(),
            shuffle_positions: None,
            classes: Vec::new(),
            shift: 0,
            noise: 0.0,
            augment: Augment::default(),
            tokens: Tokens::default(),
            context: 128,
        }
    }

    /// Whether the source is a text, as far as its name tells.
    pub fn is_text(&self) -> bool {
        is_text(&self.source)
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self::new("digits")
    }
}

/// A data set in its three parts, standardised.
#[derive(Clone, Debug)]
pub struct SplitData {
    /// What gradients are computed on.
    pub train: Dataset,
    /// What decisions are made on.
    pub validation: Dataset,
    /// What is read once, at the end.
    pub test: Dataset,
    /// What the source calls its features, classes and targets.
    pub names: ExampleNames,
    /// The affine map that standardised the features, for examples that come later.
    pub scaling: Scaling,
    /// How training examples are varied as they are gathered.
    pub augment: Augment,
    /// BLAKE3 of the features and targets as loaded, before the split and before standardising.
    pub digest: [u8; 32],
}

/// Reads, checks, splits and standardises what `config` names.
///
/// A relative path is resolved against `base_dir`, the scenario's folder.
///
/// # Errors
///
/// Returns a [`DataError`] for a source that is absent, unreadable, damaged or not supported, for
/// values that are not finite, labels that are not classes, too few examples to split, a text
/// shorter than its context, and for an augmentation that does not fit the examples.
pub fn load(config: &DataConfig, base_dir: &Path) -> Result<SplitData, DataError> {
    let loaded = source::read(config, base_dir)?;
    prepare(config, loaded.examples, loaded.test, loaded.names)
}

/// Splits and standardises examples that are already in memory.
///
/// `test` is the data set's own test set; without it `config.test_share` of `examples` becomes
/// one. Validation examples are drawn by a keyed shuffle from what is left, class by class for
/// classification, so that every part holds the classes in the proportions of the whole. Text is
/// split by place instead: its beginning trains, then comes validation, and its end tests. Of
/// `config`, the source serves only to name the data in errors, and what a token is and how many
/// an example sees are the examples' own.
///
/// # Errors
///
/// Returns a [`DataError`] when the classes of `examples` are not two or more numbered from zero
/// without gaps, when `test` differs from them in shape, classes or width, when a share is out of
/// range, when a part would be empty, or when the augmentation does not fit.
pub fn prepare(
    config: &DataConfig,
    examples: Dataset,
    test: Option<Dataset>,
    names: ExampleNames,
) -> Result<SplitData, DataError> {
    let in_source = |fault: DataFault| fault.at(&config.source);
    examples.targets.check_classes().map_err(in_source)?;
    check_augment(&config.augment, &examples, &names).map_err(in_source)?;
    let test = test.map(|test| examples.adopt_test(test)).transpose().map_err(in_source)?;
    let digest = digest::digest(&examples, test.as_ref());
    let [train, validation, test] = split::split(examples, test, config).map_err(in_source)?;

    let scaling = train.features.dense().map_or_else(Scaling::identity, |features| {
        Scaling::measure(config.standardize, features, &train.example_shape)
    });
    let scaled = |part: Dataset, number: u64| {
        let part = scaling.apply_to(part).map_err(in_source)?;
        let part = vary(part, config, number).map_err(in_source)?;
        Ok(match config.shuffle_positions {
            Some(seed) => shuffle_positions(part, seed),
            None => part,
        })
    };
    Ok(SplitData {
        train: scaled(train, 0)?,
        validation: scaled(validation, 1)?,
        test: scaled(test, 2)?,
        names,
        augment: config.augment,
        digest,
        scaling: scaling.clone(),
    })
}

fn check_augment(
    augment: &Augment,
    examples: &Dataset,
    names: &ExampleNames,
) -> Result<(), DataFault> {
    let is_text = examples.vocabulary().is_some();
    match (augment.is_off(), is_text, names.features.is_empty()) {
        (true, ..) => Ok(()),
        (_, true, _) => Err(DataFault::NotAnImage { kind: "windows of text" }),
        // Columns with names of their own are no neighbours of each other.
        (_, _, false) => Err(DataFault::NotAnImage { kind: "rows of a table" }),
        _ => augment.check(&examples.example_shape),
    }
}
