//! A row of the table.

use std::fmt;

/// A figure and, where there is one, its budget.
pub struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    budget: Option<Budget>,
}

enum Budget {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    /// What the columns are.
    pub const HEADER: &str =
        "what                                                        measured          budget";

    /// A figure that should not be above `budget`.
    pub fn at_most(
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        budget: f64,
    ) -> Self {
        Self { what: what.into(), measured, unit, budget: Some(Budget::AtMost(budget)) }
    }

    /// A figure that should not be below `budget`.
    pub fn at_least(
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        budget: f64,
    ) -> Self {
        Self { what: what.into(), measured, unit, budget: Some(Budget::AtLeast(budget)) }
    }

    /// A figure without a budget, that explains another.
    pub fn shown(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), measured, unit, budget: None }
    }

    /// Whether the budget is met, where there is one.
    pub fn is_met(&self) -> Option<bool> {
        self.budget.as_ref().map(|budget| match budget {
            Budget::AtMost(most) => self.measured <= *most,
            Budget::AtLeast(least) => *least <= self.measured,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: f64| match value.abs() {
            it if it >= 1000.0 => format!("{value:.0}"),
            it if it >= 10.0 => format!("{value:.1}"),
            _ => format!("{value:.3}"),
        };
        let unit = self.unit;
        write!(f, "{:<54} {:>9} {unit:<10}", self.what, number(self.measured))?;
        let Some(budget) = &self.budget else { return Ok(()) };
        let (sign, limit) = match budget {
            Budget::AtMost(most) => ("<=", most),
            Budget::AtLeast(least) => (">=", least),
        };
        let verdict = if self.is_met() == Some(true) { "met" } else { "MISSED" };
        write!(f, "{sign} {:>7} {unit:<10} {verdict}", number(*limit))
    }
}
