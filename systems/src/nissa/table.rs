//! Text in columns.

/// `rows` under `header`, each column as wide as its widest cell and two spaces apart; numbers to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let is_number = |column: usize| {
        let mut cells = rows.iter().map(|row| row[column].as_str()).filter(|cell| *cell != "-");
        cells.all(|cell| cell.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c)))
    };
    let columns: Vec<(usize, bool)> =
        (0..header.len()).map(|column| (width(column), is_number(column))).collect();
    let mut text = String::new();
    let mut push = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, (width, is_number)) in cells.zip(&columns) {
            let cell =
                if *is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push(&mut header.iter().copied());
    rows.iter().for_each(|row| push(&mut row.iter().map(String::as_str)));
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let rows =
            [["seed0", "9", "é"], ["s", "100", "-"]].map(|row| row.map(str::to_owned).to_vec());
        let text = super::table(&["seed", "n", "why"], &rows);
        assert_eq!(text, "seed     n  why\nseed0    9  é\ns      100  -\n");
    }
}
