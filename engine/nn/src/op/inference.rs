//! What an op is asked when it joins a graph: its inputs' shapes, and how it refuses them.

use super::Op;
use crate::{error::GraphError, tensor::Shape};

/// A node about to join a graph; its op's number of inputs and settings were checked.
#[derive(Clone, Copy)]
pub struct Inference<'a> {
    /// The node's name.
    pub node: &'a str,
    /// Its inputs' per-example shapes.
    pub shapes: &'a [&'a [usize]],
    /// The op of the node of a name.
    pub find: &'a dyn Fn(&str) -> Option<&'a Op>,
}

impl<'a> Inference<'a> {
    /// The shape of the first input.
    pub const fn x(&self) -> &'a [usize] {
        self.shapes[0]
    }

    /// The shape of the first input, as that of the output.
    ///
    /// # Errors
    ///
    /// None; it is an op's whole answer.
    pub fn same(&self) -> Result<Shape, GraphError> {
        Ok(self.x().to_vec())
    }

    /// The first input as an image.
    ///
    /// # Errors
    ///
    /// Names the node if it is none.
    pub fn image(&self) -> Result<[usize; 3], GraphError> {
        match self.x().try_into() {
            Ok(image) => Ok(image),
            Err(_) => self.refuse("image", vec![1, 1, self.x().iter().product()], self.x()),
        }
    }

    /// The first input, of at most two axes: a vector or a sequence.
    ///
    /// # Errors
    ///
    /// Names the node if it has more.
    pub fn vector_or_sequence(&self) -> Result<&'a [usize], GraphError> {
        match self.x() {
            [_] | [_, _] => Ok(self.x()),
            other => self.refuse("input", vec![other.iter().product()], other),
        }
    }

    /// The first input, a sequence `[len, width]`.
    ///
    /// # Errors
    ///
    /// Names the node if it is none.
    pub fn sequence(&self) -> Result<[usize; 2], GraphError> {
        match self.x().try_into() {
            Ok(sequence) => Ok(sequence),
            Err(_) => {
                let expected = vec![1, self.x().iter().product()];
                self.refuse("input [len, width]", expected, self.x())
            }
        }
    }

    /// The shape of two inputs that are alike.
    ///
    /// # Errors
    ///
    /// Names the node if they differ.
    pub fn alike(&self) -> Result<Shape, GraphError> {
        if self.x() == self.shapes[1] {
            return self.same();
        }
        self.refuse("second input", self.x().to_vec(), self.shapes[1])
    }

    /// Refuses the shape `found`.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn refuse<T>(
        &self,
        what: &'static str,
        expected: Shape,
        found: &[usize],
    ) -> Result<T, GraphError> {
        Err(GraphError::Shape { node: self.node.to_owned(), what, expected, found: found.to_vec() })
    }
}
