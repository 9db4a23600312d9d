//! The settings of an op as people write them: visited once, to read or to write them.

use std::collections::BTreeMap;

use crate::{
    suggest::clip,
    tensor::{ELEMS_MAX, Init, Shape},
};

/// Kernels, strides and paddings are at most this: far above any real one, and products stay far from overflow.
const EXTENT_MAX: usize = 4_096;

/// Extents a shape has at most.
const RANK_MAX: usize = 3;

/// Visits the settings of an op, to read or to write them.
pub trait Keys {
    /// A setting without a default.
    fn required<S: Setting>(&mut self, key: &'static str, setting: &mut S);

    /// A setting that is `default` where it is left out.
    fn optional<S: Setting>(&mut self, key: &'static str, setting: &mut S, default: S);
}

/// What a key can hold.
pub trait Setting: Clone + PartialEq {
    /// What is right, in words.
    const EXPECTED: &'static str;

    /// The value, if it is one.
    fn read(value: &Value) -> Option<Self>;

    /// The value as TOML on the right of `=`.
    fn write(&self) -> String;
}

/// A value and where its key, or where there is none the value itself, was written.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its line, from 1, where lines are known.
    pub line: Option<usize>,
    /// What it is.
    pub content: Content,
}

/// What a value is. Integers are wide enough that those too large for any key are told apart by sign.
#[derive(Clone, Debug)]
pub enum Content {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Real(f64),
    /// True or false.
    Flag(bool),
    /// A list.
    List(Vec<Value>),
    /// Values by key.
    Table(Table),
    /// A date in TOML, `null` in JSON.
    Other,
}

/// Values by key.
pub type Table = BTreeMap<String, Value>;

impl Value {
    /// The value in words, for messages.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Text(text) => format!("the string \"{}\"", clip(text)),
            Content::Integer(number) => number.to_string(),
            Content::Real(number) => format!("{number:?}"),
            Content::Flag(flag) => flag.to_string(),
            Content::List(items) => format!("a list of {}", items.len()),
            Content::Table(_) => "a table".to_owned(),
            Content::Other => "a date or nothing".to_owned(),
        }
    }
}

/// The one of `all` that is called what `value` says.
pub fn read_word<T: Copy>(value: &Value, all: &[T], word: fn(T) -> &'static str) -> Option<T> {
    let Content::Text(text) = &value.content else { return None };
    all.iter().copied().find(|it| word(*it) == text)
}

impl Setting for usize {
    const EXPECTED: &'static str = "a whole number, at most 16,777,216";

    fn read(value: &Value) -> Option<Self> {
        let Content::Integer(number) = value.content else { return None };
        Self::try_from(number).ok().filter(|number| *number <= ELEMS_MAX)
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for [usize; 2] {
    const EXPECTED: &'static str = "a whole number or a pair [vertical, horizontal], at most 4,096";

    fn read(value: &Value) -> Option<Self> {
        let pair = match &value.content {
            Content::List(items) => match items.as_slice() {
                [vertical, horizontal] => [usize::read(vertical)?, usize::read(horizontal)?],
                _ => return None,
            },
            _ => [usize::read(value)?; 2],
        };
        pair.iter().all(|extent| *extent <= EXTENT_MAX).then_some(pair)
    }

    fn write(&self) -> String {
        let [vertical, horizontal] = self;
        if vertical == horizontal { vertical.to_string() } else { format!("{self:?}") }
    }
}

impl Setting for Shape {
    const EXPECTED: &'static str = "a list of one to three whole numbers, at most 16,777,216";

    fn read(value: &Value) -> Option<Self> {
        let Content::List(items) = &value.content else { return None };
        let is_shape = (1..=RANK_MAX).contains(&items.len());
        is_shape.then(|| items.iter().map(usize::read).collect())?
    }

    fn write(&self) -> String {
        format!("{self:?}")
    }
}

impl Setting for f32 {
    const EXPECTED: &'static str = "a number";

    fn read(value: &Value) -> Option<Self> {
        let number = match value.content {
            Content::Integer(number) => number as Self,
            Content::Real(number) => number as Self,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// The fewest digits that give the same bits back.
    fn write(&self) -> String {
        let short = format!("{self:?}");
        let back = short.parse::<f64>().map(|number| number as Self);
        if back == Ok(*self) { short } else { format!("{:?}", f64::from(*self)) }
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Value) -> Option<Self> {
        if let Content::Flag(flag) = value.content { Some(flag) } else { None }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a string";

    fn read(value: &Value) -> Option<Self> {
        if let Content::Text(text) = &value.content { Some(text.clone()) } else { None }
    }

    fn write(&self) -> String {
        toml::Value::from(self.as_str()).to_string()
    }
}

impl Setting for Init {
    const EXPECTED: &'static str =
        "\"fan_in\", { normal = 0.02 }, { uniform = 0.1 } or { constant = 0 }";

    fn read(value: &Value) -> Option<Self> {
        match &value.content {
            Content::Text(text) => (text == "fan_in").then_some(Self::FanIn),
            Content::Table(table) => read_init(table),
            _ => None,
        }
    }

    fn write(&self) -> String {
        match self {
            Self::FanIn => "\"fan_in\"".to_owned(),
            Self::Normal(deviation) => format!("{{ normal = {} }}", deviation.write()),
            Self::Uniform(bound) => format!("{{ uniform = {} }}", bound.write()),
            Self::Constant(value) => format!("{{ constant = {} }}", value.write()),
        }
    }
}

fn read_init(table: &Table) -> Option<Init> {
    let mut entries = table.iter();
    let ((key, value), None) = (entries.next()?, entries.next()) else { return None };
    let number = f32::read(value)?;
    match key.as_str() {
        "normal" if 0.0 <= number => Some(Init::Normal(number)),
        "uniform" if 0.0 <= number => Some(Init::Uniform(number)),
        "constant" => Some(Init::Constant(number)),
        _ => None,
    }
}
