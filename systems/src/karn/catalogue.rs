//! Families by name, and how a run chooses among them.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use esper_engine::world::plugin::{BuildError, Engine};
use esper_nn::suggest::{after_sentence, nearest};

use super::{
    adversarial::adversarial_family, config::Karn, controls::CONTROLS, families::FAMILIES,
    family::BlueprintFamily,
};

/// Every family the run may draw from, by name. Iterates in name order.
#[derive(Resource, Default)]
pub struct Catalogue(BTreeMap<String, Box<dyn BlueprintFamily>>);

/// Stands for every family but the controls.
const ALL: &str = "all";

/// The names a scenario's `catalogue` may list, `all` first.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    let families = FAMILIES.iter().map(|family| family.name);
    std::iter::once(ALL).chain(families).chain(CONTROLS.iter().map(|control| control.name))
}

impl Catalogue {
    /// The family called `name`.
    pub fn get(&self, name: &str) -> Option<&dyn BlueprintFamily> {
        self.0.get(name).map(Box::as_ref)
    }

    /// Every family, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &dyn BlueprintFamily> {
        self.0.values().map(Box::as_ref)
    }

    /// Adds a family.
    ///
    /// # Errors
    ///
    /// Fails when its name is taken.
    pub fn add(&mut self, family: impl BlueprintFamily) -> Result<(), CatalogueError> {
        let name = family.name().to_owned();
        if self.0.contains_key(&name) || built_in_names().any(|known| known == name) {
            return Err(CatalogueError::Duplicate { name });
        }
        self.0.insert(name, Box::new(family));
        Ok(())
    }

    /// Adds the built-in families that `config` names, and the bad ones called `adversarial`.
    ///
    /// # Errors
    ///
    /// Fails at a name that no family has.
    pub fn select(&mut self, karn: &Karn) -> Result<(), CatalogueError> {
        let Karn { catalogue: names, adversarial, .. } = karn;
        for name in names {
            let is_asked_for = |family: &str| family == name;
            let mut is_known = self.0.contains_key(name);
            for family in FAMILIES {
                if name == ALL || is_asked_for(family.name) {
                    is_known = true;
                    self.0.insert(family.name.to_owned(), Box::new(family));
                }
            }
            for control in CONTROLS.into_iter().filter(|control| is_asked_for(control.name)) {
                is_known = true;
                self.0.insert(control.name.to_owned(), Box::new(control));
            }
            if !is_known {
                return Err(self.unknown(name, built_in_names().collect()));
            }
        }
        for name in adversarial {
            let family = adversarial_family(name)
                .ok_or_else(|| self.unknown(name, Karn::ADVERSARIAL.to_vec()))?;
            self.0.insert(name.clone(), Box::new(family));
        }
        Ok(())
    }

    fn unknown<'a>(&'a self, name: &str, mut known: Vec<&'a str>) -> CatalogueError {
        known.extend(self.0.keys().map(String::as_str));
        known.sort_unstable();
        known.dedup();
        let nearest = nearest(name, known.iter().copied());
        CatalogueError::Unknown {
            name: name.to_owned(),
            nearest: nearest.map(str::to_owned),
            known: known.join(", "),
        }
    }
}

/// Why a catalogue could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// No family of that name.
    #[error("no blueprint is called `{name}`{}; there are {known}", after_sentence(nearest.as_deref()))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest name there is, if one is near.
        nearest: Option<String>,
        /// Every name there is.
        known: String,
    },
    /// Two families share a name.
    #[error("two blueprints are called `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
}

/// What Karn adds to [`Engine`].
pub trait KarnExt {
    /// Adds a family of your own to the catalogue. The run draws from it whatever the scenario lists.
    ///
    /// # Errors
    ///
    /// Fails when its name is taken.
    fn add_blueprint(&mut self, family: impl BlueprintFamily) -> Result<&mut Self, BuildError>;
}

impl KarnExt for Engine {
    fn add_blueprint(&mut self, family: impl BlueprintFamily) -> Result<&mut Self, BuildError> {
        let mut catalogue = self.world_mut().get_resource_or_init::<Catalogue>();
        catalogue.add(family).map_err(|error| BuildError::plugin("karn", error))?;
        Ok(self)
    }
}
