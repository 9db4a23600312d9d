//! Sections: what one is, and how it is handled whatever its type.

use std::{any::Any, fmt, marker::PhantomData};

use super::{
    file::{Content, Entries, Findings, Node, Origin},
    keys::{Keys, Reader, Table, entries_of, help_elsewhere, names_of, value_of},
    rules::Rules,
    value::Value,
};

/// A section of a scenario: `[name]` and its keys. What is not written keeps the value it has in `Default`.
///
/// ```
/// use esper_engine::scenario::{Key, Keys, Override, Section, Sections};
///
/// /// `[census]`: how often heads are counted.
/// #[derive(Clone, Debug, Default, PartialEq)]
/// struct Census {
///     /// Epochs from one count to the next, 1 to 1000; 0 by default: never.
///     every_epochs: u64,
/// }
///
/// impl Section for Census {
///     const NAME: &'static str = "census";
///
///     fn keys(&mut self, keys: &mut impl Keys) {
///         keys.key("every_epochs", &mut self.every_epochs, 1..=1000);
///     }
/// }
///
/// const CENSUS: Key<Census> = Key::new();
///
/// let mut sections = Sections::default();
/// sections.add::<Census>();
/// let scenario = sections.parse("[census]\nevery_epochs = 3", "a.toml", &[])?;
/// assert_eq!(scenario[CENSUS].every_epochs, 3);
/// let error = sections.parse("[census]\nevery = 3", "a.toml", &[]).unwrap_err();
/// assert!(error.to_string().starts_with("a.toml:2:1: census.every: there is no such key"));
/// # Ok::<(), esper_engine::scenario::ScenarioError>(())
/// ```
pub trait Section: Clone + fmt::Debug + Default + PartialEq + Send + Sync + 'static {
    /// What stands between the brackets.
    const NAME: &'static str;

    /// Shows every key, with its rule, to `keys`.
    fn keys(&mut self, keys: &mut impl Keys);

    /// The section as each of its kinds, with the words that choose it; none where all have the
    /// same keys. A key that the kind at hand lacks is looked for in the others.
    fn kinds() -> Vec<(&'static str, Self)> {
        Vec::new()
    }

    /// Checks what no key of the section can tell alone.
    fn check(&self, _rules: &mut Rules<'_, '_>) {}

    /// The section of a file of that name in which nothing is written.
    fn of_file(_name: &str) -> Self {
        Self::default()
    }
}

/// Names the section `S` of a scenario: `scenario[KEY]`.
pub struct Key<S>(PhantomData<fn() -> S>);

impl<S: Section> Key<S> {
    /// The key of `S`.
    #[expect(clippy::new_without_default, reason = "a key is a constant")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<S> Clone for Key<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Key<S> {}

impl<S: Section> Table for S {
    fn keys(&mut self, keys: &mut impl Keys) {
        Section::keys(self, keys);
    }

    fn kinds() -> Vec<(&'static str, Self)> {
        <S as Section>::kinds()
    }
}

/// A [`Section`] of any type.
pub(super) trait AnySection: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;
    /// The names of its keys, those of all kinds.
    fn key_names(&self) -> Vec<&'static str>;
    fn of_file(&self, name: &str) -> Box<dyn AnySection>;
    fn read(&mut self, node: &Node, key_origin: &Origin, found: &mut Findings<'_>);
    fn read_nothing(&mut self, origin: &Origin, found: &mut Findings<'_>);
    fn check(&self, rules: &mut Rules<'_, '_>);
    fn entries(&self) -> Entries;
    /// Every key with its value as it is written, empty where it is left out.
    fn listed(&self) -> Vec<(&'static str, String)>;
    fn value(&self, key: &str) -> Option<Box<dyn Any>>;
    fn equals(&self, other: &dyn AnySection) -> bool;
    /// Whether the other is of the same type.
    fn is_like(&self, other: &dyn AnySection) -> bool;
    fn boxed(&self) -> Box<dyn AnySection>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<S: Section> AnySection for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn key_names(&self) -> Vec<&'static str> {
        let mut names = names_of(self);
        names.extend(<S as Section>::kinds().iter().flat_map(|(_, kind)| names_of(kind)));
        names
    }

    fn of_file(&self, name: &str) -> Box<dyn AnySection> {
        Box::new(<S as Section>::of_file(name))
    }

    fn read(&mut self, node: &Node, key_origin: &Origin, found: &mut Findings<'_>) {
        Value::read(self, node, key_origin, &(), "", found);
    }

    fn read_nothing(&mut self, origin: &Origin, found: &mut Findings<'_>) {
        Reader::read(self, (S::NAME, origin, &Entries::default()), found);
    }

    fn check(&self, rules: &mut Rules<'_, '_>) {
        Section::check(self, rules);
    }

    fn entries(&self) -> Entries {
        entries_of(self, S::NAME)
    }

    fn listed(&self) -> Vec<(&'static str, String)> {
        let entries = entries_of(self, S::NAME);
        let written = |name| entries.get(name).map(|(_, node)| node.content.toml());
        let names = names_of(self).into_iter();
        names.map(|name| (name, written(name).unwrap_or_default())).collect()
    }

    fn value(&self, key: &str) -> Option<Box<dyn Any>> {
        value_of(self, key)
    }

    fn equals(&self, other: &dyn AnySection) -> bool {
        other.as_any().downcast_ref::<S>() == Some(self)
    }

    fn is_like(&self, other: &dyn AnySection) -> bool {
        other.as_any().is::<S>()
    }

    fn boxed(&self) -> Box<dyn AnySection> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Clone for Box<dyn AnySection> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

/// Reads every section of `file` into `scenario`, and refuses what is none.
pub(super) fn read_sections(
    root: &Node,
    sections: &mut [Box<dyn AnySection>],
    found: &mut Findings<'_>,
) {
    let Content::Table(entries) = &root.content else {
        unreachable!("a TOML document is a table");
    };
    for section in sections.iter_mut() {
        match entries.get(section.name()) {
            Some((key_origin, node)) => section.read(node, key_origin, found),
            None => section.read_nothing(&root.origin, found),
        }
    }
    let known: Vec<&str> = sections.iter().map(|it| it.name()).collect();
    for (name, origin, node) in entries.iter().filter(|it| !known.contains(&it.0)) {
        let message = "there is no such section".to_owned();
        let help = help_elsewhere(name, "", "sections", &known, found);
        found.refuse(&node.path, origin, message, help);
    }
}
