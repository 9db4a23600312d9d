//! What every loader gives, and what it is made of.

use super::{DataError, Dataset, ExampleNames, Task, array::RawArray, input::Input};

/// What a source holds, checked but neither split nor standardised.
pub(super) struct Loaded {
    pub(super) examples: Dataset,
    /// The source's own test set.
    pub(super) test: Option<Dataset>,
    pub(super) names: ExampleNames,
}

/// One file of several, and its name for errors.
pub(super) struct NamedInput {
    pub(super) place: String,
    pub(super) input: Input,
}

/// The files of an IDX data set: images, then labels.
pub(super) struct IdxParts {
    pub(super) train: [NamedInput; 2],
    pub(super) test: Option<[NamedInput; 2]>,
}

/// An array, and the name of its file for errors.
pub(super) type Named<'a> = (String, RawArray<'a>);

/// Examples from both arrays, and the name of the file that holds their labels.
pub(super) fn pair(
    features: Named,
    labels: Named,
    task: Task,
) -> Result<(Dataset, String), DataError> {
    let (features_place, features) = features;
    let (labels_place, labels) = labels;
    let (features, shape) = features.into_features().map_err(|fault| fault.at(&features_place))?;
    let targets = labels.into_targets(task).map_err(|fault| fault.at(&labels_place))?;
    match Dataset::new(features, shape, targets) {
        Ok(examples) => Ok((examples, labels_place)),
        Err(fault) => Err(fault.at(labels_place)),
    }
}
