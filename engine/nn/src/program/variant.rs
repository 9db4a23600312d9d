//! The ways a module is compiled.

use super::{CompileOptions, Program};
use crate::graph::{GraphError, NetworkGraph};

/// One way to compile a module; every variant computes the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// One instruction an op: what the others are compared with.
    Reference,
    /// Bias and activation folded into the linear map before them.
    Fused,
}

impl Variant {
    /// Every variant; of two that are both valid, the later one is the better choice.
    pub const ALL: [Self; 2] = [Self::Reference, Self::Fused];

    /// Its name in kernels, journals and the library.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Fused => "fused",
        }
    }

    /// The variant called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.name() == name)
    }

    /// Compiles `graph` this way.
    ///
    /// # Errors
    ///
    /// As [`Program::compile`].
    pub fn compile(self, graph: &NetworkGraph) -> Result<Program, GraphError> {
        let options = match self {
            Self::Reference => CompileOptions::REFERENCE,
            Self::Fused => CompileOptions::MODULE,
        };
        Program::compile(graph, options)
    }
}
