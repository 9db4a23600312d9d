//! What an op is asked by the reference interpreter, which computes in `f64`.

use std::collections::BTreeMap;

use esper_kernels::cpu::ChannelShape;

use crate::tensor::channel_shape;

/// Parameters and buffers by full name, in `f64`.
pub type ReferenceParams = BTreeMap<String, Vec<f64>>;

/// A node about to be evaluated for a batch.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// Its name.
    pub node: &'a str,
    /// Its inputs' values, `f64[rows, ..]`; of a graph's input, the batch. Tokens are whole numbers.
    pub inputs: &'a [&'a [f64]],
    /// Its inputs' per-example shapes.
    pub shapes: &'a [&'a [usize]],
    /// The values of all parameters and buffers.
    pub params: &'a ReferenceParams,
    /// Examples.
    pub rows: usize,
    /// Whether batch norms use the statistics of the batch.
    pub is_training: bool,
}

impl<'a> Evaluation<'a> {
    /// The first input.
    pub const fn x(&self) -> &'a [f64] {
        self.inputs[0]
    }

    /// Whether a bias is there, and its values.
    pub fn bias(&self, has_bias: bool) -> Option<&'a [f64]> {
        has_bias.then(|| self.param("bias"))
    }

    /// The node's parameter or buffer of that suffix.
    pub fn param(&self, suffix: &str) -> &'a [f64] {
        &self.params[&format!("{}.{suffix}", self.node)]
    }

    /// The first input as features, of the whole batch.
    pub fn channels(&self) -> ChannelShape {
        channel_shape(self.shapes[0]).times(self.rows)
    }

    /// The first input's shape as that of an image.
    pub fn image(&self) -> [usize; 3] {
        self.shapes[0].try_into().expect("shapes were inferred")
    }
}
