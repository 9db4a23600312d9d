//! Where the compute went.

use esper_engine::runtime::Flops;

use crate::report::{
    canvas::{Anchor, Canvas, Hatch},
    figure::Figure,
    number,
};

const BAR_PX: f64 = 44.0;

/// The figure; `None` where nothing was counted.
pub(super) fn draw(id: String, flops: Flops) -> Option<Figure> {
    if flops.total() == 0 {
        return None;
    }
    let title = format!("Where the compute went: {}", number::flops(flops.total()));
    let description = "Floating-point operations: of the host, of seeds' modules while they were not part of it, of twins \
                       and verdicts, and of validation and the test.";
    Some(Figure::draw(id, title, description, |canvas| draw_bar(canvas, flops)))
}

fn draw_bar(canvas: &mut Canvas, flops: Flops) {
    let parts = [
        ("host", flops.host, "fill-sky", Hatch::None),
        ("seeds", flops.seeds, "fill-green", Hatch::Rising),
        ("evaluation", flops.evaluation, "fill-purple", Hatch::Upright),
        ("validation", flops.validation, "fill-yellow", Hatch::Dots),
    ];
    let (left, right) = (0.0, canvas.width);
    let total = flops.total() as f64;
    let mut x = left;
    for (name, part, class, hatch) in parts {
        let width = (right - left) * part as f64 / total;
        let title = format!("{name}: {}", number::flops(part));
        canvas.span((x, 4.0), ((width - 2.0).max(0.0), BAR_PX), class, hatch, Some(&title));
        x += width;
    }
    let n_columns = if canvas.is_wide() { 4 } else { 2 };
    let column = (right - left) / n_columns as f64;
    for (index, (name, part, class, hatch)) in parts.into_iter().enumerate() {
        let at = left + (index % n_columns) as f64 * column;
        let y = BAR_PX + 34.0 + (index / n_columns) as f64 * 56.0;
        canvas.span((at, y - 10.0), (14.0, 12.0), class, hatch, None);
        canvas.text((at + 22.0, y), Anchor::Start, "strong", name);
        let share = number::percent(part as f64 / total);
        canvas.text(
            (at + 22.0, y + 18.0),
            Anchor::Start,
            "muted",
            &format!("{share}, {}", number::flops(part)),
        );
    }
    canvas.height = BAR_PX + 34.0 + 24.0 + if canvas.is_wide() { 0.0 } else { 56.0 };
}
