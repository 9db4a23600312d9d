//! The keys of a section, named once: for reading, for writing and for messages.

use esper_nn::{suggest::did_you_mean, word::Word};

use super::{
    file::{Content, Findings, Node, Origin, Table, join},
    value::Value,
};

/// A table of a scenario. What is not written keeps the value it has in `Default`.
pub(crate) trait Section: Clone + 'static {
    /// Shows every key, with its rule, to `keys`.
    fn keys(&mut self, keys: &mut impl Keys);

    /// The section as each of its kinds, with the words that choose it; none where all have the same
    /// keys. A key that the kind at hand lacks is looked for in the others.
    fn kinds() -> Vec<(&'static str, Self)> {
        Vec::new()
    }
}

/// Something that goes over the keys of a section.
pub(crate) trait Keys {
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

    /// A section of its own.
    fn section<S: Section>(&mut self, name: &'static str, slot: &mut S) {
        self.key(name, slot, ());
    }
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// It was left out.
    No,
    /// It was written, and its value is good.
    Yes,
    /// It was written, and something is wrong with its value.
    Wrong,
}

/// Reads a table of a file into a section.
pub(crate) struct Reader<'a, 'f> {
    path: &'a str,
    origin: &'a Origin,
    table: &'a Table,
    known: Vec<&'static str>,
    is_kind_known: bool,
    n_wrong: usize,
    found: &'a mut Findings<'f>,
}

impl<'a, 'f> Reader<'a, 'f> {
    /// Reads the keys of `section` from `table`; whether all went well.
    pub(crate) fn read<S: Section>(
        section: &mut S,
        (path, origin, table): (&'a str, &'a Origin, &'a Table),
        found: &'a mut Findings<'f>,
    ) -> bool {
        let (known, is_kind_known, n_wrong) = (Vec::new(), true, 0);
        let mut reader = Self { path, origin, table, known, is_kind_known, n_wrong, found };
        section.keys(&mut reader);
        reader.refuse_unknown::<S>();
        reader.n_wrong == 0
    }

    /// Refuses every key of the table that the section did not name.
    fn refuse_unknown<S: Section>(&mut self) {
        if !self.is_kind_known {
            return; // Which keys there are is not known either.
        }
        for (name, (origin, node)) in self.table {
            if self.known.contains(&name.as_str()) {
                continue;
            }
            self.n_wrong += 1;
            let (message, what) = match self.path {
                "" => ("there is no such section".to_owned(), "sections".to_owned()),
                path => (format!("there is no such key in `{path}`"), format!("keys of `{path}`")),
            };
            let (kinds, sections) = (kinds_with::<S>(name), sections_with(name, self.path));
            let help = match (kinds.as_slice(), sections.as_slice()) {
                ([], []) => did_you_mean(name, &what, &self.known),
                ([], [section]) if *section == format!("`[{name}]`") => {
                    format!("{section} is a section of its own")
                }
                ([], elsewhere) => format!("`{name}` is a key of {}", elsewhere.join(", ")),
                (kinds, _) => {
                    format!("`{name}` is a key of {}, and this is another", kinds.join(" and "))
                }
            };
            self.found.refuse(&node.path, origin, message, help);
        }
    }
}

impl Keys for Reader<'_, '_> {
    fn key<T: Value>(&mut self, name: &'static str, slot: &mut T, rule: T::Rule) -> Given {
        self.known.push(name);
        if !self.is_kind_known {
            return Given::No; // Nor is what it would have to be.
        }
        let Some((key_origin, node)) = self.table.get(name) else {
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
        if self.is_kind_known && !self.table.contains_key(name) {
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
        if let Some((origin, node)) = self.table.get(name) {
            let message = format!("there is no such key in this `{}`", self.path);
            self.found.refuse(&node.path, origin, message, help);
            self.n_wrong += 1;
        }
    }
}

impl<S: Section> Value for S {
    type Rule = ();

    fn read(
        &mut self,
        node: &Node,
        key_origin: &Origin,
        (): &(),
        _help: &str,
        found: &mut Findings<'_>,
    ) -> bool {
        if let Content::Table(table) = &node.content {
            return Reader::read(self, (&node.path, key_origin, table), found);
        }
        let message = format!("must be a table, is {}", node.describe());
        let name = node.name();
        let help = format!("write `[{}]` with a key a line, or `{name} = {{ .. }}`", node.path);
        found.refuse(&node.path, &node.origin, message, help);
        false
    }

    fn read_nothing(&mut self, path: &str, origin: &Origin, found: &mut Findings<'_>) -> bool {
        Reader::read(self, (path, origin, &Table::new()), found)
    }

    fn write(&self) -> Option<String> {
        let mut writer = Writer::default();
        self.clone().keys(&mut writer);
        Some(format!("{{ {} }}", writer.lines.join(", ")))
    }

    fn example((): &()) -> String {
        "{ .. }".to_owned()
    }
}

/// Writes sections as TOML.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// `key = value`, or a section's header.
    pub(crate) lines: Vec<String>,
}

impl Keys for Writer {
    fn key<T: Value>(&mut self, name: &'static str, slot: &mut T, _rule: T::Rule) -> Given {
        self.lines.extend(slot.write().map(|value| format!("{name} = {value}")));
        Given::Yes
    }

    fn section<S: Section>(&mut self, name: &'static str, slot: &mut S) {
        let mut inner = Self::default();
        slot.keys(&mut inner);
        if !self.lines.is_empty() && !inner.lines.is_empty() {
            self.lines.push(String::new());
        }
        if !inner.lines.is_empty() {
            self.lines.push(format!("[{name}]"));
        }
        self.lines.append(&mut inner.lines);
    }
}

/// The kinds of a section that have a key `name`.
fn kinds_with<S: Section>(name: &str) -> Vec<&'static str> {
    let kinds = S::kinds().into_iter();
    let mut found: Vec<&'static str> = Vec::new();
    for (words, mut section) in kinds {
        let mut names = Names::default();
        section.keys(&mut names);
        // A kind that only adds to another goes without saying.
        let is_new = !found.iter().any(|it| words.starts_with(it));
        if is_new && names.0.contains(&name) {
            found.push(words);
        }
    }
    found
}

/// Collects the names of a section's keys.
#[derive(Default)]
struct Names(Vec<&'static str>);

impl Keys for Names {
    fn key<T: Value>(&mut self, name: &'static str, _slot: &mut T, _rule: T::Rule) -> Given {
        self.0.push(name);
        Given::Yes
    }
}

/// Collects the sections that have a key of some name, or that name itself.
struct Finder<'a> {
    name: &'a str,
    section: &'static str,
    found: Vec<String>,
}

impl Keys for Finder<'_> {
    fn key<T: Value>(&mut self, name: &'static str, _slot: &mut T, _rule: T::Rule) -> Given {
        if name == self.name {
            self.found.push(format!("`[{}]`", self.section));
        }
        Given::Yes
    }

    fn section<S: Section>(&mut self, name: &'static str, slot: &mut S) {
        if name == self.name {
            self.found.push(format!("`[{name}]`"));
        }
        self.section = name;
        slot.keys(self);
        S::kinds().iter_mut().for_each(|(_, kind)| kind.keys(self));
    }
}

/// The sections other than `path` that have a key `name`, or are called so.
fn sections_with(name: &str, path: &str) -> Vec<String> {
    let mut finder = Finder { name, section: "", found: Vec::new() };
    super::Scenario::default().keys(&mut finder);
    finder.found.retain(|it| it.trim_matches(['`', '[', ']']) != path);
    finder.found.dedup();
    finder.found
}

fn example<T: Value>(name: &str, slot: &T, rule: &T::Rule) -> String {
    format!("for example `{name} = {}`", slot.write().unwrap_or_else(|| T::example(rule)))
}
