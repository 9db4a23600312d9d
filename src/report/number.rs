//! How numbers are written for people.

/// A whole number in groups of three: `17,186`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Four significant digits: `0.07850`, `12.35`.
pub(super) fn figures(value: f64) -> String {
    digits(value, 4)
}

/// `n` significant digits, in the form of powers of ten where there are many zeros.
fn digits(value: f64, n: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "not finite".to_owned() };
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..7.0).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = f64::from(n - 1) - magnitude;
    format!("{value:.*}", decimals.clamp(0.0, 7.0) as usize)
}

/// Three significant digits and the sign: `+0.0582`.
pub(super) fn signed(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", digits(value, 3))
}

/// A mean with its interval, in the decimals of three significant digits of the largest; an end that is not finite is no
/// bound: `+0.0582 [+0.0299, +0.0865]`.
pub(super) fn interval(low: f64, mean: f64, high: f64) -> String {
    let finite = [low, mean, high].into_iter().filter(|it| it.is_finite());
    let largest = finite.map(f64::abs).fold(0.0, f64::max);
    let decimals =
        if largest > 0.0 { (2.0 - largest.log10().floor()).clamp(0.0, 9.0) } else { 2.0 };
    let text = |it: f64| {
        let sign = if it > 0.0 { "+" } else { "" };
        if it.is_finite() {
            format!("{sign}{it:.*}", decimals as usize)
        } else {
            "no bound".to_owned()
        }
    };
    format!("{} [{}, {}]", text(mean), text(low), text(high))
}

/// A share in percent: `95.8 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// With a prefix of the SI: `9.77 G`, and `1 G` where it is whole.
pub(super) fn si(value: f64) -> String {
    let (scaled, prefix) = scaled(value);
    if scaled == scaled.round() { format!("{scaled:.0}{prefix}") } else { three(scaled) + prefix }
}

/// Floating-point operations: `9.77 GFLOP`.
pub(super) fn flops(n: u64) -> String {
    match scaled(n as f64) {
        (_, "") => format!("{n} FLOP"),
        (scaled, prefix) => three(scaled) + prefix + "FLOP",
    }
}

/// The value in thousands, millions, ... and their prefix.
fn scaled(value: f64) -> (f64, &'static str) {
    const PREFIXES: [(f64, &str); 6] =
        [(1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let prefix = PREFIXES.iter().find(|(size, _)| value.abs() >= *size);
    prefix.map_or((value, ""), |(size, name)| (value / size, *name))
}

/// Three digits of a value below a thousand.
fn three(value: f64) -> String {
    let decimals = match value.abs() {
        it if it >= 100.0 => 0,
        it if it >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// A time: `0.27 s`, `3 min 12 s`, `2 h 5 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.2} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `one`, or a count and `many`: `1 seed`, `3 seeds`.
pub(super) fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(n as u64), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_plain() {
        assert_eq!([count(7), count(610), count(17_186)], ["7", "610", "17,186"]);
        assert_eq!([figures(0.0785), figures(12.3456), figures(0.0)], ["0.07850", "12.35", "0"]);
        assert_eq!([signed(0.5), signed(-0.5)], ["+0.500", "-0.500"]);
        assert_eq!(interval(-0.00002, 0.0001, 0.0123), "+0.0001 [-0.0000, +0.0123]");
        assert_eq!(interval(f64::NEG_INFINITY, -2.0, 3.5), "-2.00 [no bound, +3.50]");
        assert_eq!([flops(12), flops(9_770_000_000)], ["12 FLOP", "9.77 GFLOP"]);
        assert_eq!([flops(7_000_000_000), si(7e9), si(1.5e7)], ["7.00 GFLOP", "7 G", "15 M"]);
        assert_eq!(
            [duration(0.27), duration(192.0), duration(7500.0)],
            ["0.27 s", "3 min 12 s", "2 h 5 min"]
        );
    }
}
