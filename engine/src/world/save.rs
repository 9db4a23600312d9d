//! What a checkpoint keeps of the world's resources: whatever a plugin has registered here.

use bevy_ecs::{component::Mutable, prelude::*};
use serde::{Serialize, de::DeserializeOwned};

use super::plugin::Engine;

/// How each registered resource is written and read, by name.
#[derive(Resource, Default)]
pub struct SaveRegistry(Vec<SaveEntry>);

#[derive(Clone, Copy)]
struct SaveEntry {
    name: &'static str,
    save: fn(&World) -> Vec<u8>,
    load: fn(&mut World, &[u8]) -> Result<(), postcard::Error>,
}

/// Why saved resources do not fit this engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not what was saved under that name.
    #[error("saved state `{name}` can not be read: {source}")]
    Damaged {
        /// The resource's name.
        name: String,
        /// What the decoder says.
        source: postcard::Error,
    },
    /// A resource is missing, or nothing here knows it: the plugins differ.
    #[error("saved state has resources {saved:?}, this engine has {present:?}: its plugins differ")]
    Differs {
        /// Names in the file.
        saved: Vec<String>,
        /// Names here.
        present: Vec<String>,
    },
}

impl Engine {
    /// Has checkpoints keep resource `T` under `name`. It must exist whenever one is written.
    pub fn add_saved<T>(&mut self, name: &'static str) -> &mut Self
    where
        T: Resource + Component<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        let entry = SaveEntry {
            name,
            save: |world| {
                postcard::to_stdvec(world.resource::<T>()).expect("plain data serialises")
            },
            load: |world, bytes| {
                let value: T = postcard::from_bytes(bytes)?;
                world.insert_resource(value);
                Ok(())
            },
        };
        let mut registry = self.world_mut().resource_mut::<SaveRegistry>();
        assert!(registry.0.iter().all(|other| other.name != name), "`{name}` is saved twice");
        registry.0.push(entry);
        registry.0.sort_by_key(|entry| entry.name);
        self
    }
}

/// Every registered resource, by name.
pub fn save_resources(world: &World) -> Vec<(String, Vec<u8>)> {
    let entries = world.resource::<SaveRegistry>().0.iter();
    entries.map(|entry| (entry.name.to_owned(), (entry.save)(world))).collect()
}

/// Puts resources back as [`save_resources`] found them.
///
/// # Errors
///
/// Fails when the plugins differ or the bytes are damaged; resources read before that stay replaced.
pub fn load_resources(world: &mut World, saved: &[(String, Vec<u8>)]) -> Result<(), LoadError> {
    let entries = world.resource::<SaveRegistry>().0.clone();
    let is_same =
        entries.iter().map(|entry| entry.name).eq(saved.iter().map(|(name, _)| name.as_str()));
    if !is_same {
        return Err(LoadError::Differs {
            saved: saved.iter().map(|(name, _)| name.clone()).collect(),
            present: entries.iter().map(|entry| entry.name.to_owned()).collect(),
        });
    }
    for (entry, (name, bytes)) in entries.iter().zip(saved) {
        (entry.load)(world, bytes)
            .map_err(|source| LoadError::Damaged { name: name.clone(), source })?;
    }
    Ok(())
}
