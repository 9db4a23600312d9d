//! Designing, for each contract once.

use bevy_ecs::prelude::*;
use esper_engine::world::{
    catalog::{Attempts, BlueprintStatus, SiteContracts},
    components::ModuleContract,
    ids::{BlueprintId, Index},
};

use super::{
    catalogue::Catalogue,
    components::{Designed, Gated},
    design::draw_all,
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
            commands.spawn((id, blueprint, ModuleContract(contract), status, Attempts::default()));
        }
    }
}
