//! A problem of a text file as a terminal shows it: the lines it is about, with a mark under the place.

use std::{env, fmt::Write, ops::Range};

/// Columns after which a hint goes on in the next line.
const HINT_COLUMNS: usize = 80;
/// Columns a tab takes.
const TAB_COLUMNS: usize = 4;

/// Whether terminals show colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// By the escape sequences of ECMA-48.
    Ansi,
    /// Plain text.
    None,
}

impl Colors {
    /// What the environment asks for: see <https://no-color.org>.
    pub fn of_terminal() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_set("NO_COLOR") || is_dumb { Self::None } else { Self::Ansi }
    }

    /// `text` in the style of a sequence's parameters.
    fn paint(self, style: &str, text: &str) -> String {
        match self {
            Self::Ansi => format!("\x1b[{style}m{text}\x1b[0m"),
            Self::None => text.to_owned(),
        }
    }
}

/// Parameters of ECMA-48, 8.3.117, "select graphic rendition".
mod style {
    pub const RED: &str = "31";
    pub const CYAN: &str = "36";
    pub const BOLD_CYAN_LINK: &str = "36;1;4";
    pub const BOLD_MAGENTA: &str = "35;1";
    pub const FAINT: &str = "2";
}

/// The lines of a file that a problem is about.
pub struct Excerpt<'a> {
    /// The file's name.
    pub file: &'a str,
    /// All of it.
    pub text: &'a str,
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// The bytes that are marked.
    pub span: Range<usize>,
}

/// What is wrong, where, and what to do; no newline at the end.
pub fn told_with_help(
    message: &str,
    excerpt: Option<&Excerpt<'_>>,
    help: Option<&str>,
    colors: Colors,
) -> String {
    let mut told = format!("  {} {message}", colors.paint(style::RED, "×"));
    if let Some(excerpt) = excerpt {
        told.push('\n');
        told.push_str(&excerpt.render(colors));
    }
    if let Some(help) = help {
        const HEADING: &str = "  help: ";
        let lines = wrapped(help, HINT_COLUMNS - HEADING.len());
        let indent = format!("\n{}", " ".repeat(HEADING.len()));
        let heading = colors.paint(style::CYAN, HEADING);
        let _ = write!(told, "\n{heading}{}", lines.join(&indent));
    }
    told
}

impl Excerpt<'_> {
    /// The line before, the line with a mark, and the line after, where they are.
    fn render(&self, colors: Colors) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        let shown = self.line.saturating_sub(1).max(1)..=(self.line + 1).min(lines.len());
        let digits = shown.end().max(&self.line).to_string().len();
        let margin = " ".repeat(digits);
        let place = format!("{}:{}:{}", self.file, self.line, self.column);
        let place = colors.paint(style::BOLD_CYAN_LINK, &place);
        let mut out = format!(" {margin} ╭─[{place}]");
        for number in shown {
            let source = with_spaces(lines[number - 1]);
            let label = colors.paint(style::FAINT, &format!("{number:digits$}"));
            let _ = write!(out, "\n {label} │ {source}");
            if number == self.line {
                for mark in self.mark(lines[number - 1]) {
                    let mark = colors.paint(style::BOLD_MAGENTA, &mark);
                    let _ = write!(out, "\n {margin} · {mark}");
                }
            }
        }
        let _ = write!(out, "\n {margin} ╰────");
        out
    }

    /// A rule under the marked part of `line`, and what points to it.
    fn mark(&self, line: &str) -> [String; 2] {
        let before: String = line.chars().take(self.column - 1).collect();
        let rest = &line[before.len()..];
        // What goes on in further lines is marked to the end of the first.
        let marked: String = rest
            .char_indices()
            .take_while(|(at, _)| *at < self.span.len())
            .map(|it| it.1)
            .collect();
        let from = with_spaces(&before).chars().count();
        let len = with_spaces(&marked).chars().count().max(1);
        let (left, right) = (len / 2, len - len / 2 - 1);
        let indent = " ".repeat(from);
        let rule = format!("{indent}{}┬{}", "─".repeat(left), "─".repeat(right));
        [rule, format!("{indent}{}╰── here", " ".repeat(left))]
    }
}

/// `line` with spaces for tabs.
fn with_spaces(line: &str) -> String {
    line.replace('\t', &" ".repeat(TAB_COLUMNS))
}

/// `text` in lines of at most so many characters, or of one longer word.
fn wrapped(text: &str, n_columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let len = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && n_columns < len {
                lines.push(core::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[run]\nepocs = 2\n\tname = \"ä\"\nlist = [\n  1,\n]";

    #[track_caller]
    fn assert_shown(line: usize, column: usize, span: Range<usize>, expected: &str) {
        let excerpt = Excerpt { file: "bad.toml", text: TEXT, line, column, span };
        assert_eq!(excerpt.render(Colors::None), expected);
    }

    #[test]
    fn the_place_is_marked_between_the_lines_before_and_after() {
        assert_shown(
            2,
            1,
            6..11,
            "   ╭─[bad.toml:2:1]\n 1 │ [run]\n 2 │ epocs = 2\n   · ──┬──\n   ·   ╰── here\n \
             3 │     name = \"ä\"\n   ╰────",
        );
        assert_shown(
            1,
            2,
            1..4,
            "   ╭─[bad.toml:1:2]\n 1 │ [run]\n   ·  ─┬─\n   ·   ╰── here\n 2 │ epocs = 2\n   ╰────",
        );
    }

    #[test]
    fn tabs_and_letters_of_several_bytes_are_marked_where_they_are_shown() {
        assert_shown(
            3,
            9,
            24..28,
            "   ╭─[bad.toml:3:9]\n 2 │ epocs = 2\n 3 │     name = \"ä\"\n   ·            ─┬─\n   \
             ·             ╰── here\n 4 │ list = [\n   ╰────",
        );
    }

    #[test]
    fn what_has_several_lines_is_marked_to_the_end_of_the_first_and_what_has_no_length_at_its_place()
     {
        assert_shown(
            4,
            8,
            36..44,
            "   ╭─[bad.toml:4:8]\n 3 │     name = \"ä\"\n 4 │ list = [\n   ·        ┬\n   ·        \
             ╰── here\n 5 │   1,\n   ╰────",
        );
        assert_shown(
            6,
            2,
            45..45,
            "   ╭─[bad.toml:6:2]\n 5 │   1,\n 6 │ ]\n   ·  ┬\n   ·  ╰── here\n   ╰────",
        );
    }

    #[test]
    fn a_hint_goes_on_under_its_beginning() {
        let help = format!("did you mean `epochs`?{}", " `name`,".repeat(9));
        let told = told_with_help("run.epocs: no such key", None, Some(&help), Colors::None);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "  × run.epocs: no such key");
        assert!(lines[1].starts_with("  help: did you mean") && lines[1].len() <= HINT_COLUMNS);
        assert_eq!(lines[2], "        `name`, `name`, `name`,");
    }

    #[test]
    fn colours_are_sequences_around_the_same_text() {
        let shown = |colors| told_with_help("message", None, Some("what to do"), colors);
        assert_eq!(
            shown(Colors::Ansi),
            "  \x1b[31m×\x1b[0m message\n\x1b[36m  help: \x1b[0mwhat to do"
        );
        assert_eq!(shown(Colors::None), "  × message\n  help: what to do");
    }
}
