//! Whether Transform has anything to do: in most ticks it has not, and fetching what its systems would need takes longer
//! than to see that.

use bevy_ecs::prelude::*;
use esper_engine::world::components::Active;

use super::{lifecycle::EndedSeeds, plant::BareHost};
use crate::oona::{ProgramReady, SeedCommand};

/// Whether a seed, a command, a program or a host that is new asks for a change.
pub(super) fn is_anything_to_change(
    active: Query<(), With<Active>>,
    bare: Query<(), BareHost>,
    ended: Res<EndedSeeds>,
    commands: Res<Messages<SeedCommand>>,
    programs: Res<Messages<ProgramReady>>,
) -> bool {
    let is_any_asked_for = !commands.is_empty() || !programs.is_empty();
    is_any_asked_for || !active.is_empty() || !bare.is_empty() || !ended.0.is_empty()
}
