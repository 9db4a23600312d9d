//! What a command writes: text, JSON, or errors alone.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use clap::Args;
use esper::prelude::ProgressMode;
use serde::Serialize;

use super::failure::Failure;

/// What a command that trains writes.
#[derive(Args, Clone, Copy)]
pub struct OutputArgs {
    /// One JSON object a line on standard output, and nothing else there.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Write nothing but errors.
    #[arg(long)]
    quiet: bool,
}

impl OutputArgs {
    /// What was asked for.
    pub const fn output(self) -> Output {
        if self.quiet { Output::Quiet } else { Output::new(self.json) }
    }
}

/// What a command writes, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text: results on standard output, the rest on standard error.
    Text,
    /// One JSON object a line on standard output.
    Json,
    /// Errors on standard error.
    Quiet,
}

impl Output {
    /// JSON or text.
    pub const fn new(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::Text }
    }

    /// How a run shows its progress.
    pub fn progress(self) -> ProgressMode {
        match self {
            Self::Text if io::stderr().is_terminal() => ProgressMode::Bar,
            Self::Text => ProgressMode::Plain,
            Self::Json => ProgressMode::Json,
            Self::Quiet => ProgressMode::Quiet,
        }
    }

    /// Prints what happened on the way: an object of `kind`, or `text` on standard error.
    pub fn print_event(self, kind: &'static str, event: &impl Serialize, text: impl Display) {
        match self {
            Self::Text => write_error_line(text),
            Self::Json => write_object(kind, event),
            Self::Quiet => (),
        }
    }

    /// Prints a sentence about something the user may want to know.
    pub fn print_note(self, text: &str) {
        #[derive(Serialize)]
        struct Note<'a> {
            text: &'a str,
        }
        self.print_event("note", &Note { text }, text);
    }

    /// Prints what was asked for: an object of `kind`, or `text` on standard output.
    pub fn print_result(self, kind: &'static str, result: &impl Serialize, text: impl Display) {
        match self {
            Self::Text => write_line(text),
            Self::Json => write_object(kind, result),
            Self::Quiet => (),
        }
    }

    /// As [`Output::print_result`], of text that has its own line breaks.
    pub fn print_table(self, kind: &'static str, result: &impl Serialize, text: &str) {
        match self {
            Self::Text => write_text(text),
            Self::Json => write_object(kind, result),
            Self::Quiet => (),
        }
    }

    /// Prints why the command failed: always on standard error, and in JSON as an object too.
    pub fn print_error(self, failure: &Failure) {
        if self == Self::Json {
            write_object("error", failure);
        }
        write_error_line(failure.render(io::stderr().is_terminal()));
    }
}

// A reader that has gone away is no reason to fail, let alone to panic as `println!` does.

fn write_line(text: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn write_text(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn write_error_line(text: impl Display) {
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
