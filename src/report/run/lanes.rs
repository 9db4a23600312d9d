//! The lives of seeds: a lane each, from germination to its end.

use esper_engine::stage::Stage;
use esper_systems::nissa::SeedHistory;

use super::{
    read::HostData,
    stages::{self, Span},
};
use crate::report::{
    axis::Axis,
    canvas::{Anchor, Canvas, width_of},
    figure::Figure,
    number,
    rows::Rows,
};

/// Lanes that are drawn.
const LANES_MAX: usize = 40;
const BAR_PX: f64 = 18.0;
const TOP_PX: f64 = 56.0;
const KEYED: [Stage; 6] = [
    Stage::Germinated,
    Stage::Training,
    Stage::Grafting,
    Stage::Stabilization,
    Stage::Evaluating,
    Stage::FineTuning,
];
const ENDS: [Stage; 4] = [Stage::Fossilized, Stage::Culled, Stage::Cancelled, Stage::RolledBack];

/// The figure; `None` where no seed has germinated.
pub(super) fn draw(data: &HostData) -> Option<Figure> {
    let germinated: Vec<&SeedHistory> =
        data.seeds.iter().filter(|seed| seed.stage() != Stage::Dormant).collect();
    if germinated.is_empty() {
        return None;
    }
    let shown = stages::foremost(&germinated, LANES_MAX);
    let n_left_out = germinated.len() - shown.len();
    let note = (n_left_out > 0).then(|| {
        let more = number::plural(n_left_out, "more seed", "more seeds");
        format!("{more} germinated, and came less far or later; `esper inspect` lists them all.")
    });
    let now = data.n_steps();
    let figure = Figure::draw(
        format!("{}-seeds", data.host),
        "The lives of seeds",
        "Each lane is a seed, from the step in which it germinated to how it ended, and why. The green line after a \
         diamond is a module that is part of the host.",
        |canvas| draw_lanes(canvas, &shown, now),
    );
    Some(figure.note(note))
}

fn draw_lanes(canvas: &mut Canvas, seeds: &[&SeedHistory], now: u64) {
    let top = draw_key(canvas, seeds, now);
    let rows = Rows::new(canvas, seeds.len(), BAR_PX);
    let n_ticks = if canvas.is_wide() { 10 } else { 4 };
    let axis = Axis::exact((0.0, now as f64), rows.plot, n_ticks);
    let bottom = top + seeds.len() as f64 * rows.height + 4.0;
    axis.draw_below(canvas, top, bottom, "step");
    for (index, seed) in seeds.iter().enumerate() {
        draw_lane(canvas, (&rows, &axis), seed, top + index as f64 * rows.height, now);
    }
    canvas.height = bottom + 44.0;
}

/// What the colours and marks are, of those that occur; gives where the lanes may begin.
fn draw_key(canvas: &mut Canvas, seeds: &[&SeedHistory], now: u64) -> f64 {
    let spans: Vec<Span> = seeds.iter().flat_map(|seed| stages::spans(seed, now)).collect();
    let occurs = |stage: &Stage| spans.iter().any(|span| span.stage == *stage);
    let (mut x, mut y) = (8.0, 14.0);
    for stage in KEYED.into_iter().chain(ENDS).filter(occurs) {
        let width = width_of(stages::word(stage), 12.0) + 44.0;
        if x + width > canvas.width {
            (x, y) = (8.0, y + 24.0);
        }
        match stages::end_mark(stage) {
            Some((marker, class)) => canvas.mark((x + 8.0, y - 4.0), marker, 5.0, class, None),
            None => {
                let (class, hatch) = stages::fill(stage);
                canvas.span((x, y - 10.0), (18.0, 12.0), class, hatch, None);
            }
        }
        canvas.text((x + 24.0, y), Anchor::Start, "muted", stages::word(stage));
        x += width;
    }
    y + TOP_PX - 32.0
}

fn draw_lane(
    canvas: &mut Canvas,
    (rows, axis): (&Rows, &Axis),
    seed: &SeedHistory,
    top: f64,
    now: u64,
) {
    let reason = seed.stages.last().map_or("", |it| it.reason.as_str());
    let ending = format!("{}: {reason}", stages::word(seed.stage()));
    let bar_top = rows.head(canvas, top, &stages::name(seed), &ending);
    let spans = stages::spans(seed, now);
    for span in spans.iter().filter(|it| !it.stage.is_terminal()) {
        draw_span(canvas, axis, *span, bar_top);
    }
    let Some(end) = spans.last().filter(|it| it.stage.is_terminal()) else { return };
    let (x, y) = (axis.at(end.from as f64), bar_top + BAR_PX / 2.0);
    if end.stage == Stage::Fossilized {
        canvas.line((x, y), (axis.at(now as f64), y), "line stroke-green");
    }
    if let Some((marker, class)) = stages::end_mark(end.stage) {
        let title = format!("{} at step {}: {reason}", stages::word(end.stage), end.from);
        canvas.mark((x, y), marker, 6.0, class, Some(&title));
    }
}

fn draw_span(canvas: &mut Canvas, axis: &Axis, span: Span, top: f64) {
    let (class, hatch) = stages::fill(span.stage);
    let (from, to) = (axis.at(span.from as f64), axis.at(span.to as f64));
    let word = stages::word(span.stage);
    let title = format!("{word}: steps {} to {}", span.from, span.to);
    // A gap tells two spans of little difference apart; one of no length is still seen.
    let width = (to - from - 1.0).max(1.0);
    let has_room = width_of(word, 11.0) + 8.0 < width;
    canvas.span((from, top), (width, BAR_PX), class, hatch, Some(&title));
    if has_room {
        let middle = (from + width / 2.0, top + BAR_PX - 5.0);
        // Data's colours are light enough for dark letters on any page; that of waiting is not.
        let class = if span.stage == Stage::Germinated { "small" } else { "small on" };
        canvas.text(middle, Anchor::Middle, class, word);
    }
}
