//! The one door through which stages change.

use bevy_ecs::prelude::*;
use esper_engine::{
    runtime::Runtimes,
    world::{
        blueprint::Blueprint,
        components::{
            Active, Alpha, Runtime, SeedModule, SeedOf, Site, StageClock, Telemetry, Withdrawing,
        },
        gate::GateState,
        ids::{BlueprintId, HostId, Index, SeedId},
        plugin::Clock,
        stage::Stage,
    },
};

use super::components::{Tried, Withdrawals};
use crate::oona::StageChanged;

/// A step the lifecycle does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seed in {from} may not become {to}")]
pub struct IllegalTransition {
    /// The stage it is in, and stays in.
    pub from: Stage,
    /// The stage it was asked to enter.
    pub to: Stage,
}

/// Moves a seed to stage `to` and says why in the journal; nothing else changes a stage.
///
/// Germination makes a seed active; a terminal stage ends that, and has its site replanted.
///
/// # Errors
///
/// Refuses a step that is not in the table, and changes nothing.
pub fn transition(
    world: &mut World,
    seed: Entity,
    to: Stage,
    reason: impl Into<String>,
) -> Result<(), IllegalTransition> {
    let from = *world.get::<Stage>(seed).expect("every seed has a stage");
    if !from.may_become(to) {
        return Err(IllegalTransition { from, to });
    }
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let Site(site) = *world.get::<Site>(seed).expect("every seed has a site");
    let SeedOf(host_entity) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let host = *world.get::<HostId>(host_entity).expect("every host has a name");
    let Runtime(handle) = *world.get::<Runtime>(host_entity).expect("every host has numbers");
    let runtime = world.resource::<Runtimes>().get(handle).expect("the handle is live");
    let (step, site_name) = (runtime.state.step, runtime.program.sites[site as usize].name.clone());
    let tick = world.resource::<Clock>().0;
    let seed_module = world.get::<SeedModule>(seed).copied();
    let family = seed_module.and_then(|seed_module| family_of(world, seed_module.blueprint));

    let before = world.get::<StageClock>(seed).copied().unwrap_or_default();
    let grafted_step = if to == Stage::Grafting { Some(step) } else { before.grafted_step };
    let clock = StageClock { entered_tick: tick, entered_step: step, grafted_step };
    let mut entity = world.entity_mut(seed);
    entity.insert((to, clock, GateState { next_step: step, ..GateState::default() }));
    if to == Stage::Germinated {
        entity.insert((Active, Alpha(0.0), Telemetry::default()));
    }
    if to.is_terminal() {
        entity.remove::<(Active, Withdrawing)>();
        world.resource_mut::<Withdrawals>().0.push(seed);
        if let Some(seed_module) = seed_module.filter(|_| to != Stage::Fossilized) {
            world.resource_mut::<Tried>().0.insert((host, site, seed_module.blueprint));
        }
    }
    world.write_message(StageChanged {
        seed: id,
        host,
        site: site_name,
        from,
        to,
        step,
        family,
        blueprint: seed_module.map(|seed_module| seed_module.blueprint),
        reason: reason.into(),
    });
    Ok(())
}

fn family_of(world: &World, blueprint: BlueprintId) -> Option<String> {
    let entity = world.resource::<Index<BlueprintId>>().entity(blueprint)?;
    Some(world.get::<Blueprint>(entity)?.family.clone())
}
