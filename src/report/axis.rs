//! Axes: from numbers to pixels, with ticks at round numbers.

use super::{
    canvas::{Anchor, Canvas},
    number,
};

/// A scale, linear or logarithmic, over a range of pixels.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from_px: f64,
    to_px: f64,
    is_log: bool,
    is_percent: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Over `values`, widened to round numbers, with about `n_ticks` of them. Values that are not finite do not count.
    pub(super) fn linear(
        values: impl IntoIterator<Item = f64>,
        (from_px, to_px): (f64, f64),
        n_ticks: usize,
    ) -> Self {
        let (mut low, mut high) = range(values).unwrap_or((0.0, 1.0));
        if low == high {
            let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - margin, high + margin);
        }
        let step = round_step((high - low) / n_ticks.max(1) as f64);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let n_steps = (last - first).clamp(1.0, 100.0) as u64;
        let ticks: Vec<f64> = (0..=n_steps).map(|n| (first + n as f64) * step).collect();
        Self {
            low: ticks[0],
            high: *ticks.last().expect("two at least"),
            from_px,
            to_px,
            is_log: false,
            is_percent: false,
            ticks,
        }
    }

    /// Over exactly `low` to `high`, with ticks inside.
    pub(super) fn exact((low, high): (f64, f64), px: (f64, f64), n_ticks: usize) -> Self {
        let mut axis = Self::linear([low, high], px, n_ticks);
        (axis.low, axis.high) = (low, if high > low { high } else { low + 1.0 });
        let (low, high) = (axis.low, axis.high);
        axis.ticks.retain(|tick| (low..=high).contains(tick));
        axis
    }

    /// Logarithmic, over values above zero.
    pub(super) fn log(
        values: impl IntoIterator<Item = f64>,
        px: (f64, f64),
        n_ticks: usize,
    ) -> Self {
        let above_zero = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) = range(above_zero).unwrap_or((1.0, 10.0));
        let (low, high) = (low / 1.08, high * 1.08);
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let within = |heads: &[f64]| -> Vec<f64> {
            let all =
                (first..=last).flat_map(|e| heads.iter().map(move |head| head * 10_f64.powi(e)));
            all.filter(|tick| (low..=high).contains(tick)).collect()
        };
        let mut choices =
            [[1.0].as_slice(), &[1.0, 3.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]]
                .map(within)
                .into_iter()
                .filter(|ticks| ticks.len() >= 2);
        let mut ticks = choices.next().unwrap_or_else(|| vec![low, high]);
        for choice in choices {
            if ticks.len() < n_ticks.min(3) && choice.len() <= n_ticks + 2 {
                ticks = choice;
            }
        }
        let every = ticks.len().div_ceil(n_ticks.max(2));
        let ticks = ticks.into_iter().step_by(every.max(1)).collect();
        Self { low, high, from_px: px.0, to_px: px.1, is_log: true, is_percent: false, ticks }
    }

    /// Linear, or logarithmic where all values are above zero and far apart.
    pub(super) fn fitting(values: &[f64], px: (f64, f64), n_ticks: usize) -> Self {
        match range(values.iter().copied()) {
            Some((low, high)) if low > 0.0 && high / low > 30.0 => {
                Self::log(values.iter().copied(), px, n_ticks)
            }
            _ => Self::linear(values.iter().copied(), px, n_ticks),
        }
    }

    /// With ticks in percent.
    pub(super) fn in_percent(mut self) -> Self {
        self.is_percent = true;
        self
    }

    /// Whether it is logarithmic.
    pub(super) fn is_log(&self) -> bool {
        self.is_log
    }

    /// Where it begins and ends, in numbers.
    pub(super) fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// The pixel of `value`; not finite where `value` is not, or has no logarithm.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from_px + share * (self.to_px - self.from_px)
    }

    /// As [`Axis::at`], at the nearer end where `value` is beyond it.
    pub(super) fn at_within(&self, value: f64) -> f64 {
        self.at(value.clamp(self.low, self.high))
    }

    /// Its ticks, each with its text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let scale = if self.is_percent { 100.0 } else { 1.0 };
        let ticks: Vec<f64> = self.ticks.iter().map(|tick| tick * scale).collect();
        let gap = ticks.windows(2).map(|it| (it[1] - it[0]).abs()).fold(f64::INFINITY, f64::min);
        let decimals = if gap.is_finite() {
            (-(gap * 1.001).log10().floor()).clamp(0.0, 8.0) as usize
        } else {
            2
        };
        // 0.25 needs a digit more than its power of ten has.
        let is_exact = |tick: f64, decimals: usize| {
            let scaled = tick * 10_f64.powi(decimals as i32);
            (scaled - scaled.round()).abs() < 1e-6
        };
        let decimals =
            if ticks.iter().all(|it| is_exact(*it, decimals)) { decimals } else { decimals + 1 };
        let text = |tick: f64| {
            if tick.abs() >= 1e6 {
                number::si(tick)
            } else if tick >= 1000.0 && tick.fract() == 0.0 {
                number::count(tick as u64)
            } else if self.is_log {
                let digits = (-tick.log10().floor()).clamp(0.0, 8.0) as usize;
                format!("{tick:.*}", if is_exact(tick, digits) { digits } else { digits + 1 })
            } else {
                // No `-0`.
                format!("{:.decimals$}", tick + 0.0)
            }
        };
        let unit = if self.is_percent { " %" } else { "" };
        let of = |(tick, scaled): (&f64, &f64)| (*tick, text(*scaled) + unit);
        self.ticks.iter().zip(&ticks).map(of).collect()
    }

    /// Draws it as an axis of x below a plot, with lines up to `top`.
    pub(super) fn draw_below(&self, canvas: &mut Canvas, top: f64, bottom: f64, name: &str) {
        for (tick, text) in self.ticks() {
            let x = self.at(tick);
            canvas.line((x, top), (x, bottom), "grid");
            canvas.text((x, bottom + 18.0), Anchor::Middle, "muted", &text);
        }
        canvas.line((self.from_px, bottom), (self.to_px, bottom), "axis");
        canvas.text(
            ((self.from_px + self.to_px) / 2.0, bottom + 36.0),
            Anchor::Middle,
            "muted",
            name,
        );
    }

    /// Draws it as an axis of y on the left of a plot, with lines to `right`.
    pub(super) fn draw_left(&self, canvas: &mut Canvas, left: f64, right: f64) {
        for (tick, text) in self.ticks() {
            let y = self.at(tick);
            canvas.line((left, y), (right, y), "grid");
            canvas.text((left - 8.0, y + 4.0), Anchor::End, "muted", &text);
        }
    }
}

/// The least and greatest of what is finite.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |found, value| {
        let (low, high) = found.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let head = [1.0, 2.0, 5.0, 10.0].into_iter().find(|head| head * power >= step * 0.999);
    head.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        let axis = Axis::linear([0.03, 0.97], (0.0, 100.0), 5);
        assert_eq!(texts(&axis), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!((axis.at(0.0), axis.at(1.0)), (0.0, 100.0));
        let axis = Axis::exact((0.0, 20.0), (0.0, 100.0), 4);
        assert_eq!(texts(&axis), ["0", "5", "10", "15", "20"]);
        let axis = Axis::linear([0.112, 0.157], (0.0, 100.0), 5).in_percent();
        assert_eq!(texts(&axis), ["11 %", "12 %", "13 %", "14 %", "15 %", "16 %"]);
        let axis = Axis::log([0.003, 2.0], (0.0, 100.0), 4);
        assert_eq!(texts(&axis), ["0.01", "0.1", "1"]);
    }

    #[test]
    fn an_axis_stands_on_nothing_at_all() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![3.0, 3.0], vec![f64::INFINITY]] {
            for axis in [
                Axis::linear(values.clone(), (0.0, 9.0), 4),
                Axis::log(values.clone(), (0.0, 9.0), 4),
            ] {
                assert!(axis.at(1.0).is_finite() && !axis.ticks().is_empty(), "{values:?}");
            }
        }
    }
}
