//! Score against price: parameters, and training FLOPs.

use super::{
    arms::TaskFigures,
    forest::{on_axis, score_name, score_text},
};
use crate::report::{
    axis::Axis,
    canvas::{Anchor, Canvas, Marker, fit, width_of},
    figure::Figure,
    number,
};

const PLOT_PX: f64 = 360.0;
/// Arms that are drawn.
const ARMS_MAX: usize = 24;

/// What is paid.
#[derive(Clone, Copy)]
pub(super) enum Price {
    Params,
    Flops,
}

/// A point to draw: price, score, name.
type Point = (f64, f64, String);

/// The figure; `None` where no arm was tested and no static host measured.
pub(super) fn draw(task: &TaskFigures, id: &str, price: Price) -> Option<Figure> {
    let (word, name) = match price {
        Price::Params => ("params", "parameters"),
        Price::Flops => ("flops", "training FLOPs"),
    };
    let of = |params: f64, flops: f64| match price {
        Price::Params => params,
        Price::Flops => flops,
    };
    let arms: Vec<Point> = task
        .arms
        .iter()
        .take(ARMS_MAX)
        .map(|it| (of(it.params, it.flops), on_axis(task, it.mean), it.arm.clone()))
        .collect();
    let front: Vec<Point> = task
        .front
        .iter()
        .map(|it| (of(it.params, it.flops), on_axis(task, it.score), it.name.clone()))
        .collect();
    if arms.is_empty() && front.is_empty() {
        return None;
    }
    let better = if task.is_accuracy { "higher" } else { "lower" };
    let line = if front.is_empty() {
        ""
    } else {
        " The stepped line is the static front: the best of the static hosts that cost no more."
    };
    let description = format!(
        "Each arm's mean {} by its {name}, on a logarithmic scale; {better} and further left is better.{line}",
        score_name(task)
    );
    let n_left_out = task.arms.len().saturating_sub(ARMS_MAX);
    let note = (n_left_out > 0).then(|| {
        format!("The best {ARMS_MAX} arms are drawn; {n_left_out} more are in the table.")
    });
    let figure =
        Figure::draw(format!("{id}-{word}"), format!("Score by {name}"), description, |canvas| {
            draw_plot(canvas, task, &arms, &front, name);
        });
    Some(figure.note(note))
}

fn draw_plot(canvas: &mut Canvas, task: &TaskFigures, arms: &[Point], front: &[Point], name: &str) {
    let (left, right) = (52.0, canvas.width - if canvas.is_wide() { 120.0 } else { 16.0 });
    let (top, bottom) = (34.0, 34.0 + PLOT_PX);
    let all = || arms.iter().chain(front);
    let n_ticks = if canvas.is_wide() { 7 } else { 4 };
    let x = Axis::log(all().map(|it| it.0), (left + 12.0, right - 12.0), n_ticks);
    let y = Axis::linear(all().map(|it| it.1), (bottom, top), 6);
    let y = if task.is_accuracy { y.in_percent() } else { y };
    canvas.text((left - 44.0, 14.0), Anchor::Start, "strong", score_name(task));
    y.draw_left(canvas, left, right);
    x.draw_below(canvas, top, bottom, name);
    let mut taken = Vec::new();
    draw_front(canvas, task, front, &x, &y, right, &mut taken);
    for (index, point) in arms.iter().enumerate() {
        let (marker, class) = look(index);
        let at = (x.at_within(point.0), y.at(point.1));
        let title = format!(
            "{}: {}, {} {name}",
            point.2,
            score_text(task, on_axis(task, point.1)),
            number::si(point.0)
        );
        canvas.mark(at, marker, 6.0, &format!("{class} point"), Some(&title));
        taken.push((at.0 - 7.0, at.1 - 7.0, at.0 + 7.0, at.1 + 7.0));
    }
    for point in arms {
        place_label(canvas, (x.at_within(point.0), y.at(point.1)), &point.2, &mut taken);
    }
    canvas.height = bottom + 44.0;
}

/// Colour and form of an arm.
fn look(index: usize) -> (Marker, &'static str) {
    const MARKERS: [Marker; 4] =
        [Marker::Circle, Marker::Square, Marker::Diamond, Marker::Triangle];
    const CLASSES: [&str; 6] =
        ["fill-blue", "fill-vermilion", "fill-green", "fill-purple", "fill-orange", "fill-sky"];
    (MARKERS[index % MARKERS.len()], CLASSES[index % CLASSES.len()])
}

/// The static front as a step line, and its hosts as small points.
fn draw_front(
    canvas: &mut Canvas,
    task: &TaskFigures,
    front: &[Point],
    x: &Axis,
    y: &Axis,
    right: f64,
    taken: &mut Vec<Area>,
) {
    let mut sorted: Vec<&Point> = front.iter().collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let is_better =
        |score: f64, best: f64| if task.is_accuracy { score > best } else { score < best };
    let mut steps: Vec<(f64, f64)> = Vec::new();
    let mut best: Option<f64> = None;
    for (price, score, _) in &sorted {
        if best.is_none_or(|best| is_better(*score, best)) {
            let at = x.at_within(*price);
            steps.extend(best.map(|best| (at, y.at(best))));
            steps.push((at, y.at(*score)));
            best = Some(*score);
        }
    }
    let Some(best) = best else { return };
    steps.push((right, y.at(best)));
    canvas.polyline(&steps, "line dash stroke-muted");
    // No name stands on the line.
    taken.extend(steps.windows(2).map(|it| {
        let ((x0, y0), (x1, y1)) = (it[0], it[1]);
        (x0.min(x1) - 1.0, y0.min(y1) - 1.0, x0.max(x1) + 1.0, y0.max(y1) + 1.0)
    }));
    for (price, score, name) in sorted {
        let title = format!("static, {name}: {}", score_text(task, on_axis(task, *score)));
        canvas.mark(
            (x.at_within(*price), y.at(*score)),
            Marker::Circle,
            3.0,
            "hollow stroke-muted",
            Some(&title),
        );
    }
    if canvas.is_wide() {
        canvas.text((right + 8.0, y.at(best) + 4.0), Anchor::Start, "muted", "static front");
    } else {
        canvas.text((right, y.at(best) - 8.0), Anchor::End, "small muted halo", "static front");
        taken.push((right - 80.0, y.at(best) - 20.0, right, y.at(best)));
    }
}

/// Left, top, right, bottom.
type Area = (f64, f64, f64, f64);

/// Puts a name beside its point where nothing is yet.
fn place_label(canvas: &mut Canvas, (x, y): (f64, f64), name: &str, taken: &mut Vec<Area>) {
    let text = fit(name, if canvas.is_wide() { 260.0 } else { 120.0 }, 12.0);
    let width = width_of(&text, 12.0) + 4.0;
    let shifts = [0.0, -14.0, 14.0, -28.0, 28.0, -42.0, 42.0, -56.0, 56.0];
    let beside = shifts.iter().flat_map(|dy| [(11.0, *dy), (-11.0 - width, *dy)]);
    let over = [(-width / 2.0, -18.0), (-width / 2.0, 18.0)];
    let area = |(dx, dy): (f64, f64)| (x + dx, y + dy - 7.0, x + dx + width, y + dy + 7.0);
    let is_free = |it: &Area| {
        // Not on the numbers of the axis.
        let is_inside = it.0 >= 54.0 && it.2 <= canvas.width && it.1 >= 0.0;
        is_inside
            && taken
                .iter()
                .all(|other| it.2 < other.0 || it.0 > other.2 || it.3 < other.1 || it.1 > other.3)
    };
    let mut choices = beside.chain(over).map(area);
    let chosen = choices.find(is_free);
    // Where all is full, the point still tells its name to who points at it.
    let Some(chosen) = chosen else { return };
    if (chosen.1 + 7.0 - y).abs() > 20.0 {
        let end = if chosen.0 > x { chosen.0 } else { chosen.2 };
        canvas.line((x, y), (end, chosen.1 + 7.0), "axis");
    }
    canvas.text((chosen.0 + 2.0, chosen.1 + 11.0), Anchor::Start, "halo", &text);
    taken.push(chosen);
}
