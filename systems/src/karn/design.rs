//! What the catalogue draws for a contract.

use std::{collections::BTreeMap, sync::Arc};

use bevy_ecs::prelude::*;
use esper_engine::{
    graph::{GraphError, Op},
    world::{catalog::Blueprint, ids::BlueprintId},
};
use esper_nn::contract::Contract;

use super::{
    catalogue::{BlueprintFamily, Catalogue},
    components::{DesignFailure, Gated},
};

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
    let drawn = family.design(&contract)?;
    if is_gated { drawn.map(end_in_gate).transpose() } else { Ok(drawn) }
}

/// The composition `gate`: `y = x + a sigmoid(w) f(x)`, so that the module itself ends in `sigmoid(w)`.
fn end_in_gate(mut blueprint: Blueprint) -> Result<Blueprint, GraphError> {
    let mut graph = (*blueprint.graph).clone();
    let output = graph.output()?;
    graph.add("composition_gate", Op::Gate, &[output])?;
    blueprint.params_elems = graph.params_elems();
    blueprint.flops_per_example += graph.node(output).shape.iter().product::<usize>() as u64;
    blueprint.graph = Arc::new(graph);
    Ok(blueprint)
}
