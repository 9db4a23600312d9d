//! Why a command failed, and how that is printed.

use std::{error::Error, fmt::Display};

use esper::{
    RunError,
    engine::run_dir::{FileError, RunDirError},
    scenario::{Place, Problem, ScenarioError, ScenarioFile},
};
use serde::Serialize;

use super::excerpt::{Colors, Excerpt, told_with_help};

/// What the user wrote is at fault.
const USAGE: u8 = 2;
/// What was asked for could not be done.
const FAILED: u8 = 1;
/// Where Rust programs end that panic.
const BUG: u8 = 101;

/// Why a command did not do what it was asked to.
#[derive(Serialize, Debug)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// What went wrong, on one line or several.
    pub message: String,
    /// What is wrong with the scenario, where it is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<ScenarioError>,
    /// The scenario's text.
    #[serde(skip)]
    text: String,
}

impl Failure {
    /// What the user wrote is at fault.
    pub fn usage(message: impl Display) -> Self {
        Self { status: USAGE, ..Self::failed(message) }
    }

    /// What was asked for could not be done.
    pub fn failed(message: impl Display) -> Self {
        let message = message.to_string();
        Self { status: FAILED, message, scenario: None, text: String::new() }
    }

    /// Esper itself is at fault.
    pub fn bug(message: impl Display) -> Self {
        Self { status: BUG, ..Self::failed(message) }
    }

    /// A signal stopped it, with the exit status `status` that says which.
    pub fn stopped(status: u8, message: impl Display) -> Self {
        Self { status, ..Self::failed(message) }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Display) -> Self {
        self.message = format!("{}\n  help: {help}", self.message);
        self
    }

    /// The scenario `text` is not sound.
    pub fn scenario(error: ScenarioError, text: &str) -> Self {
        let message = error.to_string();
        Self { status: USAGE, message, scenario: Some(error), text: text.to_owned() }
    }

    /// A run of `file` could not begin or go on; what a key asks for and can not be had is reported at that key.
    pub fn run(error: RunError, file: &ScenarioFile) -> Self {
        let Some(key) = error.scenario_key() else { return error.into() };
        let (message, help) = match &error {
            RunError::Unfit { message, help, .. } => (message.clone(), Some(help.clone())),
            RunError::Build(error) => {
                let source = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                (source, None)
            }
            error => (error.to_string(), None),
        };
        Self::scenario(file.refuse(key, message, help), file.text())
    }

    /// The failure as people read it: with the source's lines if `is_for_terminal`.
    pub fn render(&self, is_for_terminal: bool) -> String {
        match &self.scenario {
            Some(error) if is_for_terminal => {
                let colors = Colors::of_terminal();
                let reports: Vec<String> =
                    error.problems.iter().map(|it| self.report(&error.file, it, colors)).collect();
                reports.join("\n")
            }
            Some(_) => self.message.clone(),
            None => format!("error: {}", self.message),
        }
    }

    /// A problem with the lines it is about.
    fn report(&self, file: &str, problem: &Problem, colors: Colors) -> String {
        let Problem { key, message, help, place } = problem;
        let (excerpt, heading) = match place {
            Place::Text { line, column, span } => {
                let (text, span) = (self.text.as_str(), span.clone());
                let excerpt = Excerpt { file, text, line: *line, column: *column, span };
                (Some(excerpt), String::new())
            }
            Place::Override { key } => (None, format!("--set {key}: ")),
            Place::Made => (None, String::new()),
        };
        let heading = if key.is_empty() { heading } else { format!("{heading}{key}: ") };
        told_with_help(&format!("{heading}{message}"), excerpt.as_ref(), help.as_deref(), colors)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Scenario(error) => Self::scenario(error, ""),
            RunError::Dir(error) => error.into(),
            error if error.is_usage() => Self::usage(error),
            error => Self::failed(error),
        }
    }
}

impl From<RunDirError> for Failure {
    fn from(error: RunDirError) -> Self {
        use std::io::ErrorKind::{AlreadyExists, NotFound};
        match &error {
            RunDirError::Name { .. } => Self::usage(error),
            RunDirError::File(FileError { source, .. })
                if matches!(source.kind(), AlreadyExists | NotFound) =>
            {
                Self::usage(error)
            }
            _ => Self::failed(error),
        }
    }
}
