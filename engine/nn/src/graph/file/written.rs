//! A graph file as written, read into values that know their lines.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::{GraphFileError, error::GraphFilePlace};
use crate::{
    settings::{Content, Table, Value},
    suggest::clip,
};

/// Reads TOML.
///
/// # Errors
///
/// Says where the text stops being TOML.
pub(super) fn parse_toml(text: &str) -> Result<Value, GraphFileError> {
    let lines = Lines::of(text);
    match DeTable::parse(text) {
        Ok(table) => {
            let content = Content::Table(lines.table(table.get_ref()));
            Ok(Value { line: None, content })
        }
        Err(error) => {
            let line = error.span().map(|span| lines.at(span.start));
            let message = error.message().to_owned();
            Err(GraphFileError::Syntax { at: GraphFilePlace { line, node: None }, message })
        }
    }
}

/// Reads JSON.
///
/// # Errors
///
/// Says where the text stops being JSON, or where a table has a key twice.
pub(super) fn parse_json(text: &str) -> Result<Value, GraphFileError> {
    serde_json::from_str(text).map_err(|error| {
        let at = GraphFilePlace { line: (0 < error.line()).then_some(error.line()), node: None };
        let full = error.to_string();
        let message = full.split(" at line ").next().unwrap_or_default().to_owned();
        GraphFileError::Syntax { at, message }
    })
}

/// Where the lines of a text end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(place, _)| place).collect())
    }

    /// The line of a byte, from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|end| *end < byte) + 1
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let value = |it: &toml::Spanned<DeValue<'_>>, at: usize| Value {
            line: Some(self.at(at)),
            content: self.content(it.get_ref()),
        };
        table
            .iter()
            .map(|(key, it)| (key.get_ref().to_string(), value(it, key.span().start)))
            .collect()
    }

    fn content(&self, value: &DeValue<'_>) -> Content {
        match value {
            DeValue::String(text) => Content::Text(text.to_string()),
            DeValue::Integer(number) => {
                let too_wide = if number.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
                let wide = i128::from_str_radix(number.as_str(), number.radix());
                Content::Integer(wide.unwrap_or(too_wide))
            }
            DeValue::Float(number) => Content::Real(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Content::Flag(*flag),
            DeValue::Datetime(_) => Content::Other,
            DeValue::Array(items) => {
                let item = |it: &toml::Spanned<DeValue<'_>>| Value {
                    line: Some(self.at(it.span().start)),
                    content: self.content(it.get_ref()),
                };
                Content::List(items.iter().map(item).collect())
            }
            DeValue::Table(table) => Content::Table(self.table(table)),
        }
    }
}

/// From JSON, whose reader keeps no lines.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let content = deserializer.deserialize_any(JsonVisitor)?;
        Ok(Self { line: None, content })
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Content, E> {
        Ok(Content::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Integer(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Content, E> {
        Ok(Content::Real(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut table = Table::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            if table.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key `{}`", clip(&key))));
            }
            table.insert(key, value);
        }
        Ok(Content::Table(table))
    }
}
