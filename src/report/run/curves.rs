//! Learning curves: loss and accuracy by epoch, with what seeds did meanwhile.

use esper_engine::stage::Stage;

use super::{
    read::{EpochRow, HostData},
    stages,
};
use crate::report::{
    axis::Axis,
    canvas::{Anchor, Canvas, Marker},
    figure::Figure,
    number,
};

const PANEL_PX: f64 = 210.0;
const ROW_PX: f64 = 17.0;
const LABEL_GAP_PX: f64 = 16.0;

/// One curve.
struct Curve {
    name: &'static str,
    class: &'static str,
    color: &'static str,
    marker: Marker,
    value: fn(&EpochRow) -> Option<f64>,
}

/// A panel of curves.
struct Panel {
    title: &'static str,
    curves: [Curve; 2],
    text: fn(f64) -> String,
    is_share: bool,
}

const LOSS: Panel = Panel {
    title: "Loss",
    curves: [
        Curve {
            name: "training",
            class: "line dash stroke-orange",
            color: "fill-orange",
            marker: Marker::Square,
            value: |row| row.train_loss,
        },
        Curve {
            name: "validation",
            class: "line stroke-blue",
            color: "fill-blue",
            marker: Marker::Circle,
            value: |row| row.val_loss,
        },
    ],
    text: number::figures,
    is_share: false,
};

const ACCURACY: Panel = Panel {
    title: "Accuracy",
    curves: [
        Curve { value: |row| row.train_accuracy, ..LOSS.curves[0] },
        Curve { value: |row| row.val_accuracy, ..LOSS.curves[1] },
    ],
    text: number::percent,
    is_share: true,
};

/// What seeds do that is told below the curves.
const LIFE: [(&str, &[Stage]); 3] = [
    ("training", &[Stage::Training]),
    ("grafting", &[Stage::Grafting, Stage::Stabilization]),
    ("evaluating", &[Stage::Evaluating, Stage::FineTuning]),
];

/// The figure; `None` where no epoch has ended.
pub(super) fn draw(data: &HostData) -> Option<Figure> {
    if data.epochs.is_empty() {
        return None;
    }
    Some(Figure::draw(
        format!("{}-curves", data.host),
        "Learning curves",
        "Loss and accuracy at the end of each epoch. Below them, when seeds trained beside the host, were blended in, and \
         were evaluated; a diamond is a module that was fossilized: from there on it is part of the host.",
        |canvas| draw_panels(canvas, data),
    ))
}

fn draw_panels(canvas: &mut Canvas, data: &HostData) {
    let gutter = if canvas.is_wide() { 150.0 } else { 84.0 };
    let (left, right) = (52.0, canvas.width - gutter);
    let last = data.epochs.iter().map(|row| row.epoch).max().unwrap_or(1) as f64;
    let first = data.epochs.iter().map(|row| row.epoch).min().unwrap_or(0) as f64;
    let from = if first <= 1.0 { 0.0 } else { first };
    // Epochs are whole.
    let n_ticks = if canvas.is_wide() { 10 } else { 5 }.min((last - from).max(1.0) as usize);
    let x = Axis::exact((from, last.max(from + 1.0)), (left, right), n_ticks);
    let has = |panel: &Panel| {
        let mut rows = data.epochs.iter();
        rows.any(|row| panel.curves.iter().any(|it| (it.value)(row).is_some()))
    };
    let panels: Vec<&Panel> = [&LOSS, &ACCURACY].into_iter().filter(|it| has(it)).collect();
    let mut top = 0.0;
    let life = Life::of(data);
    for panel in &panels {
        top = draw_panel(canvas, data, panel, &x, top, &life);
    }
    let bottom = life.draw(canvas, &x, (left, right), top);
    for (tick, text) in x.ticks() {
        canvas.text((x.at(tick), bottom + 16.0), Anchor::Middle, "muted", &text);
    }
    canvas.text(((left + right) / 2.0, bottom + 36.0), Anchor::Middle, "muted", "epoch");
    canvas.height = bottom + 42.0;
}

/// Draws a panel from `top`; gives where the next may begin.
fn draw_panel(
    canvas: &mut Canvas,
    data: &HostData,
    panel: &Panel,
    x: &Axis,
    top: f64,
    life: &Life,
) -> f64 {
    let (left, right) = (x.at(x.range().0), x.at(x.range().1));
    let (plot_top, plot_bottom) = (top + 30.0, top + 30.0 + PANEL_PX);
    let values: Vec<f64> = panel
        .curves
        .iter()
        .flat_map(|curve| data.epochs.iter().filter_map(|row| (curve.value)(row)))
        .collect();
    let px = (plot_bottom, plot_top);
    let y = if panel.is_share {
        Axis::linear(values, px, 5).in_percent()
    } else {
        Axis::fitting(&values, px, 5)
    };
    let scale = if y.is_log() { ", logarithmic" } else { "" };
    canvas.text(
        (left - 44.0, top + 14.0),
        Anchor::Start,
        "strong",
        &format!("{}{scale}", panel.title),
    );
    y.draw_left(canvas, left, right);
    canvas.line((left, plot_bottom), (right, plot_bottom), "axis");
    life.draw_marks(canvas, x, plot_top, plot_bottom, top == 0.0);
    let mut ends = Vec::new();
    for curve in &panel.curves {
        let points: Vec<(f64, f64)> = data
            .epochs
            .iter()
            .map(|row| (x.at(row.epoch as f64), (curve.value)(row).map_or(f64::NAN, |it| y.at(it))))
            .collect();
        canvas.polyline(&points, curve.class);
        draw_points(canvas, data, panel, curve, &points);
        let last = data.epochs.iter().rev().find_map(curve.value);
        if let Some(value) = last.filter(|it| y.at(*it).is_finite()) {
            ends.push((y.at(value), curve, (panel.text)(value)));
        }
    }
    draw_labels(canvas, right, ends);
    plot_bottom + 22.0
}

/// A mark an epoch while they are few, and always one at the end; each tells its value.
fn draw_points(
    canvas: &mut Canvas,
    data: &HostData,
    panel: &Panel,
    curve: &Curve,
    points: &[(f64, f64)],
) {
    let is_few = points.len() <= if canvas.is_wide() { 40 } else { 14 };
    for (index, (row, point)) in data.epochs.iter().zip(points).enumerate() {
        let Some(value) = (curve.value)(row) else { continue };
        if point.1.is_finite() && (is_few || index + 1 == points.len()) {
            let title = format!("epoch {}: {} {}", row.epoch, curve.name, (panel.text)(value));
            canvas.mark(*point, curve.marker, 3.0, curve.color, Some(&title));
        }
    }
}

/// Names the curves at their ends, apart from each other.
fn draw_labels(canvas: &mut Canvas, right: f64, mut ends: Vec<(f64, &Curve, String)>) {
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let gap = if canvas.is_wide() { LABEL_GAP_PX } else { 2.0 * LABEL_GAP_PX };
    if let [(above, ..), (below, ..)] = ends.as_mut_slice() {
        let overlap = gap - (*below - *above);
        if overlap > 0.0 {
            *above -= overlap / 2.0;
            *below += overlap / 2.0;
        }
    }
    for (y, curve, text) in ends {
        canvas.mark((right + 14.0, y), curve.marker, 3.5, curve.color, None);
        if canvas.is_wide() {
            let label = format!("{} {text}", curve.name);
            canvas.text((right + 24.0, y + 4.0), Anchor::Start, "", &label);
        } else {
            canvas.text((right + 22.0, y - 2.0), Anchor::Start, "small", curve.name);
            canvas.text((right + 22.0, y + 11.0), Anchor::Start, "small muted", &text);
        }
    }
}

/// What seeds did, in epochs.
struct Life {
    rows: Vec<(&'static str, Vec<(f64, f64)>)>,
    kept: Vec<(f64, String)>,
}

impl Life {
    fn of(data: &HostData) -> Self {
        let Some(steps) = data.steps_per_epoch() else {
            return Self { rows: Vec::new(), kept: Vec::new() };
        };
        let now = data.n_steps();
        let spans: Vec<stages::Span> =
            data.seeds.iter().flat_map(|seed| stages::spans(seed, now)).collect();
        let row = |(name, wanted): (&'static str, &[Stage])| {
            let those = spans.iter().filter(|span| wanted.contains(&span.stage));
            let in_epochs = those.map(|span| (span.from as f64 / steps, span.to as f64 / steps));
            (name, united(in_epochs.collect()))
        };
        let rows = LIFE.map(row).into_iter().filter(|(_, spans)| !spans.is_empty()).collect();
        let kept = data.seeds.iter().filter_map(|seed| {
            let end = seed.end().filter(|it| it.stage == Stage::Fossilized)?;
            Some((end.step? as f64 / steps, seed.seed.to_string()))
        });
        Self { rows, kept: kept.collect() }
    }

    /// Hairlines where modules became part of the host.
    fn draw_marks(&self, canvas: &mut Canvas, x: &Axis, top: f64, bottom: f64, has_names: bool) {
        for (epoch, name) in &self.kept {
            let at = x.at_within(*epoch);
            canvas.line((at, top - 4.0), (at, bottom), "thin stroke-green dots");
            let title =
                format!("{name} became part of the host in epoch {}", number::figures(*epoch));
            canvas.mark((at, top - 9.0), Marker::Diamond, 5.0, "fill-green", Some(&title));
        }
        // Names where they do not touch.
        let names: Vec<(f64, &String)> =
            self.kept.iter().map(|(it, name)| (x.at_within(*it), name)).collect();
        let gap = names.windows(2).map(|it| it[1].0 - it[0].0).fold(f64::INFINITY, f64::min);
        if has_names && gap > 60.0 {
            for (at, name) in names {
                canvas.text((at + 9.0, top - 5.0), Anchor::Start, "small muted halo", name);
            }
        }
    }

    /// A row a kind of stage; gives where it ends.
    fn draw(&self, canvas: &mut Canvas, x: &Axis, (left, right): (f64, f64), top: f64) -> f64 {
        if self.rows.is_empty() {
            return top - 22.0;
        }
        let (low, high) = x.range();
        for (index, (name, spans)) in self.rows.iter().enumerate() {
            let y = top + index as f64 * ROW_PX;
            canvas.line((left, y + 6.0), (right, y + 6.0), "grid");
            let stage = LIFE.iter().find(|it| it.0 == *name).map_or(Stage::Training, |it| it.1[0]);
            let (class, hatch) = stages::fill(stage);
            for (from, to) in spans {
                let [from_px, to_px] = [from, to].map(|it| x.at(it.clamp(low, high)));
                let title = format!("seeds {name}: epochs {from:.1} to {to:.1}");
                let size = ((to_px - from_px).max(1.5), 11.0);
                canvas.span((from_px, y + 0.5), size, class, hatch, Some(&title));
            }
            canvas.text((right + 10.0, y + 10.0), Anchor::Start, "small muted", name);
        }
        top + self.rows.len() as f64 * ROW_PX + 2.0
    }
}

/// The spans that `spans` cover together.
fn united(mut spans: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut united: Vec<(f64, f64)> = Vec::new();
    for (from, to) in spans {
        match united.last_mut() {
            Some((_, end)) if from <= *end => *end = end.max(to),
            _ => united.push((from, to)),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_become_one() {
        assert_eq!(united(vec![(3.0, 4.0), (0.0, 1.0), (0.5, 2.0)]), [(0.0, 2.0), (3.0, 4.0)]);
    }
}
