//! A row of the table.

use std::fmt;

/// A line and, where it has a budget, whether it keeps it.
pub struct Row {
    line: String,
    is_met: Option<bool>,
}

impl Row {
    /// What the columns of figures with a unit are.
    pub const HEADER: &str = "what                                                                measured          budget";

    /// A figure that should not be above `budget`.
    pub fn at_most(
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        budget: f64,
    ) -> Self {
        let is_met = measured <= budget;
        let verdict = verdict("<=", budget, unit, is_met);
        Self { line: figure(what, measured, unit) + &verdict, is_met: Some(is_met) }
    }

    /// A figure that should not be below `budget`.
    pub fn at_least(
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        budget: f64,
    ) -> Self {
        let is_met = budget <= measured;
        let verdict = verdict(">=", budget, unit, is_met);
        Self { line: figure(what, measured, unit) + &verdict, is_met: Some(is_met) }
    }

    /// A figure without a budget, that explains another.
    pub fn shown(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self::plain(figure(what, measured, unit))
    }

    /// Cells of columns that a group has for itself, of which the last is a figure that should not be above `budget`.
    pub fn cells_at_most(cells: String, measured: f64, budget: f64) -> Self {
        let is_met = measured <= budget;
        let line = format!("{cells} {}", verdict("<=", budget, "x", is_met));
        Self { line, is_met: Some(is_met) }
    }

    /// Cells of columns that a group has for itself.
    pub fn plain(cells: String) -> Self {
        Self { line: cells, is_met: None }
    }

    /// Whether the budget is met, where there is one.
    pub fn is_met(&self) -> Option<bool> {
        self.is_met
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line.trim_end())
    }
}

fn figure(what: impl Into<String>, measured: f64, unit: &str) -> String {
    format!("{:<62} {:>9} {unit:<10}", what.into(), number(measured))
}

fn verdict(sign: &str, limit: f64, unit: &str, is_met: bool) -> String {
    let verdict = if is_met { "met" } else { "MISSED" };
    format!("{sign} {:>7} {unit:<10} {verdict}", number(limit))
}

fn number(value: f64) -> String {
    match value.abs() {
        it if it >= 1000.0 => format!("{value:.0}"),
        it if it >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
