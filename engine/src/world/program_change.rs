//! Hosts whose program is compiled anew.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bevy_ecs::prelude::*;
use esper_nn::{graph::NetworkGraph, program::Program};
use serde::{Deserialize, Serialize};

use super::ids::{HostId, SeedId};

/// A host with a fossilised module joined to it, to be compiled in the background.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct HostRecompile {
    /// The host.
    pub host: HostId,
    /// The seed whose module was joined.
    pub seed: SeedId,
    /// The grown graph.
    pub graph: Arc<NetworkGraph>,
}

/// Hosts on their way through the compiler.
///
/// Kasmina asks in `Transform`, Tezzeret takes the requests in `Dispatch` and brings programs back in `Admit`;
/// Kasmina empties [`Self::done`] in `Transform` of the same tick, so nothing of it needs saving.
#[derive(Resource, Serialize, Deserialize, Debug, Default)]
pub struct HostRecompiles {
    /// Asked for, oldest first.
    pub requests: VecDeque<HostRecompile>,
    /// With the compiler.
    pub in_flight: BTreeSet<(HostId, SeedId)>,
    /// Back, in the order of asking; an error is a sentence for people.
    #[serde(skip)]
    pub done: Vec<(HostRecompile, Result<Arc<Program>, String>)>,
}

impl HostRecompiles {
    /// Whether a grown program of `host` has been asked for and has not come back.
    pub fn is_pending(&self, host: HostId) -> bool {
        self.requests.iter().any(|request| request.host == host)
            || self.in_flight.iter().any(|(other, _)| *other == host)
    }
}
