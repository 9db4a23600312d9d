//! The keys of a table, named once: for reading, for writing and for messages.

use std::any::Any;

use esper_nn::{suggest::did_you_mean, word::Word};

use super::{
    file::{Content, Entries, Findings, Node, Origin, join},
    value::Value,
};

/// A table within a section. What is not written keeps the value it has in `Default`.
pub trait Table: Clone + 'static {
    /// Shows every key, with its rule, to `keys`.
    fn keys(&mut self, keys: &mut impl Keys);

    /// The table as each of its kinds, with the words that choose it; none where all have the same
    /// keys. A key that the kind at hand lacks is looked for in the others.
    fn kinds() -> Vec<(&'static str, Self)> {
        Vec::new()
    }
}

/// Something that goes over the keys of a table.
pub trait Keys {
    /// A key that may be left out.
    fn key<T: Value>(&mut self, name: &'static str, slot: &mut T, rule: T::Rule) -> Given;

    /// A key that must be written.
    fn required<T: Value>(&mut self, name: &'static str, slot: &mut T, rule: T::Rule) -> Given {
        self.key(name, slot, rule)
    }

    /// A key on which those after it depend, such as `kind`.
    fn kind<T: Value<Rule = ()> + Word>(&mut self, name: &'static str, slot: &mut T) {
        self.key(name, slot, ());
    }

    /// A key that other kinds have and this one can not, and what to do instead.
    fn absent(&mut self, _name: &'static str, _help: &'static str) {}
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It was left out.
    No,
    /// It was written, and its value is good.
    Yes,
    /// It was written, and something is wrong with its value.
    Wrong,
}

/// Reads a table of a file.
pub(super) struct Reader<'a, 'f> {
    path: &'a str,
    origin: &'a Origin,
    entries: &'a Entries,
    known: Vec<&'static str>,
    is_kind_known: bool,
    n_wrong: usize,
    found: &'a mut Findings<'f>,
}

impl<'a, 'f> Reader<'a, 'f> {
    /// Reads the keys of `table` from `entries`; whether all went well.
    pub(super) fn read<T: Table>(
        table: &mut T,
        (path, origin, entries): (&'a str, &'a Origin, &'a Entries),
        found: &'a mut Findings<'f>,
    ) -> bool {
        let (known, is_kind_known, n_wrong) = (Vec::new(), true, 0);
        let mut reader = Self { path, origin, entries, known, is_kind_known, n_wrong, found };
        table.keys(&mut reader);
        reader.refuse_unknown::<T>();
        reader.n_wrong == 0
    }

    /// Refuses every entry that the table did not name.
    fn refuse_unknown<T: Table>(&mut self) {
        if !self.is_kind_known {
            return; // Which keys there are is not known either.
        }
        for (name, origin, node) in self.entries.iter() {
            if self.known.contains(&name) {
                continue;
            }
            self.n_wrong += 1;
            let message = format!("there is no such key in `{}`", self.path);
            let kinds = kinds_with::<T>(name);
            let help = if kinds.is_empty() {
                let what = format!("keys of `{}`", self.path);
                help_elsewhere(name, self.path, &what, &self.known, self.found)
            } else {
                format!("`{name}` is a key of {}, and this is another", kinds.join(" and "))
            };
            self.found.refuse(&node.path, origin, message, help);
        }
    }
}

/// Where else there is a key or a section `name`; if nowhere, what is near of the `known`.
pub(super) fn help_elsewhere(
    name: &str,
    path: &str,
    what: &str,
    known: &[&str],
    found: &Findings<'_>,
) -> String {
    match found.sections_with(name, path).as_slice() {
        [] => did_you_mean(name, what, known),
        [section] if *section == format!("`[{name}]`") => {
            format!("{section} is a section of its own")
        }
        elsewhere => format!("`{name}` is a key of {}", elsewhere.join(", ")),
    }
}

impl Keys for Reader<'_, '_> {
    fn key<T: Value>(&mut self, name: &'static str, slot: &mut T, rule: T::Rule) -> Given {
        self.known.push(name);
        if !self.is_kind_known {
            return Given::No; // Nor is what it would have to be.
        }
        let Some((key_origin, node)) = self.entries.get(name) else {
            let path = join(self.path, name);
            if !slot.read_nothing(&path, self.origin, self.found) {
                self.n_wrong += 1;
            }
            return Given::No;
        };
        let help = example(name, slot, &rule);
        if slot.read(node, key_origin, &rule, &help, self.found) {
            return Given::Yes;
        }
        self.n_wrong += 1;
        Given::Wrong
    }

    fn required<T: Value>(&mut self, name: &'static str, slot: &mut T, rule: T::Rule) -> Given {
        if self.is_kind_known && self.entries.get(name).is_none() {
            let (path, help) = (join(self.path, name), example(name, slot, &rule));
            self.found.refuse(&path, self.origin, "is required".to_owned(), help);
            self.n_wrong += 1;
        }
        self.key(name, slot, rule)
    }

    fn kind<T: Value<Rule = ()> + Word>(&mut self, name: &'static str, slot: &mut T) {
        self.is_kind_known &= self.key(name, slot, ()) != Given::Wrong;
    }

    fn absent(&mut self, name: &'static str, help: &'static str) {
        self.known.push(name);
        if let Some((origin, node)) = self.entries.get(name) {
            let message = format!("there is no such key in this `{}`", self.path);
            self.found.refuse(&node.path, origin, message, help);
            self.n_wrong += 1;
        }
    }
}

impl<T: Table> Value for T {
    type Rule = ();

    fn read(
        &mut self,
        node: &Node,
        key_origin: &Origin,
        (): &(),
        _help: &str,
        found: &mut Findings<'_>,
    ) -> bool {
        if let Content::Table(entries) = &node.content {
            return Reader::read(self, (&node.path, key_origin, entries), found);
        }
        let message = format!("must be a table, is {}", node.describe());
        let name = node.name();
        let help = format!("write `[{}]` with a key a line, or `{name} = {{ .. }}`", node.path);
        found.refuse(&node.path, &node.origin, message, help);
        false
    }

    fn read_nothing(&mut self, path: &str, origin: &Origin, found: &mut Findings<'_>) -> bool {
        Reader::read(self, (path, origin, &Entries::default()), found)
    }

    fn content(&self, path: &str) -> Option<Content> {
        Some(Content::Table(entries_of(self, path)))
    }

    fn example((): &()) -> String {
        "{ .. }".to_owned()
    }
}

/// The keys of `table`, which stands at `path`, with their values.
pub(super) fn entries_of<T: Table>(table: &T, path: &str) -> Entries {
    let mut writer = Writer { path, entries: Entries::default() };
    table.clone().keys(&mut writer);
    writer.entries
}

struct Writer<'a> {
    path: &'a str,
    entries: Entries,
}

impl Keys for Writer<'_> {
    fn key<T: Value>(&mut self, name: &'static str, slot: &mut T, _rule: T::Rule) -> Given {
        let path = join(self.path, name);
        if let Some(content) = slot.content(&path) {
            self.entries.push(name.to_owned(), Origin::Made, Node::made(path, content));
        }
        Given::Yes
    }
}

/// The kinds of a table that have a key `name`.
fn kinds_with<T: Table>(name: &str) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for (words, kind) in T::kinds() {
        // A kind that only adds to another goes without saying.
        let is_new = !found.iter().any(|it| words.starts_with(it));
        if is_new && names_of(&kind).contains(&name) {
            found.push(words);
        }
    }
    found
}

/// The names of a table's keys.
pub(super) fn names_of<T: Table>(table: &T) -> Vec<&'static str> {
    let mut names = Names(Vec::new());
    table.clone().keys(&mut names);
    names.0
}

struct Names(Vec<&'static str>);

impl Keys for Names {
    fn key<T: Value>(&mut self, name: &'static str, _slot: &mut T, _rule: T::Rule) -> Given {
        self.0.push(name);
        Given::Yes
    }
}

/// The value of the key `name` of `table`, in a box that holds its type.
pub(super) fn value_of<T: Table>(table: &T, name: &str) -> Option<Box<dyn Any>> {
    let mut picker = Picker { name, found: None };
    table.clone().keys(&mut picker);
    picker.found
}

struct Picker<'a> {
    name: &'a str,
    found: Option<Box<dyn Any>>,
}

impl Keys for Picker<'_> {
    fn key<T: Value>(&mut self, name: &'static str, slot: &mut T, _rule: T::Rule) -> Given {
        if name == self.name {
            self.found = Some(Box::new(slot.clone()));
        }
        Given::Yes
    }
}

fn example<T: Value>(name: &str, slot: &T, rule: &T::Rule) -> String {
    let written = slot.content("").map(|content| content.toml());
    format!("for example `{name} = {}`", written.unwrap_or_else(|| T::example(rule)))
}
