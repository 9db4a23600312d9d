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
        let mut walk = Walk::new(graph, options)?;
        walk.lower();
        walk.finish()
    }
}
