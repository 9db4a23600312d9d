//! Examples in memory: what every loader makes and every host reads.

use std::sync::Arc;

use super::{DataFault, LEN_MAX_BYTES, N_CLASSES_MAX, Task};

/// Features `f32[len, elems]` and one target each, shared and immutable.
///
/// # Invariants
///
/// There is at least one example, an example has at least one element, every value is finite, and
/// there are as many targets as examples. [`Dataset::new`] checks this.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `f32[len, elems]`, row-major: one example after another.
    pub features: Arc<[f32]>,
    /// The axes of one example; their product is [`elems`](Self::elems).
    pub example_shape: Vec<usize>,
    /// One for each example, in the same order.
    pub targets: Targets,
}

/// What a host learns to say about each example.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class each.
    Classes {
        /// `u32[len]`, each below `n_classes`.
        labels: Arc<[u32]>,
        /// How many classes the data set has, at least two.
        n_classes: usize,
    },
    /// Real values.
    Values {
        /// `f32[len, width]`, row-major.
        values: Arc<[f32]>,
        /// How many values one example has.
        width: usize,
    },
}

/// What a source calls its features and targets. A list is empty where the source has no names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExampleNames {
    /// One for each element of an example.
    pub features: Vec<String>,
    /// One for each class, in the order of labels.
    pub classes: Vec<String>,
    /// One for each column of targets.
    pub targets: Vec<String>,
}

impl Dataset {
    /// Checks and holds examples that are already in memory.
    ///
    /// # Errors
    ///
    /// Returns a [`DataFault`] when there are no examples, when features, shape and targets do not
    /// fit together, when a value is not finite, or when a label is not below `n_classes`.
    pub fn new(
        features: impl Into<Arc<[f32]>>,
        example_shape: Vec<usize>,
        targets: Targets,
    ) -> Result<Self, DataFault> {
        let features = features.into();
        let n_examples = count_examples(&features, &example_shape)?;
        targets.check()?;
        let n_targets = targets.len();
        if n_targets != n_examples {
            return Err(DataFault::CountMismatch { n_examples, n_targets });
        }
        check_finite(&features, features.len() / n_examples)?;
        Ok(Self { features, example_shape, targets })
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none; a checked data set never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many elements one example has.
    pub fn elems(&self) -> usize {
        self.example_shape.iter().product()
    }

    /// What the targets mean.
    pub fn task(&self) -> Task {
        match self.targets {
            Targets::Classes { .. } => Task::Classification,
            Targets::Values { .. } => Task::Regression,
        }
    }

    /// The features of one example, `f32[elems]`.
    pub fn example(&self, index: u32) -> &[f32] {
        let elems = self.elems();
        &self.features[index as usize * elems..][..elems]
    }

    /// Copies the features of the examples `indices` into `batch`, `f32[indices.len(), elems]`.
    pub fn gather_features(&self, indices: &[u32], batch: &mut [f32]) {
        gather_rows(&self.features, self.elems(), indices, batch);
    }

    /// The examples `indices`, in that order, as a data set of their own.
    pub(super) fn select(&self, indices: &[u32]) -> Self {
        Self {
            features: select_rows(&self.features, self.elems(), indices),
            example_shape: self.example_shape.clone(),
            targets: match &self.targets {
                Targets::Classes { labels, n_classes } => Targets::Classes {
                    labels: indices.iter().map(|&index| labels[index as usize]).collect(),
                    n_classes: *n_classes,
                },
                Targets::Values { values, width } => {
                    Targets::Values { values: select_rows(values, *width, indices), width: *width }
                }
            },
        }
    }

    /// `test` as the test set of these examples, with as many classes as they have.
    pub(super) fn adopt_test(&self, mut test: Self) -> Result<Self, DataFault> {
        let differs =
            |what, train: String, test: String| Err(DataFault::TestDiffers { what, train, test });
        if self.example_shape != test.example_shape {
            let [train, test] = [self, &test].map(|it| format!("{:?}", it.example_shape));
            return differs("shape", train, test);
        }
        match (&self.targets, &mut test.targets) {
            (Targets::Classes { n_classes: n, .. }, Targets::Classes { labels, n_classes }) => {
                let label_max = labels.iter().copied().max().unwrap_or(0);
                if *n <= label_max as usize {
                    return differs("labels", format!("0..={}", n - 1), format!("0..={label_max}"));
                }
                *n_classes = *n;
            }
            (Targets::Values { width, .. }, Targets::Values { width: other, .. }) => {
                if width != other {
                    return differs("targets of width", width.to_string(), other.to_string());
                }
            }
            _ => {
                return differs("task", format!("{:?}", self.task()), format!("{:?}", test.task()));
            }
        }
        Ok(test)
    }

    /// Refuses classes without examples, and fewer than two.
    pub(super) fn check_classes(&self) -> Result<(), DataFault> {
        let Targets::Classes { labels, n_classes } = &self.targets else { return Ok(()) };
        let mut seen = vec![false; *n_classes];
        labels.iter().for_each(|&label| seen[label as usize] = true);
        if seen.iter().filter(|seen| **seen).count() < 2 {
            return Err(DataFault::OneClass);
        }
        match seen.iter().position(|seen| !seen) {
            Some(missing) => {
                let label = labels.iter().copied().max().unwrap_or(0);
                Err(DataFault::ClassGap { label, missing: missing as u32 })
            }
            None => Ok(()),
        }
    }
}

impl Targets {
    /// How many examples they are for.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Values { values, width } => values.len() / width.max(&1),
        }
    }

    /// Whether they are for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many outputs a host needs: one for each class, or one for each value.
    pub fn n_outputs(&self) -> usize {
        match self {
            Self::Classes { n_classes, .. } => *n_classes,
            Self::Values { width, .. } => *width,
        }
    }

    /// Copies the labels of the examples `indices` into `batch`, `u32[indices.len()]`.
    ///
    /// # Panics
    ///
    /// If these are values, not classes.
    pub fn gather_labels(&self, indices: &[u32], batch: &mut [u32]) {
        let Self::Classes { labels, .. } = self else { panic!("values have no labels") };
        assert_eq!(batch.len(), indices.len(), "one label for each index");
        for (out, &index) in batch.iter_mut().zip(indices) {
            *out = labels[index as usize];
        }
    }

    /// Copies the values of the examples `indices` into `batch`, `f32[indices.len(), width]`.
    ///
    /// # Panics
    ///
    /// If these are classes, not values.
    pub fn gather_values(&self, indices: &[u32], batch: &mut [f32]) {
        let Self::Values { values, width } = self else { panic!("classes have no values") };
        gather_rows(values, *width, indices, batch);
    }

    fn check(&self) -> Result<(), DataFault> {
        match self {
            Self::Classes { labels, n_classes } => {
                if N_CLASSES_MAX < *n_classes {
                    return Err(DataFault::TooManyClasses);
                }
                let stray = labels.iter().position(|label| *n_classes <= *label as usize);
                stray.map_or(Ok(()), |example| {
                    Err(DataFault::NotAClass { example, label: f64::from(labels[example]) })
                })
            }
            Self::Values { values, width } => match *width {
                0 => Err(DataFault::Shape {
                    shape: vec![values.len(), 0],
                    wanted: "an example needs one target at least",
                }),
                width if values.len() % width != 0 => Err(DataFault::Shape {
                    shape: vec![values.len()],
                    wanted: "its targets must be as wide for every example",
                }),
                width => check_finite(values, width),
            },
        }
    }
}

/// BLAKE3 of everything a source holds: shape, features and targets, training and test apart.
///
/// Numbers are hashed as little-endian bytes, each part with its length before it, so that the
/// digest is the same on every machine and no two data sets share one by concatenation.
pub(super) fn digest(examples: &Dataset, test: Option<&Dataset>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("esper 2025 data set v1");
    for part in [Some(examples), test].into_iter().flatten() {
        update_len(&mut hasher, part.example_shape.len());
        part.example_shape.iter().for_each(|axis| update_len(&mut hasher, *axis));
        update_f32s(&mut hasher, &part.features);
        match &part.targets {
            Targets::Classes { labels, n_classes } => {
                hasher.update(b"classes");
                update_len(&mut hasher, *n_classes);
                update_len(&mut hasher, labels.len());
                labels.iter().for_each(|label| {
                    hasher.update(&label.to_le_bytes());
                });
            }
            Targets::Values { values, width } => {
                hasher.update(b"values");
                update_len(&mut hasher, *width);
                update_f32s(&mut hasher, values);
            }
        }
    }
    *hasher.finalize().as_bytes()
}

fn update_len(hasher: &mut blake3::Hasher, len: usize) {
    hasher.update(&(len as u64).to_le_bytes());
}

fn update_f32s(hasher: &mut blake3::Hasher, values: &[f32]) {
    update_len(hasher, values.len());
    // BLAKE3 is fast on long inputs and slow on four bytes at a time.
    let mut bytes = [0_u8; 4096];
    for chunk in values.chunks(bytes.len() / 4) {
        let (quads, _) = bytes.as_chunks_mut::<4>();
        quads.iter_mut().zip(chunk).for_each(|(quad, value)| *quad = value.to_le_bytes());
        hasher.update(&bytes[..4 * chunk.len()]);
    }
}

fn count_examples(features: &[f32], example_shape: &[usize]) -> Result<usize, DataFault> {
    let elems = example_shape.iter().try_fold(1_usize, |elems, axis| elems.checked_mul(*axis));
    let elems = elems.unwrap_or(0);
    if elems == 0 || !features.len().is_multiple_of(elems) {
        return Err(DataFault::Shape {
            shape: example_shape.to_vec(),
            wanted: "the features must be a whole number of examples of that shape",
        });
    }
    if features.is_empty() {
        return Err(DataFault::Empty);
    }
    if LEN_MAX_BYTES < 4 * features.len() as u64 {
        return Err(DataFault::TooLarge { what: format!("{} features", features.len()) });
    }
    Ok(features.len() / elems)
}

fn check_finite(values: &[f32], width: usize) -> Result<(), DataFault> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(DataFault::NotFinite {
            example: at / width,
            element: at % width,
            value: f64::from(values[at]),
        }),
        None => Ok(()),
    }
}

fn gather_rows(rows: &[f32], width: usize, indices: &[u32], batch: &mut [f32]) {
    assert_eq!(batch.len(), indices.len() * width, "one row for each index");
    for (out, &index) in batch.chunks_exact_mut(width).zip(indices) {
        out.copy_from_slice(&rows[index as usize * width..][..width]);
    }
}

fn select_rows(rows: &[f32], width: usize, indices: &[u32]) -> Arc<[f32]> {
    let mut selected = vec![0.0; indices.len() * width];
    gather_rows(rows, width, indices, &mut selected);
    selected.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(labels: &[u32], n_classes: usize) -> Targets {
        Targets::Classes { labels: labels.into(), n_classes }
    }

    #[test]
    fn a_batch_holds_the_examples_asked_for_in_that_order() {
        let features: Vec<f32> = (0..8).map(|value| value as f32).collect();
        let set = Dataset::new(features, vec![2], classes(&[0, 1, 1, 0], 2)).expect("valid");
        let mut batch = [0.0; 6];
        set.gather_features(&[3, 0, 3], &mut batch);
        assert_eq!(batch, [6.0, 7.0, 0.0, 1.0, 6.0, 7.0]);
        let mut labels = [9; 3];
        set.targets.gather_labels(&[3, 1, 2], &mut labels);
        assert_eq!(labels, [0, 1, 1]);
        assert_eq!(set.example(2), [4.0, 5.0]);
    }

    #[test]
    fn examples_in_memory_are_checked_as_files_are() {
        let fault = |features: Vec<f32>, shape: &[usize], targets| {
            let set = Dataset::new(features, shape.to_vec(), targets);
            set.and_then(|set| set.check_classes()).expect_err("bad")
        };
        let two = || classes(&[0, 1], 2);
        assert!(matches!(fault(vec![], &[2], classes(&[], 2)), DataFault::Empty));
        assert!(matches!(fault(vec![0.0; 4], &[0], two()), DataFault::Shape { .. }));
        assert!(matches!(fault(vec![0.0; 5], &[2], two()), DataFault::Shape { .. }));
        assert!(matches!(fault(vec![0.0; 4], &[usize::MAX, 2], two()), DataFault::Shape { .. }));
        assert!(matches!(fault(vec![0.0; 3], &[1], two()), DataFault::CountMismatch { .. }));
        let infinite = fault(vec![0.0, f32::NEG_INFINITY], &[1], two());
        assert!(matches!(infinite, DataFault::NotFinite { example: 1, element: 0, .. }));
        assert!(matches!(fault(vec![0.0; 2], &[1], classes(&[1, 1], 2)), DataFault::OneClass));
        let gap = fault(vec![0.0; 2], &[1], classes(&[0, 2], 3));
        assert!(matches!(gap, DataFault::ClassGap { label: 2, missing: 1 }));
        let stray = fault(vec![0.0; 2], &[1], classes(&[0, 5], 2));
        assert!(matches!(stray, DataFault::NotAClass { example: 1, .. }));
        let flat = Targets::Values { values: [0.0; 3].into(), width: 0 };
        assert!(matches!(fault(vec![0.0; 3], &[1], flat), DataFault::Shape { .. }));
        let ragged = Targets::Values { values: [0.0; 3].into(), width: 2 };
        assert!(matches!(fault(vec![0.0], &[1], ragged), DataFault::Shape { .. }));
    }

    #[test]
    fn the_digest_tells_a_shape_from_another_with_the_same_bytes() {
        let set = |shape: Vec<usize>, labels: &[u32]| {
            Dataset::new(vec![1.0; 8], shape, classes(labels, 2)).expect("valid")
        };
        let base = digest(&set(vec![4], &[0, 1]), None);
        assert_eq!(base, digest(&set(vec![4], &[0, 1]), None));
        assert_ne!(base, digest(&set(vec![2, 2], &[0, 1]), None));
        assert_ne!(
            digest(&set(vec![1, 4], &[0, 1]), None),
            digest(&set(vec![2, 2], &[0, 1]), None)
        );
        assert_ne!(base, digest(&set(vec![4], &[1, 0]), None));
        assert_ne!(base, digest(&set(vec![4], &[0, 1]), Some(&set(vec![4], &[0, 1]))));
    }
}
