//! Examples in memory: what every loader makes and every host reads.

use std::sync::Arc;

use super::{
    DataFault, LEN_MAX_BYTES, Targets, Task, Windows,
    rows::{check_finite, select_rows},
};

/// Features `f32[len, elems]` and one target each, shared and immutable.
///
/// # Invariants
///
/// There is at least one example, an example has at least one element, every value is finite, and
/// there are as many targets as examples. [`Dataset::new`] checks this.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What a host sees of each example.
    pub features: Features,
    /// The axes of one example; their product is [`elems`](Self::elems).
    pub example_shape: Vec<usize>,
    /// One for each example, in the same order.
    pub targets: Targets,
}

/// What a host sees of each example.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// `f32[len, elems]`, row-major: one example after another.
    Dense(Arc<[f32]>),
    /// Tokens, `[context]` an example; their targets are [`Targets::NextTokens`].
    Windows(Windows),
}

/// What a source calls its features and targets. A list is empty where the source has no names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExampleNames {
    /// One for each element of an example.
    pub features: Vec<String>,
    /// One for each class, in the order of labels; of a text its characters, in the order of tokens.
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
        if matches!(targets, Targets::NextTokens(_)) {
            return Err(DataFault::MixedText);
        }
        targets.check()?;
        let n_targets = targets.len();
        if n_targets != n_examples {
            return Err(DataFault::CountMismatch { n_examples, n_targets });
        }
        check_finite(&features, features.len() / n_examples)?;
        Ok(Self { features: Features::Dense(features), example_shape, targets })
    }

    /// Text: each window is an example, and the token after each of its own is a target.
    pub fn of_windows(windows: Windows) -> Self {
        Self {
            example_shape: vec![windows.context()],
            features: Features::Windows(windows.clone()),
            targets: Targets::NextTokens(windows),
        }
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

    /// The features of one example, `f32[elems]`.
    ///
    /// # Panics
    ///
    /// If there is no such example, or if this is text, whose examples are not stored one by one.
    pub fn example(&self, index: u32) -> &[f32] {
        let features = self.features.dense().expect("text is gathered, not stored");
        let elems = self.elems();
        &features[index as usize * elems..][..elems]
    }

    /// How many labels one example has: one, or of text one for each token it sees.
    pub fn labels_per_example(&self) -> usize {
        match &self.targets {
            Targets::NextTokens(windows) => windows.context(),
            Targets::Classes { .. } | Targets::Values { .. } => 1,
        }
    }

    /// How many different tokens there may be, if this is text.
    pub fn vocabulary(&self) -> Option<usize> {
        match &self.features {
            Features::Windows(windows) => Some(windows.vocabulary()),
            Features::Dense(_) => None,
        }
    }

    /// What the targets mean. To predict a token is to classify.
    pub fn task(&self) -> Task {
        match self.targets {
            Targets::Classes { .. } | Targets::NextTokens(_) => Task::Classification,
            Targets::Values { .. } => Task::Regression,
        }
    }

    /// The examples `indices`, in that order, as a data set of their own.
    ///
    /// # Panics
    ///
    /// If this is text: its windows are chosen by place.
    pub(super) fn select(&self, indices: &[u32]) -> Self {
        let features = self.features.dense().expect("windows are chosen by place");
        Self {
            features: Features::Dense(select_rows(features, self.elems(), indices)),
            example_shape: self.example_shape.clone(),
            targets: self.targets.select(indices),
        }
    }

    /// `test` as the test set of these examples, with as many classes as they have.
    pub(super) fn adopt_test(&self, mut test: Self) -> Result<Self, DataFault> {
        let differs =
            |what, train: String, test: String| Err(DataFault::TestDiffers { what, train, test });
        let kinds = [self, &test].map(|it| it.features.kind());
        if kinds[0] != kinds[1] {
            return differs("features that are", kinds[0].to_owned(), kinds[1].to_owned());
        }
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
            (Targets::NextTokens(windows), Targets::NextTokens(other)) => {
                let (train, test) = (windows.vocabulary(), other.vocabulary());
                if train != test {
                    return differs("a vocabulary of", train.to_string(), test.to_string());
                }
            }
            _ => {
                return differs("task", format!("{:?}", self.task()), format!("{:?}", test.task()));
            }
        }
        Ok(test)
    }
}

impl Features {
    /// `f32[len, elems]`, if they are numbers.
    pub fn dense(&self) -> Option<&[f32]> {
        match self {
            Self::Dense(features) => Some(features),
            Self::Windows(_) => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Dense(_) => "numbers",
            Self::Windows(_) => "tokens",
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(labels: &[u32], n_classes: usize) -> Targets {
        Targets::Classes { labels: labels.into(), n_classes }
    }

    #[test]
    fn examples_in_memory_are_checked_as_files_are() {
        let fault = |features: Vec<f32>, shape: &[usize], targets| {
            let set = Dataset::new(features, shape.to_vec(), targets);
            set.and_then(|set| set.targets.check_classes()).expect_err("bad")
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
    fn features_and_windows_do_not_mix() {
        let windows = Windows::new(vec![0, 1, 0, 1], 1, 2).expect("valid");
        let set = Dataset::new(vec![0.0; 3], vec![1], Targets::NextTokens(windows.clone()));
        assert!(matches!(set, Err(DataFault::MixedText)));
        let text = Dataset::of_windows(windows);
        let table = Dataset::new(vec![0.0; 2], vec![1], classes(&[0, 1], 2)).expect("valid");
        let differs = text.adopt_test(table).expect_err("another kind");
        assert!(matches!(differs, DataFault::TestDiffers { what: "features that are", .. }));
    }
}
