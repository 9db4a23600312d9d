//! Arms against each other: scores, and differences to the baseline.

use super::arms::{ArmFigures, TaskFigures};
use crate::report::{
    axis::Axis,
    canvas::{Canvas, Marker},
    figure::Figure,
    number,
    rows::Rows,
};

/// Height of what is drawn in a row.
const ROW_PX: f64 = 14.0;

/// A row: a name, what is told on the right, and an interval with its middle.
struct Row {
    name: String,
    text: String,
    interval: (f64, f64, f64),
    class: &'static str,
}

/// A score as people read it.
pub(super) fn score_text(task: &TaskFigures, score: f64) -> String {
    if task.is_accuracy { number::percent(score) } else { number::figures(-score) }
}

/// What scores are, as an axis says it.
pub(super) const fn score_name(task: &TaskFigures) -> &'static str {
    if task.is_accuracy { "test accuracy" } else { "test loss" }
}

/// A score as an axis has it: losses as they are, and not turned.
pub(super) fn on_axis(task: &TaskFigures, score: f64) -> f64 {
    if task.is_accuracy { score } else { -score }
}

/// Mean and range of every arm.
pub(super) fn scores(task: &TaskFigures, id: &str) -> Option<Figure> {
    let row = |it: &ArmFigures| Row {
        name: it.arm.clone(),
        text: format!(
            "{}  over {}",
            score_text(task, it.mean),
            number::plural(it.n, "seed", "seeds")
        ),
        interval: (on_axis(task, it.min), on_axis(task, it.mean), on_axis(task, it.max)),
        class: "blue",
    };
    let rows: Vec<Row> = task.arms.iter().map(row).collect();
    let better = if task.is_accuracy { "right" } else { "left" };
    let description = format!(
        "Each arm's mean {} over its seeds, and the range from the worst seed to the best; further {better} is better. \
         The best arm stands first.",
        score_name(task)
    );
    (!rows.is_empty()).then(|| {
        Figure::draw(format!("{id}-scores"), "Scores of the arms", description, |canvas| {
            draw_rows(canvas, &rows, score_name(task), (false, task.is_accuracy));
        })
    })
}

/// The paired difference of every arm to the baseline, where a comparison gives it.
pub(super) fn differences(task: &TaskFigures, id: &str) -> Option<Figure> {
    let row = |it: &ArmFigures| {
        let (low, middle, high) = it.difference?;
        let verdict = it.verdict.as_deref().unwrap_or("");
        Some(Row {
            name: it.arm.clone(),
            text: format!("{}  {verdict}", number::signed(middle)).trim_end().to_owned(),
            interval: (low, middle, high),
            // What leaves no doubt is drawn apart.
            class: if low > 0.0 {
                "green"
            } else if high < 0.0 {
                "vermilion"
            } else {
                "blue"
            },
        })
    };
    let rows: Vec<Row> = task.arms.iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| {
        Figure::draw(
            format!("{id}-differences"),
            "Difference to the baseline",
            "The mean difference in score between an arm and the baseline with the same seed, and its interval. Right of \
             zero the arm is better.",
            |canvas| draw_rows(canvas, &rows, "difference in score", (true, task.is_accuracy)),
        )
    })
}

fn draw_rows(canvas: &mut Canvas, rows: &[Row], name: &str, (has_zero, is_share): (bool, bool)) {
    let layout = Rows::new(canvas, rows.len(), ROW_PX);
    let (left, right) = layout.plot;
    let ends = rows.iter().flat_map(|row| [row.interval.0, row.interval.1, row.interval.2]);
    let n_ticks = if canvas.is_wide() { 8 } else { 4 };
    let zero = has_zero.then_some(0.0);
    let axis = Axis::linear(ends.chain(zero), (left + 24.0, right - 24.0), n_ticks);
    let axis = if is_share { axis.in_percent() } else { axis };
    let (top, bottom) = (4.0, 8.0 + rows.len() as f64 * layout.height);
    axis.draw_below(canvas, top, bottom, name);
    if has_zero {
        canvas.line((axis.at(0.0), top), (axis.at(0.0), bottom), "zero");
    }
    for (index, row) in rows.iter().enumerate() {
        let row_top = top + index as f64 * layout.height;
        let y = layout.head(canvas, row_top, &row.name, &row.text) + ROW_PX / 2.0;
        let (low, middle, high) = row.interval;
        let class = format!("line stroke-{}", row.class);
        let (from, to) = (axis.at_within(low.min(high)), axis.at_within(high.max(low)));
        canvas.line((from, y), (to, y), &class);
        for x in [from, to] {
            canvas.line((x, y - 4.0), (x, y + 4.0), &class);
        }
        let at = (axis.at_within(middle), y);
        canvas.mark(at, Marker::Circle, 5.0, &format!("fill-{}", row.class), Some(&row.text));
    }
    canvas.height = bottom + 44.0;
}
