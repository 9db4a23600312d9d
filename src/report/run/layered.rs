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
    /// Boxes that may be part of the spine: the longest path through them stands in a straight line.
    pub may_be_spine: Vec<bool>,
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
    is_spine: bool,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Lays it out.
pub(super) fn lay_out(boxes: &Boxes) -> Places {
    let spine = spine(boxes);
    let mut items = items_of(boxes, &spine);
    let chains = connect(boxes, &spine, &mut items);
    let n_layers = items.iter().map(|it| it.layer + 1).max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); n_layers];
    for (index, item) in items.iter().enumerate() {
        layers[item.layer].push(index);
    }
    order(&mut layers, &items);
    place(&layers, &mut items);
    finish(boxes, &layers, &items, &chains)
}

/// The boxes of the longest path through those that may be part of it, in order.
fn spine(boxes: &Boxes) -> Vec<usize> {
    let n = boxes.sizes.len();
    let mut length = vec![0_usize; n];
    let mut before: Vec<Option<usize>> = vec![None; n];
    for (from, to) in by_end(boxes) {
        let is_part = boxes.may_be_spine[from] && boxes.may_be_spine[to];
        if is_part && length[from] + 1 > length[to] {
            (length[to], before[to]) = (length[from] + 1, Some(from));
        }
    }
    let last = (0..n).filter(|it| boxes.may_be_spine[*it]).max_by_key(|it| length[*it]);
    let mut spine: Vec<usize> = std::iter::successors(last, |it| before[*it]).collect();
    spine.reverse();
    spine
}

/// The edges by their ends: since they lead from lower to higher numbers, all that is before a box is known when it is read.
fn by_end(boxes: &Boxes) -> Vec<(usize, usize)> {
    let mut edges = boxes.edges.clone();
    edges.sort_unstable_by_key(|(from, to)| (*to, *from));
    edges
}

fn items_of(boxes: &Boxes, spine: &[usize]) -> Vec<Item> {
    let mut layer = vec![0; boxes.sizes.len()];
    for (from, to) in by_end(boxes) {
        layer[to] = layer[to].max(layer[from] + 1);
    }
    let item = |(index, (width, height)): (usize, &(f64, f64))| Item {
        width: *width,
        height: *height,
        layer: layer[index],
        center: 0.0,
        is_spine: spine.contains(&index),
        above: Vec::new(),
        below: Vec::new(),
    };
    boxes.sizes.iter().enumerate().map(item).collect()
}

/// Ties items of neighbouring layers; an edge over several gets an item in each. Gives each edge's items.
fn connect(boxes: &Boxes, spine: &[usize], items: &mut Vec<Item>) -> Vec<Vec<usize>> {
    let mut chains = Vec::with_capacity(boxes.edges.len());
    for (from, to) in &boxes.edges {
        let is_spine = spine.windows(2).any(|pair| pair == [*from, *to]);
        let mut chain = vec![*from];
        for layer in items[*from].layer + 1..items[*to].layer {
            chain.push(items.len());
            let (above, below) = (Vec::new(), Vec::new());
            items.push(Item {
                width: PASSING_PX,
                height: 0.0,
                layer,
                center: 0.0,
                is_spine,
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

/// Orders each layer, the spine first and the others by the mean place of what they are tied to, down and up in turn.
fn order(layers: &mut [Vec<usize>], items: &[Item]) {
    let mut rank: Vec<usize> = vec![0; items.len()];
    let n_layers = layers.len();
    for sweep in 0..=SWEEPS {
        for step in 0..n_layers {
            let is_down = sweep % 2 == 0;
            let layer = &mut layers[if is_down { step } else { n_layers - 1 - step }];
            let key = |item: &usize| {
                let it = &items[*item];
                let tied = if is_down { &it.above } else { &it.below };
                let sum: usize = tied.iter().map(|it| rank[*it]).sum();
                let mean = if tied.is_empty() {
                    rank[*item] as f64
                } else {
                    sum as f64 / tied.len() as f64
                };
                (!it.is_spine, mean)
            };
            let mut keyed: Vec<((bool, f64), usize)> =
                layer.iter().map(|it| (key(it), *it)).collect();
            keyed.sort_by(|(a, i), (b, j)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(i.cmp(j)));
            *layer = keyed.into_iter().map(|(_, item)| item).collect();
            for (place, item) in layer.iter().enumerate() {
                rank[*item] = place;
            }
        }
    }
}

/// Puts the spine at zero, and moves every other item towards the mean of what it is tied to, as far as those on its
/// left let it.
fn place(layers: &[Vec<usize>], items: &mut [Item]) {
    for sweep in 0..=2 * SWEEPS {
        for step in 0..layers.len() {
            let layer = &layers[if sweep % 2 == 0 { step } else { layers.len() - 1 - step }];
            let mut edge = f64::NEG_INFINITY;
            for index in layer {
                let item = &items[*index];
                let tied =
                    || item.above.iter().chain(&item.below).filter(|it| !items[**it].is_spine);
                let wanted = match tied().count() {
                    _ if item.is_spine => 0.0,
                    0 => item.width / 2.0,
                    n => tied().map(|it| items[*it].center).sum::<f64>() / n as f64,
                };
                let center = wanted.max(edge + item.width / 2.0);
                edge = center + item.width / 2.0 + GAP_PX;
                items[*index].center = center;
            }
        }
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
        let edges = vec![(0, 1), (1, 2), (2, 5), (0, 5), (1, 3), (3, 4), (4, 5)];
        let sizes = vec![(100.0, 30.0); 6];
        let may_be_spine = vec![true, true, true, false, false, true];
        let places = lay_out(&Boxes { sizes, edges: edges.clone(), may_be_spine });
        let lefts = [0, 1, 2, 5].map(|it| places.corners[it].0).to_vec();
        assert!(lefts.iter().all(|it| *it == lefts[0]), "the chain is straight: {lefts:?}");
        for (a, (ax, ay)) in places.corners.iter().enumerate() {
            for (bx, by) in &places.corners[..a] {
                assert!((ax - bx).abs() >= 100.0 || (ay - by).abs() >= 30.0);
            }
        }
        for ((from, to), line) in edges.iter().zip(&places.lines) {
            assert!(places.corners[*from].1 < places.corners[*to].1);
            assert!(line.windows(2).all(|it| it[0].1 <= it[1].1), "{line:?}");
        }
        let places = lay_out(&Boxes { sizes: vec![], edges: vec![], may_be_spine: vec![] });
        assert_eq!((places.width, places.height), (0.0, 0.0));
    }
}
