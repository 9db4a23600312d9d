//! Graph to program: shape check, dead code, fusion, lowering, differentiation, memory plan.

use serde::{Deserialize, Serialize};

use super::{Program, lower::Walk};
use crate::{error::GraphError, graph::NetworkGraph};

/// Part of every kernel's name: raise it when compilation changes what a program computes or how it is written.
pub const PIPELINE_VERSION: u32 = 3;

/// What to compile for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// Whether bias and activation are folded into the linear map before them. Changes no bit of any result.
    pub fuse: bool,
    /// Whether the gradient of the input can be asked for, as a module's must.
    pub input_gradient: bool,
}

impl CompileOptions {
    /// A host: fused; nobody asks for the gradient of the data.
    pub const HOST: Self = Self { fuse: true, input_gradient: false };
    /// A module, fused.
    pub const MODULE: Self = Self { fuse: true, input_gradient: true };
    /// A module, one instruction an op: what [`Self::MODULE`] is compared with.
    pub const REFERENCE: Self = Self { fuse: false, input_gradient: true };
}

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
