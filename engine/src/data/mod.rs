//! Data sets: read, checked, split three ways, standardised, and visited in a keyed order.
//!
//! [`load`] turns a [`DataConfig`] into [`SplitData`]. What `source` may name:
//!
//! | source | features | targets |
//! | --- | --- | --- |
//! | `digits`, `mnist1d` | compiled into the program | class labels, official test set |
//! | a folder of IDX files | `train-images*`, `t10k-images*`, plain or gzip | `*-labels*` |
//! | a `.csv` file with a header | every other column | the columns that `label` names |
//! | a `.npy` file | `x.npy`, C order | `x_labels.npy`, or the file that `label` names |
//!
//! Nothing here trusts a file: a size is checked before it is allocated, every value is finite
//! once loaded, and what is wrong comes back as a [`DataError`] that names file and place.

mod array;
mod bundled;
mod csv;
mod dataset;
mod error;
mod idx;
mod input;
mod keyed;
mod npy;
mod order;
mod source;
mod split;
mod standardize;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use bundled::BUNDLED;
pub use dataset::{Dataset, ExampleNames, Targets};
pub use error::{DataError, DataFault};
pub use order::{Order, PositionError, steps_per_epoch};
pub use standardize::{Scaling, Standardize};

/// The most bytes a file, or the `f32` features made from it, may take: 4 GiB.
///
/// A data set lives in memory whole and once more while it is split; above this it wants
/// streaming, which Esper does not do.
pub const LEN_MAX_BYTES: u64 = 4 << 30;

/// The most classes a data set may have; ImageNet-21k, the largest in common use, has 21,841.
pub const N_CLASSES_MAX: usize = 65_536;

/// What the targets of a data set mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Each example belongs to one of at least two classes.
    #[default]
    Classification,
    /// Each example has one or more real values.
    Regression,
}

/// What to load and how.
#[derive(Clone, Debug, PartialEq)]
pub struct DataConfig {
    /// A name of [`BUNDLED`], or a path; `./digits` is a folder of that name.
    pub source: String,
    /// What the targets mean.
    pub task: Task,
    /// CSV: the label column, by default the last one; for regression several, separated by
    /// commas. NPY: the file of labels beside the features. Refused for other sources.
    pub label: Option<String>,
    /// Which part of the examples outside the source's own test set is held out to decide on.
    pub validation_share: f64,
    /// Which part of the examples is the test set, where the source has none of its own.
    pub test_share: f64,
    /// Chooses the split, and nothing else: runs that differ in their run seed share one split.
    pub split_seed: u64,
    /// How features are brought to zero mean and unit variance.
    pub standardize: Standardize,
}

impl DataConfig {
    /// Classification of `source` with the last column as label, 15 % validation, 15 % test,
    /// split seed 0, standardised per feature.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            task: Task::default(),
            label: None,
            validation_share: 0.15,
            test_share: 0.15,
            split_seed: 0,
            standardize: Standardize::default(),
        }
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
/// values that are not finite, labels that are not classes, and for too few examples to split.
pub fn load(config: &DataConfig, base_dir: &Path) -> Result<SplitData, DataError> {
    let loaded = source::read(config, base_dir)?;
    prepare(config, loaded.examples, loaded.test, loaded.names)
}

/// Splits and standardises examples that are already in memory.
///
/// `test` is the data set's own test set; without it `config.test_share` of `examples` becomes
/// one. Validation examples are drawn by a keyed shuffle from what is left, class by class for
/// classification, so that every part holds the classes in the proportions of the whole. Of
/// `config`, the source serves only to name the data in errors.
///
/// # Errors
///
/// Returns a [`DataError`] when the classes of `examples` are not two or more numbered from zero
/// without gaps, when `test` differs from them in shape, classes or width, when a share is out of
/// range, or when a part would be empty.
pub fn prepare(
    config: &DataConfig,
    examples: Dataset,
    test: Option<Dataset>,
    names: ExampleNames,
) -> Result<SplitData, DataError> {
    let in_source = |fault: DataFault| fault.at(&config.source);
    examples.check_classes().map_err(in_source)?;
    let test = test.map(|test| examples.adopt_test(test)).transpose().map_err(in_source)?;
    let digest = dataset::digest(&examples, test.as_ref());
    let parts = split::draw(&examples.targets, examples.len(), test.is_some(), config)
        .map_err(in_source)?;
    let test = test.unwrap_or_else(|| examples.select(&parts.test));
    let validation = examples.select(&parts.validation);
    let train = examples.select(&parts.train);
    drop(examples);

    let scaling = Scaling::measure(config.standardize, &train.features, train.elems());
    let scaled = |part: Dataset| scaling.apply_to(part).map_err(in_source);
    Ok(SplitData {
        train: scaled(train)?,
        validation: scaled(validation)?,
        test: scaled(test)?,
        names,
        digest,
        scaling: scaling.clone(),
    })
}
