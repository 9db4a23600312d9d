//! Blueprints: plans of modules, as entities.

use std::{collections::BTreeSet, sync::Arc};

use bevy_ecs::prelude::*;
use esper_nn::{
    contract::Contract,
    digest::Digest,
    graph::{GraphError, NetworkGraph},
    program::{CompileOptions, Program},
};
use serde::{Deserialize, Serialize};

use super::{components::ModuleContract, ids::BlueprintId};

/// What a blueprint is: the plan of a module that keeps its site's shape.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[component(immutable)]
pub struct Blueprint {
    /// The family's name, such as `residual_mlp`.
    pub family: String,
    /// The module: one input, one output, of the contract's shape.
    pub graph: Arc<NetworkGraph>,
    /// Whether its parameters ever train; `false` for the frozen control.
    pub is_trainable: bool,
    /// Parameters, in elements.
    pub params_elems: u64,
    /// Forward arithmetic of one example.
    pub flops_per_example: u64,
    /// Why this shape: one sentence.
    pub intent: String,
    /// What it rests on: paper and section, or `control`.
    pub basis: String,
}

impl Blueprint {
    /// The [`Self::basis`] of blueprints that are there to fail, so that gates can be judged.
    pub const CONTROL: &'static str = "control";

    /// A trainable blueprint of `family`; parameters and arithmetic are read off the graph.
    ///
    /// # Errors
    ///
    /// Fails when the graph is no program: it is empty, or has not exactly one input.
    pub fn new(
        family: impl Into<String>,
        graph: NetworkGraph,
        intent: impl Into<String>,
        basis: impl Into<String>,
    ) -> Result<Self, GraphError> {
        let program = Program::compile(&graph, CompileOptions::MODULE)?;
        Ok(Self {
            family: family.into(),
            params_elems: program.params_elems(),
            flops_per_example: program.flops_forward(),
            graph: Arc::new(graph),
            is_trainable: true,
            intent: intent.into(),
            basis: basis.into(),
        })
    }

    /// The blueprint's lasting name at sites of `contract`.
    pub fn id(&self, contract: Contract) -> BlueprintId {
        BlueprintId(Digest::of_value(&(contract, &self.graph, self.is_trainable)))
    }

    /// Whether it is a control: an identity at birth and a live gradient are not asked of it.
    pub fn is_control(&self) -> bool {
        self.basis == Self::CONTROL
    }
}

/// How far a blueprint has come.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[component(immutable)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BlueprintStatus {
    /// Designed; nothing is known of it.
    Unvalidated,
    /// With Tezzeret, or its kernels with Urabrask.
    Compiling,
    /// At least one kernel of it was validated.
    Validated,
    /// It does not compile, or every kernel of it was rejected.
    Invalid,
}

/// How often Tezzeret has tried to compile a blueprint.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts(pub u32);

/// A blueprint as an entity.
#[derive(Bundle, Clone, Debug)]
pub struct BlueprintBundle {
    /// Its lasting name.
    pub id: BlueprintId,
    /// What it is.
    pub blueprint: Blueprint,
    /// What its module must keep.
    pub contract: ModuleContract,
    /// How far it has come.
    pub status: BlueprintStatus,
    /// How often it was sent to be compiled.
    pub attempts: Attempts,
}

impl BlueprintBundle {
    /// `blueprint` for sites of `contract`; it has not been compiled yet if its status is `UNVALIDATED`.
    pub fn new(blueprint: Blueprint, contract: Contract, status: BlueprintStatus) -> Self {
        Self {
            id: blueprint.id(contract),
            blueprint,
            contract: ModuleContract(contract),
            status,
            attempts: Attempts::default(),
        }
    }
}

/// What modules are wanted for: the contracts of the hosts' sites. Kasmina fills it, Karn designs for it.
#[derive(Resource, Debug, Default, Clone, PartialEq, Eq)]
pub struct SiteContracts(pub BTreeSet<Contract>);
