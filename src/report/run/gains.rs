//! What seeds contributed: the drop in validation loss that gates measured, with its interval.

use esper_engine::{stage::Stage, world::gate::Gate};
use esper_systems::nissa::SeedHistory;

use super::{read::HostData, stages};
use crate::report::{
    axis::{Axis, range},
    canvas::{Canvas, Marker},
    figure::Figure,
    number,
    rows::Rows,
};

/// Seeds that are drawn.
const ROWS_MAX: usize = 40;
/// Height of what is drawn in a row.
const ROW_PX: f64 = 14.0;

/// A seed's contribution.
struct Row<'a> {
    seed: &'a SeedHistory,
    /// What G2 promised.
    promised: Option<f64>,
    /// What G5 measured at its last look: lower end, mean, upper end; the ends may be without bound.
    measured: Option<(f64, f64, f64)>,
}

/// The figure; `None` where no gate has measured a gain. `counterfactual` is what gains are measured by.
pub(super) fn draw(data: &HostData, counterfactual: Option<&str>) -> Option<Figure> {
    let rows: Vec<Row> = data.seeds.iter().filter_map(Row::of).collect();
    if rows.is_empty() {
        return None;
    }
    let shown = &rows[..rows.len().min(ROWS_MAX)];
    let n_left_out = rows.len() - shown.len();
    let note = (n_left_out > 0).then(|| {
        format!(
            "{} are not drawn.",
            number::plural(n_left_out, "more seed was judged and", "more seeds were judged and")
        )
    });
    let against = match counterfactual {
        Some("gate") => "against the same host with the module switched off",
        _ => "against its twin, which trained on without the seed",
    };
    let figure = Figure::draw(
        format!("{}-gains", data.host),
        "What each seed contributed",
        format!(
            "The drop in validation loss. Filled: what G5 measured at its last look, {against}, with the interval. \
             Hollow: what G2 promised before the graft. Right of zero is better; an arrow leads beyond the axis."
        ),
        |canvas| draw_rows(canvas, shown),
    );
    Some(figure.note(note))
}

impl<'a> Row<'a> {
    fn of(seed: &'a SeedHistory) -> Option<Self> {
        let promised = seed.number(Gate::G2, "gain");
        let looks = seed.verdicts.iter().rev().filter(|it| it.gate == Gate::G5);
        let measured = looks.filter_map(|look| {
            let number = |name: &str| look.numbers.get(name).copied().flatten();
            let gain = number("gain")?;
            let low = number("gain_low").unwrap_or(f64::NEG_INFINITY);
            Some((low, gain, number("gain_high").unwrap_or(f64::INFINITY)))
        });
        let measured = measured.take(1).next();
        (promised.is_some() || measured.is_some()).then_some(Self { seed, promised, measured })
    }

    fn text(&self) -> String {
        match (self.measured, self.promised) {
            (Some((low, gain, high)), _) => number::interval(low, gain, high),
            (None, Some(promised)) => format!("G2 {}", number::signed(promised)),
            (None, None) => String::new(),
        }
    }
}

fn draw_rows(canvas: &mut Canvas, rows: &[Row]) {
    let layout = Rows::new(canvas, rows.len(), ROW_PX);
    let (left, right) = layout.plot;
    let (low, high) = shown_range(rows);
    let n_ticks = if canvas.is_wide() { 8 } else { 4 };
    let axis = Axis::linear([low, high], (left + 24.0, right - 24.0), n_ticks);
    let (top, bottom) = (6.0, 6.0 + rows.len() as f64 * layout.height + 4.0);
    axis.draw_below(canvas, top, bottom, "drop in validation loss");
    canvas.line((axis.at(0.0), top), (axis.at(0.0), bottom), "zero");
    for (index, row) in rows.iter().enumerate() {
        draw_row(canvas, (&layout, &axis), row, top + index as f64 * layout.height);
    }
    canvas.height = bottom + 44.0;
}

/// The range of the axis. A seed that did much harm would leave no room for the others: beyond eight times what three
/// quarters of the numbers reach, an arrow stands for it.
fn shown_range(rows: &[Row]) -> (f64, f64) {
    let numbers = rows.iter().flat_map(|row| {
        let ends = row.measured.map(|(low, gain, high)| [low, gain, high]);
        ends.into_iter().flatten().chain(row.promised)
    });
    let numbers: Vec<f64> = numbers.filter(|it| it.is_finite()).collect();
    let (low, high) = range(numbers.iter().copied().chain([0.0])).unwrap_or((0.0, 1.0));
    let mut sizes: Vec<f64> = numbers.iter().map(|it| it.abs()).filter(|it| *it > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let most = match sizes.get(sizes.len() * 3 / 4) {
        Some(usual) if rows.len() >= 6 => usual * 8.0,
        _ => f64::INFINITY,
    };
    let (low, high) = (low.max(-most), high.min(most));
    let margin = (high - low) * 0.03;
    (low - margin, high + margin)
}

fn draw_row(canvas: &mut Canvas, (rows, axis): (&Rows, &Axis), row: &Row, top: f64) {
    let y = rows.head(canvas, top, &stages::name(row.seed), &row.text()) + ROW_PX / 2.0;
    if let Some((low, gain, high)) = row.measured {
        let is_kept = row.seed.stage() == Stage::Fossilized;
        let color = if is_kept { "green" } else { "blue" };
        draw_interval(canvas, axis, (low, high), y, &format!("line stroke-{color}"));
        let marker = if is_kept { Marker::Diamond } else { Marker::Square };
        let kept = if is_kept { "kept" } else { "not kept" };
        let title = format!("G5, {kept}: {}", row.text());
        let (first, last) = axis.range();
        if (first..=last).contains(&gain) {
            canvas.mark((axis.at(gain), y), marker, 5.0, &format!("fill-{color}"), Some(&title));
        }
    }
    if let Some(promised) = row.promised {
        let title = format!("G2: {}", number::signed(promised));
        canvas.mark(
            (axis.at_within(promised), y),
            Marker::Circle,
            4.5,
            "hollow stroke-muted",
            Some(&title),
        );
    }
}

/// An interval, with a bar at an end on the axis and an arrow at one beyond it.
fn draw_interval(canvas: &mut Canvas, axis: &Axis, (low, high): (f64, f64), y: f64, class: &str) {
    const ARROW_PX: f64 = 6.0;
    const STUB_PX: f64 = 16.0;
    let (first, last) = axis.range();
    let arrow = |canvas: &mut Canvas, x: f64, reach: f64| {
        canvas.polyline(&[(x + reach, y - 5.0), (x, y), (x + reach, y + 5.0)], class);
    };
    let (from, to) = (axis.at_within(low), axis.at_within(high));
    // One that lies beyond the axis as a whole is an arrow and no more.
    if high < first {
        canvas.line((from, y), (from + STUB_PX, y), class);
        return arrow(canvas, from, ARROW_PX);
    }
    if low > last {
        canvas.line((to - STUB_PX, y), (to, y), class);
        return arrow(canvas, to, -ARROW_PX);
    }
    canvas.line((from, y), (to, y), class);
    arrow(canvas, from, if low < first { ARROW_PX } else { 0.0 });
    arrow(canvas, to, if high > last { -ARROW_PX } else { 0.0 });
}
