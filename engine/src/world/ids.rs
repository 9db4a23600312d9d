//! Lasting names. Unlike [`Entity`], they mean the same in a file and after a restart.

use std::{collections::BTreeMap, fmt};

use bevy_ecs::{component::Mutable, lifecycle::HookContext, prelude::*, world::DeferredWorld};
use serde::{Deserialize, Serialize};

use super::{digest::Digest, stage::Stage};

/// A host's lasting name.
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable, on_insert = index::<HostId>, on_discard = unindex::<HostId>)]
pub struct HostId(pub u64);

/// A seed's lasting name; seeds are numbered in the order in which they are planted.
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable, on_insert = index::<SeedId>, on_discard = unindex::<SeedId>)]
#[require(Stage::Dormant)]
pub struct SeedId(pub u64);

/// A blueprint's lasting name: the digest of its graph and contract.
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable, on_insert = index::<BlueprintId>, on_discard = unindex::<BlueprintId>)]
pub struct BlueprintId(pub Digest);

/// A kernel's lasting name: the digest of what it was compiled from (graph, device, pipeline).
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable, on_insert = index::<KernelId>, on_discard = unindex::<KernelId>)]
pub struct KernelId(pub Digest);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host{}", self.0)
    }
}

impl fmt::Display for SeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed{}", self.0)
    }
}

/// Finds an entity by its lasting name. Kept by the names' own hooks, so it can not be stale.
#[derive(Resource, Debug)]
pub struct Index<Id: Ord + Send + Sync + 'static>(BTreeMap<Id, Entity>);

impl<Id: Ord + Send + Sync + 'static> Default for Index<Id> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<Id: Ord + Copy + Send + Sync + 'static> Index<Id> {
    /// The entity of that name, while it lives.
    pub fn entity(&self, id: Id) -> Option<Entity> {
        self.0.get(&id).copied()
    }

    /// Every name and its entity, in the order of names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Id, Entity)> + '_ {
        self.0.iter().map(|(id, entity)| (*id, *entity))
    }

    /// How many names are in use.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no name is in use.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The greatest name in use.
    pub fn last(&self) -> Option<Id> {
        self.0.last_key_value().map(|(id, _)| *id)
    }
}

fn index<Id: Component + Ord + Copy + fmt::Debug>(mut world: DeferredWorld, context: HookContext)
where
    Index<Id>: Resource + Component<Mutability = Mutable>,
{
    let id = *world.get::<Id>(context.entity).expect("the hook runs after insertion");
    let previous = world.resource_mut::<Index<Id>>().0.insert(id, context.entity);
    assert_eq!(previous, None, "two entities share the name {id:?}");
}

fn unindex<Id: Component + Ord + Copy>(mut world: DeferredWorld, context: HookContext)
where
    Index<Id>: Resource + Component<Mutability = Mutable>,
{
    let id = *world.get::<Id>(context.entity).expect("the hook runs before removal");
    world.resource_mut::<Index<Id>>().0.remove(&id);
}
