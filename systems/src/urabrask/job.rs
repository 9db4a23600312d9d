//! What leaves for the workers and what comes back.

use std::sync::Arc;

use esper_engine::{
    graph::NetworkGraph,
    program::Program,
    world::{
        ids::{BlueprintId, KernelId},
        kernel::{KernelStatus, Measured, SafetySheet},
    },
};
use esper_nn::contract::Contract;
use serde::{Deserialize, Serialize};

use super::config::Rules;

/// Every kernel of one blueprint, to be judged together: variants are compared with each other.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ValidateJob {
    /// The blueprint.
    pub blueprint: BlueprintId,
    /// What its module must keep.
    pub contract: Contract,
    /// The module.
    pub graph: Arc<NetworkGraph>,
    /// Whether it must be an identity with a live gradient at birth: controls need not.
    pub must_grow: bool,
    /// What it is judged by.
    pub rules: Rules,
    /// Its kernels, in the order of ids.
    pub candidates: Vec<Candidate>,
}

/// A kernel to be judged.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its lasting name.
    pub id: KernelId,
    /// Its variant's name.
    pub variant: String,
    /// What would run.
    pub program: Arc<Program>,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The kernel.
    pub kernel: KernelId,
    /// Validated or rejected.
    pub status: KernelStatus,
    /// What was found.
    pub sheet: SafetySheet,
    /// What was measured, if it came to that.
    pub measured: Option<Measured>,
}
