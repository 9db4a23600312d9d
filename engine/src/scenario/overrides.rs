//! Keys set from outside the file, as by `--set a.b=v`.

use esper_nn::suggest::clip;

use super::error::{Place, Problem, ScenarioError};

/// A key set from outside the file; it takes the place of what the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The key's full path, such as `train.optimizer.lr`.
    pub key: String,
    /// Its value.
    pub value: toml::Value,
}

impl Override {
    /// Reads `key=value`. The value is TOML; a bare word, which TOML does not have, is a string.
    ///
    /// # Errors
    ///
    /// Fails when there is no `=`, when the key is not a path of names with dots between them, or
    /// when the value opens a string, an array or a table and does not end it.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let (key, value) = (key.trim(), value.trim());
        let refuse = |message: String, help: &str| ScenarioError {
            file: "--set".to_owned(),
            problems: vec![Problem {
                key: String::new(),
                message,
                help: Some(help.to_owned()),
                place: Place::Override { key: clip(text) },
            }],
        };
        if !key.split('.').all(is_name) {
            return Err(refuse(
                format!("`{}` is not a key's path", clip(key)),
                "for example `--set run.epochs=5`",
            ));
        }
        if value.is_empty() {
            return Err(refuse(
                "has no value".to_owned(),
                "write `key=value`, for example `--set run.epochs=5`; an empty string is `\"\"`",
            ));
        }
        let value = match value.parse::<toml::Value>() {
            // No key takes a date, and a name may look like one.
            Ok(toml::Value::Datetime(date)) => toml::Value::String(date.to_string()),
            Ok(value) => value,
            Err(error) if value.starts_with(['[', '{', '"', '\'']) => {
                return Err(refuse(
                    format!("`{}` is not a TOML value: {}", clip(value), error.message()),
                    "for example `--set host.layers=[64,8,10]`",
                ));
            }
            Err(_) => toml::Value::String(value.to_owned()),
        };
        Ok(Self { key: key.to_owned(), value })
    }
}

/// Whether `part` may stand between the dots of a path.
pub(super) fn is_name(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
}
