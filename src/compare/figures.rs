//! Numbers as people read them, at most seven characters wide but for rare exponents.

use esper_stats::Interval;

/// A score.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0.0000".to_owned(),
        it if it < 0.000_5 => format!("{value:.1e}"),
        it if it < 10.0 => format!("{value:.4}"),
        it if it < 1000.0 => format!("{value:.2}"),
        _ => format!("{value:.2e}"),
    }
}

/// A difference of scores.
pub fn signed(value: f64) -> String {
    let sign = if value >= 0.0 { "+" } else { "" };
    // Zero has a sign of its own.
    format!("{sign}{}", figure(if value == 0.0 { 0.0 } else { value }))
}

/// A difference and its interval.
pub fn signed_within(value: f64, interval: Option<Interval>) -> String {
    let ends = interval
        .map(|it| format!(" [{}, {}]", signed(it.low), signed(it.high)))
        .unwrap_or_default();
    signed(value) + &ends
}

/// A share and its interval.
pub fn share_within(value: f64, interval: Option<Interval>) -> String {
    let ends = interval.map(|it| format!(" [{:.2}, {:.2}]", it.low, it.high)).unwrap_or_default();
    format!("{value:.2}{ends}")
}

/// A p-value.
pub fn p_value(value: f64) -> String {
    if value < 0.000_1 { "<0.0001".to_owned() } else { format!("{value:.4}") }
}

/// A mean of counts.
pub fn count(value: f64) -> String {
    if value < 1e7 { format!("{value:.0}") } else { format!("{value:.3e}") }
}

/// `part` of `whole` in percent.
pub fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1}", 100.0 * part / whole) } else { "-".to_owned() }
}

/// A setting without the rounding that arithmetic left in it.
pub fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}
