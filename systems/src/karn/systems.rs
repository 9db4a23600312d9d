//! Designing, for each contract once.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use esper_engine::{
    graph::{GraphError, Op},
    world::{
        catalog::{Attempts, Blueprint, BlueprintStatus, SiteContracts},
        ids::{BlueprintId, Index},
    },
};

use super::{
    catalogue::Catalogue,
    components::{DesignFailure, Designed, Gated},
};
use crate::oona::BlueprintDesigned;

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
        for family in catalogue.iter() {
            let drawn = family.design(&contract);
            let drawn =
                if gated.0 { drawn.and_then(|it| it.map(end_in_gate).transpose()) } else { drawn };
            let blueprint = match drawn {
                Ok(Some(blueprint)) => blueprint,
                Ok(None) => continue,
                Err(error) => {
                    let (family, reason) = (family.name().to_owned(), error.to_string());
                    designed.failures.push(DesignFailure { family, contract, reason });
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
            commands.spawn((id, blueprint, contract, status, Attempts::default()));
        }
    }
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
