//! Designing: for each contract once, every family is asked for a blueprint.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::{BlueprintId, Index},
    world::blueprint::{Blueprint, BlueprintBundle, BlueprintStatus, SiteContracts},
};
use esper_nn::{contract::Contract, graph::GraphError, op::Gate};
use serde::{Deserialize, Serialize};

use super::{catalogue::Catalogue, family::BlueprintFamily};
use crate::oona::BlueprintDesigned;

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

/// The blueprints that Karn will design for sites of `contract`, by name; they can be asked for before the first tick.
///
/// What a family fails to draw is left out: Karn notes it when it designs.
///
/// # Panics
///
/// If the world is without [Karn](super).
pub fn blueprints_for(world: &World, contract: Contract) -> BTreeMap<BlueprintId, Blueprint> {
    let mut blueprints = BTreeMap::new();
    for blueprint in draw_all(world.resource(), *world.resource(), contract).flatten() {
        // Of two families that draw the same, the first is the one that Karn keeps.
        blueprints.entry(blueprint.id(contract)).or_insert(blueprint);
    }
    blueprints
}

/// Asks every family for a blueprint for each contract that is new.
///
/// One that draws what another drew, or what the library brought, adds nothing.
pub(super) fn design_blueprints(
    contracts: Res<SiteContracts>,
    catalogue: Res<Catalogue>,
    index: Res<Index<BlueprintId>>,
    gated: Res<Gated>,
    mut designed: ResMut<Designed>,
    mut announcements: MessageWriter<BlueprintDesigned>,
    mut commands: Commands,
) {
    for contract in contracts.0.iter().copied() {
        if !designed.contracts.insert(contract) {
            continue;
        }
        let mut added: Vec<BlueprintId> = Vec::new();
        for drawn in draw_all(&catalogue, *gated, contract) {
            let blueprint = match drawn {
                Ok(blueprint) => blueprint,
                Err(failure) => {
                    designed.failures.push(failure);
                    continue;
                }
            };
            let id = blueprint.id(contract);
            if index.entity(id).is_some() || added.contains(&id) {
                continue;
            }
            added.push(id);
            announcements.write(BlueprintDesigned {
                blueprint: id,
                family: blueprint.family.clone(),
                contract,
                params_elems: blueprint.params_elems,
                flops_per_example: blueprint.flops_per_example,
            });
            let status = BlueprintStatus::Unvalidated;
            commands
                .spawn(BlueprintBundle { id, ..BlueprintBundle::new(blueprint, contract, status) });
        }
    }
}

/// Asks every family, in the order of names; one that has nothing to offer is left out.
pub(super) fn draw_all(
    catalogue: &Catalogue,
    Gated(is_gated): Gated,
    contract: Contract,
) -> impl Iterator<Item = Result<Blueprint, DesignFailure>> {
    catalogue.iter().filter_map(move |family| {
        draw(family, is_gated, contract).transpose().map(|drawn| {
            drawn.map_err(|error| {
                let (family, reason) = (family.name().to_owned(), error.to_string());
                DesignFailure { family, contract, reason }
            })
        })
    })
}

fn draw(
    family: &dyn BlueprintFamily,
    is_gated: bool,
    contract: Contract,
) -> Result<Option<Blueprint>, GraphError> {
    if contract.layer().is_some() && !family.spans() {
        return Ok(None);
    }
    let drawn = family.design(&contract)?;
    if is_gated { drawn.map(end_in_gate).transpose() } else { Ok(drawn) }
}

/// The composition `gate`: `y = x + a sigmoid(w) f(x)`, so that the module itself ends in `sigmoid(w)`.
fn end_in_gate(mut blueprint: Blueprint) -> Result<Blueprint, GraphError> {
    let mut graph = (*blueprint.graph).clone();
    let output = graph.output()?;
    graph.add("composition_gate", Gate, &[output])?;
    blueprint.params_elems = graph.params_elems();
    blueprint.flops_per_example += graph.node(output).shape.iter().product::<usize>() as u64;
    blueprint.graph = Arc::new(graph);
    Ok(blueprint)
}
