//! What is learned about each example.

use std::sync::Arc;

use super::{
    DataFault, N_CLASSES_MAX, Windows,
    rows::{check_finite, select_rows},
};

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
    /// The token that follows each of those an example sees: one class for each place.
    NextTokens(Windows),
}

impl Targets {
    /// How many examples they are for.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Values { values, width } => values.len() / width.max(&1),
            Self::NextTokens(windows) => windows.len(),
        }
    }

    /// Whether they are for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many outputs a host needs: one for each class, each value, or each token there may be.
    pub fn n_outputs(&self) -> usize {
        match self {
            Self::Classes { n_classes, .. } => *n_classes,
            Self::Values { width, .. } => *width,
            Self::NextTokens(windows) => windows.vocabulary(),
        }
    }

    /// The targets of the examples `indices`, in that order.
    ///
    /// # Panics
    ///
    /// If these are tokens: windows are chosen by place.
    pub(super) fn select(&self, indices: &[u32]) -> Self {
        match self {
            Self::Classes { labels, n_classes } => Self::Classes {
                labels: indices.iter().map(|&index| labels[index as usize]).collect(),
                n_classes: *n_classes,
            },
            Self::Values { values, width } => {
                Self::Values { values: select_rows(values, *width, indices), width: *width }
            }
            Self::NextTokens(_) => panic!("windows are chosen by place"),
        }
    }

    pub(super) fn check(&self) -> Result<(), DataFault> {
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
            // Checked when they were cut.
            Self::NextTokens(_) => Ok(()),
        }
    }

    /// Refuses classes without examples, and fewer than two.
    pub(super) fn check_classes(&self) -> Result<(), DataFault> {
        let Self::Classes { labels, n_classes } = self else { return Ok(()) };
        let mut seen = vec![false; *n_classes];
        labels.iter().for_each(|&label| seen[label as usize] = true);
        if seen.iter().filter(|seen| **seen).count() < 2 {
            return Err(DataFault::OneClass);
        }
        match seen.iter().position(|seen| !seen) {
            Some(missing) => {
                let label = *n_classes as u32 - 1;
                Err(DataFault::ClassGap { label, missing: missing as u32 })
            }
            None => Ok(()),
        }
    }
}
