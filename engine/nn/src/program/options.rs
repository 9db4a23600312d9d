//! What a graph is compiled for.

use serde::{Deserialize, Serialize};

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
