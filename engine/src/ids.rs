//! Lasting names. Unlike [`Entity`], they mean the same in a file and after a restart.

use std::fmt;

use bevy_ecs::{component::Mutable, lifecycle::HookContext, prelude::*, world::DeferredWorld};
use serde::{Deserialize, Serialize};

use crate::stage::Stage;
use esper_nn::digest::Digest;

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

/// The lasting name of a place in a host where seeds are planted, a site or the span between two: they are numbered in the order of the network that the host began with, and keep
/// their numbers whatever becomes of the network. On a seed it says where that is planted.
#[derive(
    Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[component(immutable)]
pub struct SiteId(pub u16);

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

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site{}", self.0)
    }
}

impl fmt::Display for SeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed{}", self.0)
    }
}

/// Finds an entity by its lasting name. Kept by the names' own hooks, so it can not be stale.
///
/// Sorted by name. Seeds come in the order of their names and stay, so a new one is put at the end; of a million
/// dormant seeds each takes 16 bytes here, where a tree takes 38.
#[derive(Resource, Debug)]
pub struct Index<Id: Ord + Send + Sync + 'static>(Vec<(Id, Entity)>);

impl<Id: Ord + Send + Sync + 'static> Default for Index<Id> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Id: Ord + Copy + Send + Sync + 'static> Index<Id> {
    /// The entity of that name, while it lives.
    pub fn entity(&self, id: Id) -> Option<Entity> {
        self.place(id).ok().map(|place| self.0[place].1)
    }

    /// Every name and its entity, in the order of names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Id, Entity)> + '_ {
        self.0.iter().copied()
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
        self.0.last().map(|(id, _)| *id)
    }

    /// Where `id` is, or where it would be put.
    fn place(&self, id: Id) -> Result<usize, usize> {
        match self.0.last() {
            Some((last, _)) if id <= *last => self.0.binary_search_by_key(&id, |(id, _)| *id),
            _ => Err(self.0.len()),
        }
    }
}

fn index<Id: Component + Ord + Copy + fmt::Debug>(mut world: DeferredWorld, context: HookContext)
where
    Index<Id>: Resource + Component<Mutability = Mutable>,
{
    let id = *world.get::<Id>(context.entity).expect("the hook runs after insertion");
    let mut index = world.resource_mut::<Index<Id>>();
    match index.place(id) {
        Err(place) => index.0.insert(place, (id, context.entity)),
        Ok(_) => panic!("two entities share the name {id:?}"),
    }
}

fn unindex<Id: Component + Ord + Copy>(mut world: DeferredWorld, context: HookContext)
where
    Index<Id>: Resource + Component<Mutability = Mutable>,
{
    let id = *world.get::<Id>(context.entity).expect("the hook runs before removal");
    let mut index = world.resource_mut::<Index<Id>>();
    if let Ok(place) = index.place(id) {
        index.0.remove(place);
    }
}
