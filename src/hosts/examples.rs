//! What data asks of a host.

use std::fmt;

use esper_data::{Dataset, Targets};
use esper_nn::graph::Loss;

/// What the examples of a source look like, and what is to be said about each.
pub(super) struct Examples<'a> {
    /// The source's name.
    source: &'a str,
    /// The axes of one example.
    pub shape: &'a [usize],
    /// Classes, target values, or tokens to choose from.
    pub n_outputs: usize,
    /// How many different tokens there are, if examples are text.
    pub vocabulary: Option<usize>,
    /// What a host is trained to lower.
    pub loss: Loss,
}

impl<'a> Examples<'a> {
    pub fn new(source: &'a str, data: &'a Dataset) -> Self {
        Self {
            source,
            shape: &data.example_shape,
            n_outputs: data.targets.n_outputs(),
            vocabulary: data.vocabulary(),
            loss: match data.targets {
                Targets::Values { .. } => Loss::MeanSquaredError,
                _ => Loss::CrossEntropy,
            },
        }
    }

    /// Values, or tokens, of one example.
    pub fn elems(&self) -> usize {
        self.shape.iter().product()
    }

    /// An example as an image `[channels, height, width]`; a signal is an image of height 1. `None` for a text, and for
    /// examples of more axes.
    pub fn image(&self) -> Option<[usize; 3]> {
        match (self.vocabulary, self.shape) {
            (None, &[width]) => Some([1, 1, width]),
            (None, &[height, width]) => Some([1, height, width]),
            (None, &[channels, height, width]) => Some([channels, height, width]),
            _ => None,
        }
    }

    /// The shape of what a host feeds its loss.
    pub fn output_shape(&self) -> Vec<usize> {
        match self.vocabulary {
            Some(vocabulary) => vec![self.elems(), vocabulary],
            None => vec![self.n_outputs],
        }
    }
}

/// `digits` has images of 8x8.
impl fmt::Display for Examples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        match (self.vocabulary, self.shape.len()) {
            (Some(n), _) => write!(f, "`{}` is a text of {n} different tokens", self.source),
            (None, 1) => write!(f, "`{}` has vectors of {}", self.source, sides[0]),
            _ => write!(f, "`{}` has images of {}", self.source, sides.join("x")),
        }
    }
}
