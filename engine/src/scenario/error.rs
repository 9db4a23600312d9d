//! What is wrong with a scenario, where, and what to write instead.

use std::{fmt, ops::Range};

use serde::Serialize;

/// A scenario that can not be run, and everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ScenarioError {
    /// The file's name, as it was given to [`Sections::parse`](super::Sections::parse); empty where there was none.
    pub file: String,
    /// What is wrong, one or more, in the order of the file; overrides come last.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key's full path, such as `train.optimizer.lr`; empty where the text is not TOML.
    pub key: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
    /// Where it was written.
    pub place: Place,
}

/// Where a problem was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the scenario's text.
    Text {
        /// The line, from 1.
        line: usize,
        /// The character within the line, from 1.
        column: usize,
        /// The bytes of the text, for underlining.
        span: Range<usize>,
    },
    /// In the override of this key.
    Override {
        /// The override's key, as written.
        key: String,
    },
    /// Nowhere: the scenario was made in Rust.
    Made,
}

impl Place {
    /// The place of `span` in `text`.
    pub(super) fn in_text(text: &str, span: Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&it| it != '\n').count() + 1;
        Self::Text { line, column, span }
    }

    /// Sorts by position in the text, with overrides last.
    pub(super) fn order(&self) -> usize {
        match self {
            Self::Text { span, .. } => span.start,
            Self::Override { .. } | Self::Made => usize::MAX,
        }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if 0 < index {
                f.write_str("\n")?;
            }
            match &problem.place {
                Place::Text { line, column, .. } => write!(f, "{}:{line}:{column}: ", self.file)?,
                Place::Override { key } => write!(f, "--set {key}: ")?,
                Place::Made => {}
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl From<std::convert::Infallible> for ScenarioError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
