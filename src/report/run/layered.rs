//! A layered drawing of a directed acyclic graph, after Sugiyama, Tagawa and Toda ("Methods for Visual Understanding of
//! Hierarchical System Structures", 1981): layers by longest path, order within a layer by barycentres, then places.

/// Gap between boxes of a layer, and between layers, in pixels.
const GAP_PX: f64 = 26.0;
const LAYER_GAP_PX: f64 = 40.0;
/// Width that a line takes where it passes a layer.
const PASSING_PX: f64 = 12.0;
const SWEEPS: usize = 8;

/// What is laid out: sizes of boxes, and edges between them from lower to higher numbers.
pub(super) struct Boxes {
    pub sizes: Vec<(f64, f64)>,
    pub edges: Vec<(usize, usize)>,
    /// Boxes that hold a straight line: the backbone.
    pub is_backbone: Vec<bool>,
}

/// Where everything is.
pub(super) struct Places {
    /// Upper left corners.
    pub corners: Vec<(f64, f64)>,
    /// Each edge's points, from the bottom of a box to the top of another.
    pub lines: Vec<Vec<(f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

/// A box, or the passage of a long edge through a layer.
struct Item {
    width: f64,
    height: f64,
    layer: usize,
    center: f64,
    weight: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Lays it out.
pub(super) fn lay_out(boxes: &Boxes) -> Places {
    let mut items = items_of(boxes);
    let chains = connect(boxes, &mut items);
    let n_layers = items.iter().map(|it| it.layer + 1).max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); n_layers];
    for (index, item) in items.iter().enumerate() {
        layers[item.layer].push(index);
    }
    order(&mut layers, &items);
    place(&layers, &mut items);
    finish(boxes, &layers, &items, &chains)
}

fn items_of(boxes: &Boxes) -> Vec<Item> {
    let mut layer = vec![0; boxes.sizes.len()];
    // Edges lead from lower to higher numbers: by their ends, every layer is known before it is read.
    let mut edges = boxes.edges.clone();
    edges.sort_unstable_by_key(|(from, to)| (*to, *from));
    for (from, to) in edges {
        layer[to] = layer[to].max(layer[from] + 1);
    }
    let item = |(index, (width, height)): (usize, &(f64, f64))| Item {
        width: *width,
        height: *height,
        layer: layer[index],
        center: 0.0,
        weight: if boxes.is_backbone[index] { 16.0 } else { 1.0 },
        above: Vec::new(),
        below: Vec::new(),
    };
    boxes.sizes.iter().enumerate().map(item).collect()
}

/// Ties items of neighbouring layers; an edge over several gets an item in each. Gives each edge's items.
fn connect(boxes: &Boxes, items: &mut Vec<Item>) -> Vec<Vec<usize>> {
    let mut chains = Vec::with_capacity(boxes.edges.len());
    for (from, to) in &boxes.edges {
        let mut chain = vec![*from];
        for layer in items[*from].layer + 1..items[*to].layer {
            chain.push(items.len());
            let (above, below) = (Vec::new(), Vec::new());
            items.push(Item {
                width: PASSING_PX,
                height: 0.0,
                layer,
                center: 0.0,
                weight: 0.5,
                above,
                below,
            });
        }
        chain.push(*to);
        for pair in chain.windows(2) {
            items[pair[0]].below.push(pair[1]);
            items[pair[1]].above.push(pair[0]);
        }
        chains.push(chain);
    }
    chains
}

/// Orders each layer by the mean place of what its items are tied to, down and up in turn.
fn order(layers: &mut [Vec<usize>], items: &[Item]) {
    let mut rank: Vec<f64> = vec![0.0; items.len()];
    let renumber = |layer: &[usize], rank: &mut Vec<f64>| {
        for (place, item) in layer.iter().enumerate() {
            rank[*item] = (place as f64 + 0.5) / layer.len() as f64;
        }
    };
    for layer in layers.iter() {
        renumber(layer, &mut rank);
    }
    for sweep in 0..SWEEPS {
        let is_down = sweep % 2 == 0;
        let n_layers = layers.len();
        for step in 0..n_layers {
            let layer = &mut layers[if is_down { step } else { n_layers - 1 - step }];
            let key = |item: usize| {
                let tied = if is_down { &items[item].above } else { &items[item].below };
                if tied.is_empty() {
                    return rank[item];
                }
                tied.iter().map(|it| rank[*it]).sum::<f64>() / tied.len() as f64
            };
            let mut keyed: Vec<(f64, bool, usize)> = layer
                .iter()
                // Of equal ones the backbone stands on the left.
                .map(|item| (key(*item), items[*item].weight <= 1.0, *item))
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
            layer.clear();
            layer.extend(keyed.iter().map(|it| it.2));
            renumber(layer, &mut rank);
        }
    }
}

/// Moves each item towards the weighted mean of what it is tied to, as far as its neighbours let it.
fn place(layers: &[Vec<usize>], items: &mut [Item]) {
    for layer in layers {
        let mut x = 0.0;
        for index in layer {
            items[*index].center = x + items[*index].width / 2.0;
            x += items[*index].width + GAP_PX;
        }
    }
    for sweep in 0..3 * SWEEPS {
        let is_down = sweep % 2 == 0;
        for step in 0..layers.len() {
            let layer = &layers[if is_down { step } else { layers.len() - 1 - step }];
            let wanted: Vec<f64> = layer
                .iter()
                .map(|index| {
                    let item = &items[*index];
                    let tied = item.above.iter().chain(&item.below);
                    let (sum, weight) = tied.fold((0.0, 0.0), |(sum, weight), it| {
                        let share = items[*it].weight * item.weight;
                        (sum + items[*it].center * share, weight + share)
                    });
                    if weight > 0.0 { sum / weight } else { item.center }
                })
                .collect();
            settle(layer, &wanted, items);
        }
    }
}

/// Puts a layer's items where they want to be, the weightiest first, the others beside them.
fn settle(layer: &[usize], wanted: &[f64], items: &mut [Item]) {
    let mut by_weight: Vec<usize> = (0..layer.len()).collect();
    by_weight
        .sort_by(|a, b| items[layer[*b]].weight.total_cmp(&items[layer[*a]].weight).then(a.cmp(b)));
    let mut settled: Vec<Option<f64>> = vec![None; layer.len()];
    for place in by_weight {
        let gap = |from: usize, to: usize| -> f64 {
            let between: f64 = (from + 1..to).map(|it| items[layer[it]].width + GAP_PX).sum();
            (items[layer[from]].width + items[layer[to]].width) / 2.0 + GAP_PX + between
        };
        let low = (0..place).rev().find_map(|it| Some(settled[it]? + gap(it, place)));
        let high = (place + 1..layer.len()).find_map(|it| Some(settled[it]? - gap(place, it)));
        let at =
            wanted[place].min(high.unwrap_or(f64::INFINITY)).max(low.unwrap_or(f64::NEG_INFINITY));
        settled[place] = Some(at);
    }
    for (item, at) in layer.iter().zip(settled) {
        items[*item].center = at.unwrap_or_default();
    }
}

fn finish(boxes: &Boxes, layers: &[Vec<usize>], items: &[Item], chains: &[Vec<usize>]) -> Places {
    let left = items.iter().map(|it| it.center - it.width / 2.0).fold(f64::INFINITY, f64::min);
    let left = if left.is_finite() { left } else { 0.0 };
    let width = items.iter().map(|it| it.center + it.width / 2.0 - left).fold(0.0, f64::max);
    let mut tops = Vec::with_capacity(layers.len());
    let mut y = 0.0;
    for layer in layers {
        let height = layer.iter().map(|it| items[*it].height).fold(0.0, f64::max);
        tops.push((y, height));
        y += height + LAYER_GAP_PX;
    }
    let corner = |index: usize| {
        let (item, (top, height)) = (&items[index], tops[items[index].layer]);
        (item.center - item.width / 2.0 - left, top + (height - item.height) / 2.0)
    };
    let line = |chain: &Vec<usize>| {
        let last = chain.len() - 1;
        let mut points = Vec::new();
        for (place, index) in chain.iter().enumerate() {
            let (item, x) = (&items[*index], items[*index].center - left);
            let (top, height) = tops[item.layer];
            match place {
                0 => points.push((x, corner(*index).1 + item.height)),
                it if it == last => points.push((x, corner(*index).1)),
                _ => points.extend([(x, top), (x, top + height)]),
            }
        }
        points
    };
    Places {
        corners: (0..boxes.sizes.len()).map(corner).collect(),
        lines: chains.iter().map(line).collect(),
        width,
        height: (y - LAYER_GAP_PX).max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_do_not_overlap_and_edges_lead_down() {
        // A chain with a skip over two boxes, and a branch of two.
        let edges = vec![(0, 1), (1, 2), (2, 3), (0, 3), (1, 4), (4, 5), (5, 3)];
        let sizes = vec![(100.0, 30.0); 6];
        let is_backbone = vec![true, true, true, true, false, false];
        let places = lay_out(&Boxes { sizes, edges: edges.clone(), is_backbone });
        for (a, (ax, ay)) in places.corners.iter().enumerate() {
            for (bx, by) in &places.corners[..a] {
                assert!((ax - bx).abs() >= 100.0 || (ay - by).abs() >= 30.0);
            }
        }
        for ((from, to), line) in edges.iter().zip(&places.lines) {
            assert!(places.corners[*from].1 < places.corners[*to].1);
            assert!(line.windows(2).all(|it| it[0].1 <= it[1].1), "{line:?}");
        }
        let places = lay_out(&Boxes { sizes: vec![], edges: vec![], is_backbone: vec![] });
        assert_eq!((places.width, places.height), (0.0, 0.0));
    }
}
