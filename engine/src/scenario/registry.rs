//! The registry that plugins put their sections in, and scenarios made of them: as they are filled in, and as they are
//! once checked.

use std::{
    any::TypeId,
    fmt,
    ops::{Deref, Index, IndexMut},
    sync::Arc,
};

use bevy_ecs::prelude::Resource;

use super::{
    error::ScenarioError,
    file::{Content, Entries, Findings, Node, Origin, ScenarioFile},
    overrides::Override,
    rules::Rules,
    section::{AnySection, Key, Section, read_sections},
};

/// A rule across sections; it looks at those it finds.
pub type Check = fn(&Scenario, &mut Rules<'_, '_>);

/// The sections that a scenario can have, each brought by whoever reads it, and the rules across them.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    defaults: Vec<Box<dyn AnySection>>,
    checks: Vec<Check>,
}

impl Sections {
    /// Adds a section, once; it comes after those that are there.
    ///
    /// # Panics
    ///
    /// If another section has its name.
    pub fn add<S: Section>(&mut self) -> &mut Self {
        match self.defaults.iter().find(|it| it.name() == S::NAME) {
            Some(other) => {
                assert!(other.as_any().is::<S>(), "two sections are called [{}]", S::NAME)
            }
            None => self.defaults.push(Box::new(S::default())),
        }
        self
    }

    /// Adds the sections and the rules of another registry, as far as they are not there.
    ///
    /// # Panics
    ///
    /// If two different sections have one name.
    pub fn add_all(&mut self, others: &Self) -> &mut Self {
        for other in &others.defaults {
            let same = self.defaults.iter().find(|it| it.name() == other.name());
            match same {
                Some(it) => {
                    assert!(it.is_like(&**other), "two sections are called [{}]", it.name())
                }
                None => self.defaults.push(other.clone()),
            }
        }
        others.checks.iter().for_each(|check| _ = self.add_check(*check));
        self
    }

    /// Adds a rule across sections, once; it is checked after each section's own and after those that are there.
    pub fn add_check(&mut self, check: Check) -> &mut Self {
        if !self.checks.iter().any(|it| std::ptr::fn_addr_eq(*it, check)) {
            self.checks.push(check);
        }
        self
    }

    /// The names of the sections, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.defaults.iter().map(|it| it.name()).collect()
    }

    /// A scenario in which nothing is written, to be filled in Rust.
    pub fn scenario(&self) -> Scenario {
        Scenario { registry: Arc::new(self.clone()), sections: self.defaults.clone() }
    }

    /// Reads a scenario, puts `overrides` in the place of what it says, and resolves it. `name` is
    /// the file's, for messages and for what defaults to it.
    ///
    /// # Errors
    ///
    /// Fails when the text is not TOML, or when anything in it is unknown, of the wrong type, out of
    /// range or at odds with the rest. Everything that is wrong is reported, not only the first.
    pub fn parse(
        &self,
        text: &str,
        name: &str,
        overrides: &[Override],
    ) -> Result<Resolved, ScenarioError> {
        let mut file = ScenarioFile::parse(text, name)?;
        for item in overrides {
            file.set(item)?;
        }
        file.resolve(self)
    }

    /// The scenario of a file of that name in which nothing is written.
    fn of_file(&self, name: &str) -> Scenario {
        let sections = self.defaults.iter().map(|it| it.of_file(name)).collect();
        Scenario { registry: Arc::new(self.clone()), sections }
    }
}

/// A scenario: the sections that were registered, each with all its keys.
///
/// A section is found by its type, `scenario.section::<Kasmina>()`, or by its key, `scenario[KASMINA]`. In Rust keys are
/// set freely; [`resolve`](Self::resolve) tells whether they are in range.
#[derive(Clone)]
pub struct Scenario {
    registry: Arc<Sections>,
    sections: Vec<Box<dyn AnySection>>,
}

/// A scenario in which every key is in range and none is at odds with the rest.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct Resolved(Arc<Scenario>);

impl Scenario {
    /// The sections that it can have.
    pub fn registry(&self) -> &Sections {
        &self.registry
    }

    /// The section `S`, if it was registered.
    pub fn get<S: Section>(&self) -> Option<&S> {
        self.sections.iter().find_map(|it| it.as_any().downcast_ref())
    }

    /// A copy of the section `S`, or its defaults where it was not registered.
    pub fn or_default<S: Section>(&self) -> S {
        self.get().cloned().unwrap_or_default()
    }

    /// The section `S`.
    ///
    /// # Panics
    ///
    /// If it was not registered.
    pub fn section<S: Section>(&self) -> &S {
        self.get().unwrap_or_else(|| panic!("no plugin registered the section [{}]", S::NAME))
    }

    /// The section `S`, to be changed.
    ///
    /// # Panics
    ///
    /// If it was not registered.
    pub fn section_mut<S: Section>(&mut self) -> &mut S {
        let is_it = |it: &&mut Box<dyn AnySection>| it.as_any().type_id() == TypeId::of::<S>();
        let found = self.sections.iter_mut().find(is_it);
        let found = found.and_then(|it| it.as_any_mut().downcast_mut());
        found.unwrap_or_else(|| panic!("no plugin registered the section [{}]", S::NAME))
    }

    /// The value of the key at `path`, such as `run.epochs`: how a subsystem reads a key of another's section. `None`
    /// where there is no such section or key, or its value is of another type.
    pub fn value<T: 'static>(&self, path: &str) -> Option<T> {
        let (section, key) = path.split_once('.')?;
        let section = self.sections.iter().find(|it| it.name() == section)?;
        section.value(key)?.downcast().ok().map(|it| *it)
    }

    /// The string or word that is the value of the key at `path`, such as `tamiyo.policy`.
    pub fn text(&self, path: &str) -> Option<String> {
        let (section, key) = path.split_once('.')?;
        let section = self.sections.iter().find(|it| it.name() == section)?;
        match &section.entries().get(key)?.1.content {
            Content::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The path of every key with its value as TOML, empty where the key is left out, in order.
    pub fn keys(&self) -> Vec<(String, String)> {
        let of = |it: &Box<dyn AnySection>| {
            let section = it.name();
            let listed = it.listed().into_iter();
            listed.map(move |(key, value)| (format!("{section}.{key}"), value))
        };
        self.sections.iter().flat_map(of).collect()
    }

    /// The scenario as a file with every key written out, which resolves to this scenario.
    pub fn to_toml(&self) -> String {
        let of = |it: &Box<dyn AnySection>| {
            let lines = it.entries().lines();
            (!lines.is_empty()).then(|| format!("[{}]\n{}\n", it.name(), lines.join("\n")))
        };
        self.sections.iter().filter_map(of).collect::<Vec<_>>().join("\n")
    }

    /// This scenario, checked as a file would be that says the same.
    ///
    /// # Errors
    ///
    /// Fails with everything that is out of range or at odds.
    pub fn resolve(&self) -> Result<Resolved, ScenarioError> {
        let mut root = Entries::default();
        for section in &self.sections {
            let (name, table) = (section.name().to_owned(), Content::Table(section.entries()));
            root.push(name.clone(), Origin::Made, Node::made(name, table));
        }
        ScenarioFile::made(root).resolve(&self.registry)
    }

    /// The BLAKE3 hash of [`to_toml`](Self::to_toml): equal for equal scenarios.
    pub fn digest(&self) -> [u8; 32] {
        *blake3::hash(self.to_toml().as_bytes()).as_bytes()
    }
}

impl ScenarioFile {
    /// Gives every key of `sections` its value, and checks each alone and against the others.
    ///
    /// # Errors
    ///
    /// Fails with everything that is unknown, of the wrong type, out of range or at odds.
    pub fn resolve(&self, sections: &Sections) -> Result<Resolved, ScenarioError> {
        let mut scenario = sections.of_file(&self.name);
        let known = sections.defaults.iter().map(|it| (it.name(), it.key_names())).collect();
        let mut found = Findings::new(self, known);
        read_sections(&self.root, &mut scenario.sections, &mut found);
        let mut rules = Rules::new(&mut found);
        scenario.sections.iter().for_each(|it| it.check(&mut rules));
        sections.checks.iter().for_each(|check| check(&scenario, &mut rules));
        found.finish()?;
        Ok(Resolved(Arc::new(scenario)))
    }
}

/// A scenario without sections.
impl Default for Resolved {
    fn default() -> Self {
        Self(Arc::new(Sections::default().scenario()))
    }
}

impl Deref for Resolved {
    type Target = Scenario;

    fn deref(&self) -> &Scenario {
        &self.0
    }
}

impl TryFrom<Scenario> for Resolved {
    type Error = ScenarioError;

    fn try_from(scenario: Scenario) -> Result<Self, ScenarioError> {
        scenario.resolve()
    }
}

impl<S: Section> Index<Key<S>> for Scenario {
    type Output = S;

    fn index(&self, _key: Key<S>) -> &S {
        self.section()
    }
}

impl<S: Section> IndexMut<Key<S>> for Scenario {
    fn index_mut(&mut self, _key: Key<S>) -> &mut S {
        self.section_mut()
    }
}

impl PartialEq for Scenario {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.sections.iter().zip(&other.sections);
        self.sections.len() == other.sections.len()
            && pairs.into_iter().all(|(a, b)| a.equals(&**b))
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.sections).finish()
    }
}
