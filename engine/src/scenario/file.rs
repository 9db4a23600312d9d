//! A scenario as written: every value still knows where it stands.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use esper_nn::suggest::clip;

use super::{
    error::{Place, Problem, ScenarioError},
    overrides::{Override, is_name},
};

/// Longest scenario that is read, in bytes.
const LEN_MAX_BYTES: usize = 1 << 20;

/// Most problems that are kept; a reader of messages stops sooner.
const PROBLEMS_MAX: usize = 100;

/// A scenario as written, with overrides put in: TOML whose keys and values know their places.
///
/// It is untyped. A derived deserializer stops at the first unknown key or wrong type, and needs
/// every key declared twice; each section names its keys once instead (`keys.rs`), for reading and
/// for writing, so that everything that is wrong is reported at once.
#[derive(Clone, Debug)]
pub struct ScenarioFile {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) root: Node,
    pub(super) override_keys: Vec<String>,
}

/// A value, its full path and where it was written.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) path: String,
    pub(super) origin: Origin,
    pub(super) content: Content,
}

/// Where a value was written.
#[derive(Clone, Debug)]
pub enum Origin {
    /// In the text, at these bytes.
    Text(Range<usize>),
    /// In the override of this number.
    Override(usize),
    /// Nowhere: it was made in Rust.
    Made,
}

/// What a value is. Integers are wide enough that those no key takes are still told apart by sign.
#[derive(Clone, Debug)]
pub enum Content {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// A real number.
    Real(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A date or a time, which no key takes.
    Date,
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Entries),
}

/// The values of a table by key, each with the place of its key, in the order they were put in.
#[derive(Clone, Debug, Default)]
pub struct Entries(Vec<(String, Origin, Node)>);

impl Entries {
    pub(super) fn get(&self, name: &str) -> Option<(&Origin, &Node)> {
        self.iter().find(|it| it.0 == name).map(|(_, origin, node)| (origin, node))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Origin, &Node)> {
        self.0.iter().map(|(name, origin, node)| (name.as_str(), origin, node))
    }

    pub(super) fn push(&mut self, name: String, origin: Origin, node: Node) {
        self.0.push((name, origin, node));
    }

    /// `key = value`, each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.iter().map(|(name, _, node)| format!("{name} = {}", node.content.toml())).collect()
    }

    /// The value of `name`; one that is absent is put in as `fresh` says.
    fn entry(&mut self, name: &str, fresh: impl FnOnce() -> (Origin, Node)) -> &mut Node {
        let at = self.0.iter().position(|it| it.0 == name).unwrap_or_else(|| {
            let (origin, node) = fresh();
            self.push(name.to_owned(), origin, node);
            self.0.len() - 1
        });
        &mut self.0[at].2
    }
}

/// The problems found so far in a file.
#[derive(Debug)]
pub struct Findings<'a> {
    file: &'a ScenarioFile,
    /// The sections there can be, each with the names of its keys.
    known: Vec<(&'static str, Vec<&'static str>)>,
    problems: Vec<Problem>,
}

impl ScenarioFile {
    /// Reads TOML. `name` is the file's, for messages.
    ///
    /// # Errors
    ///
    /// Fails when the text is not TOML or is longer than 1 MiB.
    pub fn parse(text: &str, name: &str) -> Result<Self, ScenarioError> {
        let refuse = |message: &str, help: &str, span: Range<usize>| Problem {
            key: String::new(),
            message: message.to_owned(),
            help: Some(help.to_owned()),
            place: Place::in_text(text, span),
        };
        if LEN_MAX_BYTES < text.len() {
            let message = format!("is {} bytes long; a scenario has at most 1 MiB", text.len());
            let problem = refuse(&message, "is it the right file?", 0..0);
            return Err(ScenarioError { file: name.to_owned(), problems: vec![problem] });
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problems = errors.iter().take(PROBLEMS_MAX).map(|error| {
                let span = error.span().unwrap_or(0..0);
                refuse(error.message(), help_with_syntax(error.message()), span)
            });
            return Err(ScenarioError { file: name.to_owned(), problems: problems.collect() });
        }
        let content = Content::Table(written_table("", table.get_ref()));
        let root = Node { path: String::new(), origin: Origin::Text(0..0), content };
        let (name, text) = (name.to_owned(), text.to_owned());
        Ok(Self { name, text, root, override_keys: Vec::new() })
    }

    /// A scenario that was made in Rust, with these sections.
    pub(super) fn made(sections: Entries) -> Self {
        let root = Node::made(String::new(), Content::Table(sections));
        Self { name: String::new(), text: String::new(), root, override_keys: Vec::new() }
    }

    /// Puts an override in the place of what the file says.
    ///
    /// # Errors
    ///
    /// Fails when the key is not a path of names, or runs through a value that is not a table.
    pub fn set(&mut self, item: &Override) -> Result<(), ScenarioError> {
        let origin = Origin::Override(self.override_keys.len());
        self.override_keys.push(item.key.clone());
        let refuse = |message: String, help: &str| ScenarioError {
            file: self.name.clone(),
            problems: vec![Problem {
                key: String::new(),
                message,
                help: Some(help.to_owned()),
                place: Place::Override { key: item.key.clone() },
            }],
        };
        if !item.key.split('.').all(is_name) {
            let message = format!("`{}` is not a key's path", clip(&item.key));
            return Err(refuse(message, "for example `run.epochs`"));
        }
        let mut node = &mut self.root;
        for part in item.key.split('.') {
            let path = join(&node.path, part);
            let (found, described) = (node.path.clone(), node.describe());
            let Content::Table(table) = &mut node.content else {
                let message = format!("`{found}` is {described}, not a table");
                return Err(refuse(message, &format!("set `{found}` itself")));
            };
            let empty = Content::Table(Entries::default());
            let fresh = || (origin.clone(), Node { path, origin: origin.clone(), content: empty });
            node = table.entry(part, fresh);
        }
        *node = set_node(node.path.clone(), &item.value, &origin);
        Ok(())
    }

    /// Everything about `key` that only comes to light once data and plugins are there, as an error at the place where
    /// the key, or the nearest table around it, was written.
    pub fn refuse(&self, key: &str, message: String, help: Option<String>) -> ScenarioError {
        let place = self.place(self.origin(key).0);
        let problem = Problem { key: key.to_owned(), message, help, place };
        ScenarioError { file: self.name.clone(), problems: vec![problem] }
    }

    /// The text as it was given to [`parse`](Self::parse): what [`Place::Text`] points into.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn place(&self, origin: &Origin) -> Place {
        match origin {
            Origin::Text(span) => Place::in_text(&self.text, span.clone()),
            Origin::Override(index) => Place::Override { key: self.override_keys[*index].clone() },
            Origin::Made => Place::Made,
        }
    }

    /// Where the value at `path` was written, or where the nearest table around it was.
    pub(super) fn origin(&self, path: &str) -> (&Origin, bool) {
        locate(&self.root, &self.root.origin, path)
    }
}

impl<'a> Findings<'a> {
    pub(super) fn new(
        file: &'a ScenarioFile,
        known: Vec<(&'static str, Vec<&'static str>)>,
    ) -> Self {
        Self { file, known, problems: Vec::new() }
    }

    /// The sections other than `path` that have a key `name`, or are called so.
    pub(super) fn sections_with(&self, name: &str, path: &str) -> Vec<String> {
        let others = self.known.iter().filter(|it| it.0 != path);
        let found = others.filter(|it| it.0 == name || it.1.contains(&name));
        found.map(|it| format!("`[{}]`", it.0)).collect()
    }

    /// Adds a problem with the key at `path`.
    pub(super) fn refuse(
        &mut self,
        path: &str,
        origin: &Origin,
        message: String,
        help: impl Into<String>,
    ) {
        if PROBLEMS_MAX <= self.problems.len() {
            return;
        }
        let place = self.file.place(origin);
        let (key, help) = (path.to_owned(), Some(help.into()));
        self.problems.push(Problem { key, message, help, place });
    }

    /// Whether the value at `path`, or one within it, has a problem.
    pub(super) fn touch(&self, path: &str) -> bool {
        self.problems.iter().any(|it| leads_to(path, &it.key) || leads_to(&it.key, path))
    }

    pub(super) fn file(&self) -> &'a ScenarioFile {
        self.file
    }

    /// Whether nothing was found.
    pub(super) fn finish(mut self) -> Result<(), ScenarioError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|it| it.place.order());
        Err(ScenarioError { file: self.file.name.clone(), problems: self.problems })
    }
}

impl Content {
    /// The value as TOML on the right of `=`.
    pub(super) fn toml(&self) -> String {
        match self {
            Self::Text(text) => toml::Value::from(text.as_str()).to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Real(number) if number.is_nan() => "nan".to_owned(),
            Self::Real(number) => format!("{number:?}"),
            Self::Flag(flag) => flag.to_string(),
            Self::Date => unreachable!("no key holds a date"),
            Self::List(nodes) => {
                let items: Vec<String> = nodes.iter().map(|it| it.content.toml()).collect();
                if nodes.iter().any(|it| matches!(it.content, Self::Table(_))) {
                    return format!("[\n    {},\n]", items.join(",\n    "));
                }
                format!("[{}]", items.join(", "))
            }
            Self::Table(entries) => format!("{{ {} }}", entries.lines().join(", ")),
        }
    }
}

impl Node {
    /// A value that was made in Rust.
    pub(super) const fn made(path: String, content: Content) -> Self {
        Self { path, origin: Origin::Made, content }
    }

    /// The value in words, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.content {
            Content::Text(text) => format!("the string \"{}\"", clip(text)),
            Content::Integer(number) => format!("the whole number {number}"),
            Content::Real(number) => format!("the number {number:?}"),
            Content::Flag(flag) => format!("{flag}"),
            Content::Date => "a date".to_owned(),
            Content::List(_) => "an array".to_owned(),
            Content::Table(_) => "a table".to_owned(),
        }
    }

    /// The last part of the path, as it is written within its table.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

/// The path of `name` within the table at `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether `path` is `outer` or lies within it.
fn leads_to(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn locate<'a>(node: &'a Node, origin: &'a Origin, path: &str) -> (&'a Origin, bool) {
    if node.path == path {
        return (origin, true);
    }
    let inside = match &node.content {
        Content::Table(table) => {
            let mut entries = table.iter();
            entries.find(|it| leads_to(&it.2.path, path)).map(|(_, key_origin, it)| {
                let is_table = matches!(it.content, Content::Table(_));
                (it, if is_table { key_origin } else { &it.origin })
            })
        }
        Content::List(items) => {
            items.iter().find(|it| leads_to(&it.path, path)).map(|it| (it, &it.origin))
        }
        _ => None,
    };
    match inside {
        Some((node, origin)) => locate(node, origin, path),
        None => (origin, false),
    }
}

fn written_table(path: &str, table: &DeTable<'_>) -> Entries {
    let mut written = Entries::default();
    for (key, value) in table {
        let name: &str = key.get_ref();
        let node = written_node(join(path, &clip(name)), value);
        written.push(name.to_owned(), Origin::Text(key.span()), node);
    }
    written
}

fn written_node(path: String, value: &toml::Spanned<DeValue<'_>>) -> Node {
    let content = match value.get_ref() {
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Integer(number) => {
            let too_wide = if number.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
            let wide = i128::from_str_radix(number.as_str(), number.radix());
            Content::Integer(wide.unwrap_or(too_wide))
        }
        DeValue::Float(number) => Content::Real(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Content::Flag(*flag),
        DeValue::Datetime(_) => Content::Date,
        DeValue::Array(items) => {
            let item = |(index, it)| written_node(format!("{path}[{index}]"), it);
            Content::List(items.iter().enumerate().map(item).collect())
        }
        DeValue::Table(table) => Content::Table(written_table(&path, table)),
    };
    Node { path, origin: Origin::Text(value.span()), content }
}

fn set_node(path: String, value: &toml::Value, origin: &Origin) -> Node {
    let content = match value {
        toml::Value::String(text) => Content::Text(text.clone()),
        toml::Value::Integer(number) => Content::Integer(i128::from(*number)),
        toml::Value::Float(number) => Content::Real(*number),
        toml::Value::Boolean(flag) => Content::Flag(*flag),
        toml::Value::Datetime(_) => Content::Date,
        toml::Value::Array(items) => {
            let item = |(index, it)| set_node(format!("{path}[{index}]"), it, origin);
            Content::List(items.iter().enumerate().map(item).collect())
        }
        toml::Value::Table(table) => {
            let mut entries = Entries::default();
            for (name, it) in table {
                let node = set_node(join(&path, &clip(name)), it, origin);
                entries.push(name.clone(), origin.clone(), node);
            }
            Content::Table(entries)
        }
    };
    Node { path, origin: origin.clone(), content }
}

/// What is most often meant where the TOML parser gives up.
fn help_with_syntax(message: &str) -> &'static str {
    let known = [
        ("duplicate key", "remove one of the two"),
        ("unclosed table", "a section's header is `[name]`"),
        ("unclosed array", "an array ends in `]`"),
        ("unclosed inline table", "an inline table ends in `}`"),
        ("string values must be quoted", "for example `policy = \"off\"`"),
        ("invalid basic string", "a string ends as it began, with `\"`"),
        ("invalid literal string", "a string ends as it began, with `'`"),
        ("invalid mantissa", "a number begins with a digit, for example `0.5`"),
        ("invalid unquoted key", "a key is made of letters, digits, `_` and `-`"),
        ("key with no value", "write `key = value`"),
        ("invalid key-value pair", "write `key = value`, or `[section]`"),
    ];
    let help = known.iter().find(|(part, _)| message.contains(part)).map(|&(_, help)| help);
    help.unwrap_or("a scenario is TOML 1.1, see https://toml.io")
}
