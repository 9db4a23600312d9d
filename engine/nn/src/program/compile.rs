//! Graph to program: shape check, dead code, fusion, lowering, differentiation, memory plan.

use super::{CompileOptions, Program, lower::Walk};
use crate::{error::GraphError, graph::NetworkGraph};

/// Part of every kernel's name: raise it when compilation changes what a program computes or how it is written.
pub const PIPELINE_VERSION: u32 = 3;

impl Program {
    /// Compiles `graph`.
    ///
    /// # Errors
    ///
    /// Fails when the graph is empty, has no input or several, has more sites than a program can carry or one that no
    /// gradient reaches, or reads tokens as numbers.
    pub fn compile(graph: &NetworkGraph, options: CompileOptions) -> Result<Self, GraphError> {
        Self::compile_frozen(graph, options, &[])
    }

    /// Compiles `graph` so that parameters whose names one of the patterns in `freeze` stands for (see [`crate::glob`])
    /// never train: the backward pass has no instruction that only they need.
    ///
    /// # Errors
    ///
    /// As [`Program::compile`].
    pub fn compile_frozen(
        graph: &NetworkGraph,
        options: CompileOptions,
        freeze: &[String],
    ) -> Result<Self, GraphError> {
        let mut walk = Walk::new(graph, options, freeze)?;
        walk.lower();
        walk.finish()
    }
}
