//! What Kasmina keeps beside the seeds.

use std::collections::BTreeSet;

use bevy_ecs::prelude::*;
use esper_engine::world::ids::{BlueprintId, HostId, SeedId};
use serde::{Deserialize, Serialize};

/// The name the next seed will get.
#[derive(Resource, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextSeed(pub SeedId);

impl Default for NextSeed {
    fn default() -> Self {
        Self(SeedId(1))
    }
}

/// Blueprints that were tried at a site and are gone: none is tried there twice in a run.
#[derive(Resource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried(pub BTreeSet<(HostId, u16, BlueprintId)>);

/// Seeds that ended in this tick and whose sites get a new one before it is over.
#[derive(Resource, Clone, Debug, Default)]
pub(super) struct Withdrawals(pub Vec<Entity>);
