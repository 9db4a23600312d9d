//! What a checkpoint keeps of the world: whatever its owners have registered here, each once, under a name.
//!
//! | what | registered with |
//! | --- | --- |
//! | a resource | [`Engine::add_saved`] |
//! | the entities that have a lasting id | [`Engine::add_saved_entities`] |
//! | a component of theirs | [`Engine::add_saved_component`] |
//! | a relationship between two of them | [`Engine::add_saved_relationship`] |
//! | anything else | [`Engine::add_saved_as`] |
//!
//! Entities are written by their lasting ids: an [`Entity`] means nothing after a restart.

use std::{error::Error, fmt::Debug};

use bevy_ecs::{
    component::Mutable,
    prelude::*,
    relationship::{Relationship, RelationshipTarget},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{ids::Index, plugin::Engine};

/// A component that names an entity for good, and has an [`Index`].
pub trait LastingId:
    Component + Copy + Ord + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<Id> LastingId for Id where
    Id: Component + Copy + Ord + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// State that is written in a form of its own.
pub trait SavedAs: 'static {
    /// What is written.
    type Form: Serialize + DeserializeOwned;

    /// Reads the world.
    fn save(world: &mut World) -> Self::Form;

    /// Puts back what [`SavedAs::save`] gave. Entities and their components are there already, and so is what was
    /// registered before.
    ///
    /// # Errors
    ///
    /// Says why it does not fit this world.
    fn load(world: &mut World, form: Self::Form) -> Result<(), LoadFailure>;
}

/// Why one saved value does not fit the world.
pub type LoadFailure = Box<dyn Error + Send + Sync>;

/// How each registered state is written and read.
#[derive(Resource, Default)]
struct SaveRegistry(Vec<SaveEntry>);

#[derive(Clone, Copy)]
struct SaveEntry {
    name: &'static str,
    pass: Pass,
    save: fn(&mut World) -> Vec<u8>,
    load: fn(&mut World, &[u8]) -> Result<(), EntryError>,
}

/// What is loaded before what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pass {
    Entities,
    Components,
    Rest,
}

enum EntryError {
    Damaged(postcard::Error),
    Refused(LoadFailure),
}

/// Everything that was registered, as bytes under its name, sorted by name.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedWorld(Vec<(String, Vec<u8>)>);

/// Why saved state does not fit this engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not what was saved under that name.
    #[error("saved state `{name}` can not be read: {source}")]
    Damaged {
        /// The state's name.
        name: String,
        /// What the decoder says.
        source: postcard::Error,
    },
    /// A state is missing, or nothing here knows it: the plugins differ.
    #[error(
        "this engine's plugins are not those it was saved with: {}",
        differences(unknown, missing)
    )]
    Differs {
        /// Saved, and registered by no plugin here.
        unknown: Vec<String>,
        /// Registered here, and not saved.
        missing: Vec<String>,
    },
    /// A saved state does not fit the world.
    #[error("saved state `{name}`: {source}")]
    Refused {
        /// The state's name.
        name: String,
        /// Why not.
        source: LoadFailure,
    },
}

fn differences(unknown: &[String], missing: &[String]) -> String {
    let list = |names: &[String], what| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| format!("{} {what}", names.join(", ")))
    };
    let parts = [
        list(unknown, "was saved and is known to none of them"),
        list(missing, "is theirs and was not saved"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// A saved component names an entity that is not there.
#[derive(Debug, thiserror::Error)]
#[error("it names {id}, which is not in the checkpoint")]
struct Dangling {
    id: String,
}

impl Engine {
    /// Has checkpoints keep resource `T` under `name`. It must exist whenever one is written.
    pub fn add_saved<T>(&mut self, name: &'static str) -> &mut Self
    where
        T: Resource + Component<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        self.add_save_entry(SaveEntry {
            name,
            pass: Pass::Rest,
            save: |world| encode(world.resource::<T>()),
            load: |world, bytes| {
                let value: T = decode(bytes)?;
                world.insert_resource(value);
                Ok(())
            },
        })
    }

    /// Has checkpoints keep which entities have an `Id`, under `name`. Their components are registered apart.
    pub fn add_saved_entities<Id: LastingId>(&mut self, name: &'static str) -> &mut Self {
        self.add_save_entry(SaveEntry {
            name,
            pass: Pass::Entities,
            save: |world| {
                let ids: Vec<Id> = world.resource::<Index<Id>>().iter().map(|(id, _)| id).collect();
                encode(&ids)
            },
            load: |world, bytes| {
                for id in decode::<Vec<Id>>(bytes)? {
                    world.spawn(id);
                }
                Ok(())
            },
        })
    }

    /// Has checkpoints keep component `T` of every entity that has an `Id`, under `name`; immutable components too.
    pub fn add_saved_component<Id, T>(&mut self, name: &'static str) -> &mut Self
    where
        Id: LastingId,
        T: Component + Serialize + DeserializeOwned,
    {
        self.add_save_entry(SaveEntry {
            name,
            pass: Pass::Components,
            save: |world| {
                let mut query = world.query::<(&Id, &T)>();
                let mut values: Vec<(&Id, &T)> = query.iter(world).collect();
                values.sort_unstable_by_key(|(id, _)| **id);
                encode(&values)
            },
            load: |world, bytes| {
                for (id, value) in decode::<Vec<(Id, T)>>(bytes)? {
                    let entity = entity_of(world, id)?;
                    world.entity_mut(entity).insert(value);
                }
                Ok(())
            },
        })
    }

    /// Has checkpoints keep relationship `R` of every entity that has an `Id`, under `name`: the other entity is
    /// written by its `TargetId`, which it must have.
    pub fn add_saved_relationship<Id, R, TargetId>(&mut self, name: &'static str) -> &mut Self
    where
        Id: LastingId,
        R: Relationship + Component,
        R::RelationshipTarget: RelationshipTarget,
        TargetId: LastingId,
    {
        self.add_save_entry(SaveEntry {
            name,
            pass: Pass::Components,
            save: |world| {
                let mut query = world.query::<(&Id, &R)>();
                let mut pairs: Vec<(Id, TargetId)> = query
                    .iter(world)
                    .map(|(id, of)| {
                        let target = world.get::<TargetId>(of.get());
                        (*id, *target.expect("what is related to a lasting entity lasts"))
                    })
                    .collect();
                pairs.sort_unstable();
                encode(&pairs)
            },
            load: |world, bytes| {
                for (id, target) in decode::<Vec<(Id, TargetId)>>(bytes)? {
                    let (entity, target) = (entity_of(world, id)?, entity_of(world, target)?);
                    world.entity_mut(entity).insert(R::from(target));
                }
                Ok(())
            },
        })
    }

    /// Has checkpoints keep what `S` reads of the world, under `name`.
    pub fn add_saved_as<S: SavedAs>(&mut self, name: &'static str) -> &mut Self {
        self.add_save_entry(SaveEntry {
            name,
            pass: Pass::Rest,
            save: |world| encode(&S::save(world)),
            load: |world, bytes| S::load(world, decode(bytes)?).map_err(EntryError::Refused),
        })
    }

    fn add_save_entry(&mut self, entry: SaveEntry) -> &mut Self {
        let mut registry = self.world_mut().get_resource_or_init::<SaveRegistry>();
        let is_taken = registry.0.iter().any(|other| other.name == entry.name);
        assert!(!is_taken, "`{}` is saved twice", entry.name);
        registry.0.push(entry);
        self
    }
}

impl SavedWorld {
    /// Everything registered, as it is in `world`.
    pub fn save(world: &mut World) -> Self {
        let mut saved: Vec<(String, Vec<u8>)> = entries(world)
            .into_iter()
            .map(|entry| (entry.name.to_owned(), (entry.save)(world)))
            .collect();
        saved.sort_unstable();
        Self(saved)
    }

    /// Puts everything back in a world that has the same plugins and no entity with a lasting id: entities first, then
    /// their components, then the rest in the order of registration.
    ///
    /// # Errors
    ///
    /// Fails when the plugins differ, the bytes are damaged or do not fit; what was read before that stays.
    pub fn load(&self, world: &mut World) -> Result<(), LoadError> {
        let mut entries = entries(world);
        let names = |it: &mut dyn Iterator<Item = &str>| it.map(str::to_owned).collect::<Vec<_>>();
        let is_known = |name: &str| entries.iter().any(|entry| entry.name == name);
        let unknown = names(&mut self.names().filter(|name| !is_known(name)));
        let is_saved = |entry: &&SaveEntry| self.bytes(entry.name).is_none();
        let missing = names(&mut entries.iter().filter(is_saved).map(|entry| entry.name));
        if !(unknown.is_empty() && missing.is_empty()) {
            return Err(LoadError::Differs { unknown, missing });
        }
        entries.sort_by_key(|entry| entry.pass);
        for entry in entries {
            let bytes = self.bytes(entry.name).expect("none is missing");
            let name = || entry.name.to_owned();
            (entry.load)(world, bytes).map_err(|error| match error {
                EntryError::Damaged(source) => LoadError::Damaged { name: name(), source },
                EntryError::Refused(source) => LoadError::Refused { name: name(), source },
            })?;
        }
        Ok(())
    }

    /// What was saved under `name`, without a world: a component's values are a `Vec<(Id, T)>` in the order of ids.
    ///
    /// # Errors
    ///
    /// Fails when nothing was, or it is no `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, LoadError> {
        let missing = || LoadError::Differs { unknown: Vec::new(), missing: vec![name.to_owned()] };
        let bytes = self.bytes(name).ok_or_else(missing)?;
        postcard::from_bytes(bytes)
            .map_err(|source| LoadError::Damaged { name: name.to_owned(), source })
    }

    /// The names under which something was saved, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        let place = self.0.binary_search_by_key(&name, |(name, _)| name).ok()?;
        Some(&self.0[place].1)
    }
}

fn entries(world: &World) -> Vec<SaveEntry> {
    world.get_resource::<SaveRegistry>().map_or_else(Vec::new, |registry| registry.0.clone())
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data serialises")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EntryError> {
    postcard::from_bytes(bytes).map_err(EntryError::Damaged)
}

fn entity_of<Id: LastingId>(world: &World, id: Id) -> Result<Entity, EntryError> {
    let entity = world.resource::<Index<Id>>().entity(id);
    entity.ok_or_else(|| EntryError::Refused(Box::new(Dangling { id: format!("{id:?}") })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{
        components::{SeedOf, Seeds},
        ids::{HostId, SeedId, SiteId},
        stage::Stage,
    };

    #[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
    struct Mood(f32);

    #[derive(Resource, Serialize, Deserialize, Default, Debug, PartialEq)]
    struct Count(u64);

    /// Kept in a form of its own: the length of a text.
    #[derive(Resource, Default)]
    struct Text(String);

    struct TextLength;

    impl SavedAs for TextLength {
        type Form = usize;

        fn save(world: &mut World) -> usize {
            world.resource::<Text>().0.len()
        }

        fn load(world: &mut World, len: usize) -> Result<(), LoadFailure> {
            if len > 3 {
                return Err(format!("{len} is too long").into());
            }
            world.insert_resource(Text("x".repeat(len)));
            Ok(())
        }
    }

    fn engine() -> Engine {
        let mut engine = Engine::default();
        engine.world_mut().init_resource::<Count>();
        engine.world_mut().init_resource::<Text>();
        engine
            .add_saved_as::<TextLength>("text")
            .add_saved::<Count>("count")
            .add_saved_component::<SeedId, Mood>("seed.mood")
            .add_saved_component::<SeedId, Stage>("seed.stage")
            .add_saved_component::<SeedId, SiteId>("seed.site")
            .add_saved_relationship::<SeedId, SeedOf, HostId>("seed.host")
            .add_saved_entities::<SeedId>("seed")
            .add_saved_entities::<HostId>("host");
        engine
    }

    fn filled() -> Engine {
        let mut engine = engine();
        let world = engine.world_mut();
        world.resource_mut::<Count>().0 = 7;
        world.resource_mut::<Text>().0 = "abc".to_owned();
        let host = world.spawn(HostId(4)).id();
        world.spawn((SeedId(9), SeedOf(host), SiteId(1), Stage::Training, Mood(0.25)));
        world.spawn((SeedId(2), SeedOf(host), SiteId(0)));
        engine
    }

    #[test]
    fn entities_come_back_with_a_strangers_component_and_their_relations() {
        let saved = SavedWorld::save(filled().world_mut());
        let mut engine = engine();
        saved.load(engine.world_mut()).unwrap();
        let world = engine.world();
        let seeds = world.resource::<Index<SeedId>>();
        let (two, nine) = (seeds.entity(SeedId(2)).unwrap(), seeds.entity(SeedId(9)).unwrap());
        let host = world.resource::<Index<HostId>>().entity(HostId(4)).unwrap();
        assert_eq!(world.get::<Mood>(nine), Some(&Mood(0.25)));
        assert_eq!(world.get::<Mood>(two), None);
        assert_eq!(world.get::<Stage>(nine), Some(&Stage::Training));
        assert_eq!(world.get::<Stage>(two), Some(&Stage::Dormant));
        assert_eq!(world.get::<SeedOf>(nine), Some(&SeedOf(host)));
        let of_host: Vec<Entity> = world.get::<Seeds>(host).unwrap().iter().collect();
        assert_eq!(of_host, [two, nine], "in the order of ids");
        assert_eq!((world.resource::<Count>().0, world.resource::<Text>().0.as_str()), (7, "xxx"));
        assert_eq!(SavedWorld::save(engine.world_mut()), saved, "and is saved as it was");
        let moods: Vec<(SeedId, Mood)> = saved.read("seed.mood").unwrap();
        assert_eq!(moods, [(SeedId(9), Mood(0.25))]);
    }

    #[test]
    fn state_that_does_not_fit_is_refused_by_name() {
        let saved = SavedWorld::save(filled().world_mut());
        let mut other = Engine::default();
        other.add_saved_entities::<SeedId>("seed").add_saved_entities::<HostId>("tenant");
        let error = saved.load(other.world_mut()).unwrap_err().to_string();
        assert!(error.contains("`count`, `host`") && error.contains("`tenant`"), "{error}");

        let mut long = filled();
        long.world_mut().resource_mut::<Text>().0 = "abcd".to_owned();
        let saved = SavedWorld::save(long.world_mut());
        let error = saved.load(engine().world_mut()).unwrap_err().to_string();
        assert_eq!(error, "saved state `text`: 4 is too long");

        let mut damaged = SavedWorld::save(filled().world_mut());
        damaged.0.iter_mut().find(|(name, _)| name == "count").unwrap().1.clear();
        let error = damaged.load(engine().world_mut()).unwrap_err().to_string();
        assert!(error.starts_with("saved state `count` can not be read"), "{error}");

        let mut dangling = SavedWorld::save(filled().world_mut());
        dangling.0.iter_mut().find(|(name, _)| name == "host").unwrap().1 =
            encode(&vec![HostId(5)]);
        let error = dangling.load(engine().world_mut()).unwrap_err().to_string();
        assert!(error.contains("HostId(4)"), "{error}");
    }
}
