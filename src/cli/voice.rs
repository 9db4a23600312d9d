//! How the command speaks: to people, in JSON, or not at all.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use clap::Args;
use esper::prelude::ProgressMode;
use serde::Serialize;

use super::failure::Failure;

/// How a command that trains speaks.
#[derive(Args, Clone, Copy)]
pub struct Output {
    /// One JSON object a line on standard output, and nothing else there.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Say nothing but errors.
    #[arg(long)]
    quiet: bool,
}

impl Output {
    /// What was asked for.
    pub const fn voice(self) -> Voice {
        if self.quiet { Voice::Quiet } else { Voice::new(self.json) }
    }
}

/// Whom the command speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// People: results on standard output, the rest on standard error.
    People,
    /// Programs: one JSON object a line on standard output.
    Json,
    /// Nobody; errors are still told.
    Quiet,
}

impl Voice {
    /// JSON or people.
    pub const fn new(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::People }
    }

    /// How a run in this voice shows its progress.
    pub fn progress(self) -> ProgressMode {
        match self {
            Self::People if io::stderr().is_terminal() => ProgressMode::Bar,
            Self::People => ProgressMode::Plain,
            Self::Json => ProgressMode::Json,
            Self::Quiet => ProgressMode::Quiet,
        }
    }

    /// Says what happened on the way: an object of `kind`, or `text` on standard error.
    pub fn note(self, kind: &'static str, event: &impl Serialize, text: impl Display) {
        match self {
            Self::People => complain(text),
            Self::Json => write_object(kind, event),
            Self::Quiet => (),
        }
    }

    /// Says what was asked for: an object of `kind`, or `text` on standard output.
    pub fn answer(self, kind: &'static str, result: &impl Serialize, text: impl Display) {
        match self {
            Self::People => write_line(text),
            Self::Json => write_object(kind, result),
            Self::Quiet => (),
        }
    }

    /// Says why the command failed: always on standard error, and in JSON as an object too.
    pub fn fail(self, failure: &Failure) {
        if self == Self::Json {
            write_object("error", failure);
        }
        complain(failure.render(io::stderr().is_terminal()));
    }
}

// A reader that has gone away is no reason to fail, let alone to panic as `println!` does.

fn write_line(text: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn write_object(kind: &'static str, value: &impl Serialize) {
    #[derive(Serialize)]
    struct Object<'a, T: Serialize> {
        kind: &'static str,
        #[serde(flatten)]
        value: &'a T,
    }
    let text = serde_json::to_string(&Object { kind, value }).expect("plain data serialises");
    write_line(text);
}
