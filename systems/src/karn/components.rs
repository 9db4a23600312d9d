//! What Karn remembers.

use std::collections::BTreeSet;

use bevy_ecs::prelude::*;
use esper_nn::contract::Contract;
use serde::{Deserialize, Serialize};

/// What has been designed, and what could not be.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Designed {
    /// The contracts for which every family has been asked.
    pub contracts: BTreeSet<Contract>,
    /// Families that had no answer but an error; at most one a family and contract.
    pub failures: Vec<DesignFailure>,
}

/// Whether every module ends in a learned gate.
#[derive(Resource, Clone, Copy, Debug)]
pub(super) struct Gated(pub bool);

/// A family drew a graph that is no network.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct DesignFailure {
    /// The family.
    pub family: String,
    /// What it was to draw for.
    pub contract: Contract,
    /// What is wrong with the graph.
    pub reason: String,
}
