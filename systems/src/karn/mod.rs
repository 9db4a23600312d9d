//! Karn, the architect: proposes what a seed could become.
//!
//! | reads | writes | owns |
//! | --- | --- | --- |
//! | `SiteContracts` | `BlueprintDesigned`, blueprint entities | [`Catalogue`] |
//!
//! For every contract that a site of the run has, each family of the catalogue is asked for one blueprint. Every family
//! but the controls is an identity at birth (`f = 0`) whose parameters have a gradient at birth.

mod adversarial;
mod catalogue;
mod chain;
mod config;
mod controls;
mod design;
mod families;
mod family;
#[cfg(test)]
mod tests;

pub use adversarial::adversarial_family;
pub use catalogue::{Catalogue, CatalogueError, KarnExt, built_in_names};
pub use config::{KARN, Karn};
pub use design::{DesignFailure, Designed, blueprints_for};
pub use family::BlueprintFamily;

use bevy_ecs::prelude::*;
use esper_engine::{
    ids::BlueprintId,
    scenario::Sections,
    world::{
        blueprint::{Blueprint, BlueprintStatus, SiteContracts},
        components::ModuleContract,
        plugin::{BuildError, DispatchSystems, Engine, Plugin, Tick},
    },
};
use esper_nn::module::Composition;

/// Adds [Karn](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct KarnPlugin;

impl Plugin for KarnPlugin {
    fn name(&self) -> &'static str {
        "karn"
    }

    fn requires(&self) -> &[&'static str] {
        &["oona"]
    }

    fn sections(&self, sections: &mut Sections) {
        sections.add::<Karn>();
    }

    fn build(&self, engine: &mut Engine) -> Result<(), BuildError> {
        let karn: Karn = engine.scenario().or_default();
        let composition = engine.scenario().value("kasmina.composition");
        let mut catalogue = engine.world_mut().get_resource_or_init::<Catalogue>();
        catalogue.select(&karn).map_err(|error| BuildError::plugin(self.name(), error))?;
        engine.world_mut().insert_resource(design::Gated(composition == Some(Composition::Gate)));
        engine.world_mut().init_resource::<Designed>();
        engine
            .add_saved::<Designed>("karn")
            .add_saved_entities::<BlueprintId>("blueprint")
            .add_saved_component::<BlueprintId, Blueprint>("blueprint.design")
            .add_saved_component::<BlueprintId, ModuleContract>("blueprint.contract")
            .add_saved_component::<BlueprintId, BlueprintStatus>("blueprint.status");
        engine.add_systems(
            Tick,
            design::design_blueprints
                .in_set(DispatchSystems::Design)
                .run_if(resource_changed::<SiteContracts>),
        );
        Ok(())
    }
}
