//! The network that a host grew into.

use std::fmt::Write as _;

use esper_engine::{ids::SeedId, stage::Stage};

use super::{
    boxes::{self, Folded, LayerBox, Owner},
    layered::{self, Boxes, Places},
    read::HostData,
};
use crate::{
    report::{
        canvas::{Anchor, Canvas, fit, width_of},
        figure::Figure,
        number,
    },
    run::Layer,
};

/// Boxes that are drawn at all.
const BOXES_MAX: usize = 160;
/// Layers that a box lists.
const LINES_MAX: usize = 6;
/// Layers of a block that are listed where each box is a block.
const LINES_OF_BLOCK_MAX: usize = 3;
const LINE_PX: f64 = 17.0;
const BOX_PX: f64 = 226.0;
const TOP_PX: f64 = 40.0;
/// What the layer is called that joins a fossil to its host.
const JOIN: &str = "join";

/// The figure, or why there is none.
pub(super) fn draw(data: &HostData) -> Result<Figure, String> {
    let host = data.host;
    let network =
        data.network.as_ref().ok_or_else(|| format!("{host}: no checkpoint has its network."))?;
    let fossils = data.seeds.iter().filter(|seed| seed.stage() == Stage::Fossilized);
    let fossils: Vec<SeedId> = fossils.map(|seed| seed.seed).collect();
    let folded = boxes::fold(&network.graph, &fossils);
    if folded.boxes.len() > BOXES_MAX {
        let n = folded.boxes.len();
        return Err(format!(
            "{host}: its network has {n} blocks, too many to draw; `esper export --format graph` writes it."
        ));
    }
    let family = |seed: SeedId| {
        let its = data.seeds.iter().find(|it| it.seed == seed);
        its.and_then(|it| it.family.clone()).unwrap_or_default()
    };
    let on_trial = match network.n_seeds {
        0 => String::new(),
        n => format!(
            " {} then, and not part of it.",
            number::plural(n, "seed was on trial", "seeds were on trial")
        ),
    };
    let description = format!(
        "As it was after step {}, {} parameters: grey boxes are the host's layers, green ones modules that were \
         fossilized, dashed ones the sites where seeds are planted. A number on the right counts parameters.{on_trial}",
        number::count(network.step),
        number::count(network.graph.params_elems()),
    );
    let note = folded.is_by_block.then(|| "The network is large: each box is a block.".to_owned());
    let figure =
        Figure::draw(format!("{host}-network"), "The network it became", description, |canvas| {
            draw_network(canvas, &folded, &family)
        });
    Ok(figure.note(note))
}

fn draw_network(canvas: &mut Canvas, folded: &Folded, family: &dyn Fn(SeedId) -> String) {
    let sizes: Vec<(f64, f64)> =
        folded.boxes.iter().map(|it| size(it, folded.is_by_block)).collect();
    // A fossil's last layer adds to the host's own path, and so is part of it.
    let is_join = |it: &LayerBox| it.layers.iter().any(|layer| layer.name == JOIN);
    let may_be_spine =
        folded.boxes.iter().map(|it| !matches!(it.owner, Owner::Seed(_)) || is_join(it)).collect();
    let edges = folded.edges.clone();
    let places = layered::lay_out(&Boxes { sizes: sizes.clone(), edges, may_be_spine });
    // A drawing wider than the page is drawn smaller, by its view.
    let width = canvas.width.max(places.width + 16.0);
    let left = (width - places.width) / 2.0;
    for line in &places.lines {
        draw_edge(canvas, line, left);
    }
    for ((it, (x, y)), size) in folded.boxes.iter().zip(&places.corners).zip(sizes) {
        draw_box(canvas, (it, folded.is_by_block), (left + x, TOP_PX / 2.0 + y), size, family);
    }
    let Places { height, .. } = places;
    (canvas.width, canvas.height) = (width, height + TOP_PX);
}

/// The lines in a box, each with what is counted on its right.
fn lines(it: &LayerBox, is_by_block: bool) -> Vec<(String, String)> {
    let counted = |n: u64| if n > 0 { number::count(n) } else { String::new() };
    let sum = |layers: &[Layer]| counted(layers.iter().map(|it| it.params_elems).sum());
    let n_layers = it.layers.len();
    if is_by_block && n_layers > LINES_OF_BLOCK_MAX {
        let name = boxes::block(it).unwrap_or_else(|| it.layers[0].name.clone());
        return vec![(format!("{name}: {n_layers} layers"), sum(&it.layers))];
    }
    let line = |layer: &Layer| {
        let params = counted(layer.params_elems);
        let op = if layer.name == layer.op { "" } else { layer.op.as_str() };
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        let text = format!("{} {op}", layer.name).trim_end().to_owned();
        let with_shape = format!("{text} [{}]", shape.join(", "));
        // The shape where there is room for it; who points at the box is told it all the same.
        let room = BOX_PX - 24.0 - width_of(&params, 12.0);
        (if width_of(&with_shape, 12.0) < room { with_shape } else { text }, params)
    };
    let mut lines: Vec<(String, String)> = it.layers.iter().take(LINES_MAX).map(line).collect();
    if n_layers > LINES_MAX {
        lines.push((format!("and {} more", n_layers - LINES_MAX), sum(&it.layers[LINES_MAX..])));
    }
    lines
}

fn size(it: &LayerBox, is_by_block: bool) -> (f64, f64) {
    if it.owner == Owner::Site {
        return (width_of(&it.layers[0].name, 12.0).clamp(40.0, 160.0) + 44.0, 24.0);
    }
    let has_heading = matches!(it.owner, Owner::Seed(_)) && it.layers.len() > 1;
    let n_lines = lines(it, is_by_block).len() + usize::from(has_heading);
    (BOX_PX, n_lines as f64 * LINE_PX + 14.0)
}

fn draw_edge(canvas: &mut Canvas, line: &[(f64, f64)], left: f64) {
    let mut path = String::new();
    for (index, (x, y)) in line.iter().enumerate() {
        let (x, y) = (x + left, y + TOP_PX / 2.0);
        let done = match index {
            0 => write!(path, "M{x:.1} {y:.1}"),
            _ => {
                let (x0, y0) = (line[index - 1].0 + left, line[index - 1].1 + TOP_PX / 2.0);
                let bend = (y - y0) / 2.0;
                write!(path, "C{x0:.1} {:.1} {x:.1} {:.1} {x:.1} {y:.1}", y0 + bend, y - bend)
            }
        };
        done.expect("a string takes all");
    }
    canvas.path(&path, "edge", None);
    if let Some((x, y)) = line.last() {
        canvas.arrow_head((x + left, y + TOP_PX / 2.0));
    }
}

fn draw_box(
    canvas: &mut Canvas,
    (it, is_by_block): (&LayerBox, bool),
    (x, y): (f64, f64),
    (width, height): (f64, f64),
    family: &dyn Fn(SeedId) -> String,
) {
    let title = title(it);
    let mut line_y = y + LINE_PX + 2.0;
    match &it.owner {
        Owner::Site => {
            canvas.rect((x, y), (width, height), 12.0, "pill", Some(&title));
            let name = fit(&it.layers[0].name, width - 40.0, 12.0);
            let at = (x + width / 2.0, y + 16.0);
            canvas.text(at, Anchor::Middle, "small", &format!("site {name}"));
            return;
        }
        Owner::Seed(seed) => {
            canvas.rect((x, y), (width, height), 6.0, "grown", Some(&title));
            if it.layers.len() > 1 {
                let heading = format!("{seed} {}", family(*seed));
                canvas.text_within((x + 10.0, line_y), width - 20.0, "strong", &heading);
                line_y += LINE_PX;
            }
        }
        Owner::Host => canvas.rect((x, y), (width, height), 6.0, "box", Some(&title)),
    }
    for (text, counted) in lines(it, is_by_block) {
        let room = width - 24.0 - width_of(&counted, 12.0);
        canvas.text_within((x + 10.0, line_y), room, "", &text);
        canvas.text((x + width - 10.0, line_y), Anchor::End, "muted", &counted);
        line_y += LINE_PX;
    }
}

/// Every layer with its shape, for who points at the box.
fn title(it: &LayerBox) -> String {
    let line = |layer: &Layer| format!("{} ({}) {:?}", layer.name, layer.op, layer.shape);
    it.layers.iter().take(40).map(line).collect::<Vec<_>>().join("\n")
}
