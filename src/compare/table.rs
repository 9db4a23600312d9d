//! Aligned columns.

/// Between two columns.
const SPACE: &str = "  ";

/// A table: words to the left, numbers to the right.
pub struct Table {
    headers: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

/// Where the content of a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

impl Table {
    pub fn new(headers: &[(&'static str, Align)]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells that are missing at its end are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines of the table, without space at their ends.
    pub fn to_text(&self) -> String {
        let cell = |row: &[String], at: usize| row.get(at).map_or("", String::as_str).to_owned();
        let widths: Vec<usize> = (0..self.headers.len())
            .map(|at| {
                let cells = self.rows.iter().map(|row| cell(row, at).chars().count());
                cells.chain([self.headers[at].0.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let headers: Vec<String> =
            self.headers.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&headers).chain(&self.rows) {
            let cells: Vec<String> = widths
                .iter()
                .zip(&self.headers)
                .enumerate()
                .map(|(at, (&width, (_, align)))| match align {
                    Align::Left => format!("{:<width$}", cell(row, at)),
                    Align::Right => format!("{:>width$}", cell(row, at)),
                })
                .collect();
            text.push_str(cells.join(SPACE).trim_end());
            text.push('\n');
        }
        text
    }
}

/// `text` in lines of at most `width_chars`, broken at spaces; lines after the first begin with `indent`.
pub fn wrapped(text: &str, width_chars: usize, indent: &str) -> String {
    let (mut lines, mut len) = (String::new(), 0);
    for word in text.split(' ') {
        let word_len = word.chars().count();
        if len > 0 && len + 1 + word_len > width_chars {
            lines.push('\n');
            lines.push_str(indent);
            len = indent.chars().count();
        } else if len > 0 {
            lines.push(' ');
            len += 1;
        }
        lines.push_str(word);
        len += word_len;
    }
    lines.push('\n');
    lines
}
