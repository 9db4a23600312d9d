//! What Kasmina says about a gate: named numbers for the journal.

use bevy_ecs::prelude::*;
use esper_engine::world::{
    components::{Runtime, SeedOf},
    gate::{Gate, GateState, GateVerdict},
    ids::{HostId, SeedId},
};

use crate::oona::GateJudged;

/// Keeps a verdict on the seed and writes it to the journal, with the numbers it rests on.
pub(super) fn judge(
    world: &mut World,
    seed: Entity,
    gate: Gate,
    verdict: GateVerdict,
    numbers: &[(&str, f64)],
    next_step: u64,
) {
    let id = *world.get::<SeedId>(seed).expect("every seed has a name");
    let SeedOf(host_entity) = *world.get::<SeedOf>(seed).expect("every seed has a host");
    let host = *world.get::<HostId>(host_entity).expect("every host has a name");
    let Runtime(handle) = *world.get::<Runtime>(host_entity).expect("every host has numbers");
    let runtimes = world.resource::<esper_engine::runtime::Runtimes>();
    let step = runtimes.get(handle).expect("the handle is live").state.step;
    world.entity_mut(seed).insert(GateState {
        last: Some((gate, verdict)),
        next_step,
        consecutive_passes: 0,
    });
    world.write_message(GateJudged {
        seed: id,
        host,
        gate,
        verdict,
        step,
        numbers: numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
    });
}
