//! A network in boxes: chains of layers in one box each, and in a large network all of a block's.

use std::collections::BTreeMap;

use esper_engine::{ids::SeedId, runtime::module_prefix};
use esper_nn::{
    graph::{NetworkGraph, Op},
    op,
};
use petgraph::{
    algo::condensation,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use crate::run::{Layer, layers};

/// Boxes that are drawn one by one; in a network with more, a block is one box.
const BOXES_MAX: usize = 48;

/// Whose a layer is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// The host's from the start.
    Host,
    /// A module's that was fossilized.
    Seed(SeedId),
    /// A place where seeds are planted: no arithmetic.
    Site,
}

/// A box: layers of one owner.
#[derive(Clone, Debug)]
pub(super) struct LayerBox {
    pub owner: Owner,
    pub layers: Vec<Layer>,
}

/// A network in boxes.
pub(super) struct Folded {
    /// In topological order.
    pub boxes: Vec<LayerBox>,
    pub edges: Vec<(usize, usize)>,
    /// Whether blocks are one box each.
    pub is_by_block: bool,
}

/// Folds `graph`; `fossils` are the seeds whose modules may be in it.
pub(super) fn fold(graph: &NetworkGraph, fossils: &[SeedId]) -> Folded {
    let full = with_owners(graph, fossils);
    let keys: Vec<usize> = chain_keys(&full);
    let folded = condensed(&full, &keys, false);
    if folded.boxes.len() <= BOXES_MAX {
        return folded;
    }
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let keys = full.node_weights().zip(&keys).map(|(it, chain)| {
        let Some(block) = block(it) else { return *chain };
        let next = full.node_count() + numbers.len();
        *numbers.entry(block).or_insert(next)
    });
    condensed(&full, &keys.collect::<Vec<_>>(), true)
}

fn with_owners(graph: &NetworkGraph, fossils: &[SeedId]) -> DiGraph<LayerBox, ()> {
    let prefixes: Vec<(SeedId, String)> =
        fossils.iter().map(|it| (*it, module_prefix(*it))).collect();
    let mut full = DiGraph::new();
    let mut places = BTreeMap::new();
    for ((index, node), layer) in graph.nodes().zip(layers(graph)) {
        let seed = prefixes.iter().find(|(_, prefix)| node.name.starts_with(prefix.as_str()));
        let owner = match seed {
            Some((seed, _)) => Owner::Seed(*seed),
            None if node.op == Op::Site(op::Site) => Owner::Site,
            None => Owner::Host,
        };
        let name =
            seed.map_or(layer.name.as_str(), |(_, prefix)| &layer.name[prefix.len()..]).to_owned();
        let place = full.add_node(LayerBox { owner, layers: vec![Layer { name, ..layer }] });
        places.insert(index, place);
        for input in graph.inputs(index) {
            full.update_edge(places[&input], place, ());
        }
    }
    full
}

/// A number a node, equal for the nodes of a chain that has one owner and one way through it.
fn chain_keys(full: &DiGraph<LayerBox, ()>) -> Vec<usize> {
    let mut keys: Vec<usize> = (0..full.node_count()).collect();
    for node in full.node_indices() {
        let mut from = full.edges_directed(node, petgraph::Direction::Incoming);
        let (Some(edge), None) = (from.next(), from.next()) else { continue };
        let before = edge.source();
        let is_one_way = full.edges(before).count() == 1;
        let [owner, its] = [before, node].map(|it| &full[it].owner);
        if is_one_way && owner == its && *its != Owner::Site {
            keys[node.index()] = keys[before.index()];
        }
    }
    keys
}

/// What a layer is part of, by its name: `blocks.0` of `blocks.0.attn.out`; a module is a block, and a site in none.
pub(super) fn block(it: &LayerBox) -> Option<String> {
    match &it.owner {
        Owner::Site => None,
        Owner::Seed(seed) => Some(seed.to_string()),
        Owner::Host => {
            let parts: Vec<&str> = it.layers[0].name.split('.').collect();
            let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
            let at = parts.iter().position(is_number)?;
            Some(parts[..=at].join("."))
        }
    }
}

/// Nodes with equal keys become one box; boxes that would form a circle become one as well.
fn condensed(full: &DiGraph<LayerBox, ()>, keys: &[usize], is_by_block: bool) -> Folded {
    let mut merged: DiGraph<LayerBox, ()> = DiGraph::new();
    let mut places: BTreeMap<usize, NodeIndex> = BTreeMap::new();
    for (node, key) in full.node_weights().zip(keys) {
        match places.get(key) {
            Some(place) => merged[*place].layers.extend(node.layers.iter().cloned()),
            None => {
                places.insert(*key, merged.add_node(node.clone()));
            }
        }
    }
    for edge in full.edge_references() {
        let [from, to] = [edge.source(), edge.target()].map(|it| places[&keys[it.index()]]);
        if from != to {
            merged.update_edge(from, to, ());
        }
    }
    // Components come in reverse topological order.
    let acyclic = condensation(merged, true);
    let order: Vec<NodeIndex> = petgraph::algo::toposort(&acyclic, None).unwrap_or_default();
    let place = |node: NodeIndex| order.iter().position(|it| *it == node).unwrap_or_default();
    let join = |parts: &Vec<LayerBox>| LayerBox {
        owner: parts.iter().map(|it| it.owner.clone()).min().unwrap_or(Owner::Host),
        layers: parts.iter().flat_map(|it| it.layers.iter().cloned()).collect(),
    };
    let mut edges: Vec<(usize, usize)> =
        acyclic.edge_references().map(|it| (place(it.source()), place(it.target()))).collect();
    edges.sort_unstable();
    edges.dedup();
    Folded { boxes: order.iter().map(|it| join(&acyclic[*it])).collect(), edges, is_by_block }
}

#[cfg(test)]
mod tests {
    use esper_nn::graph::TransformerConfig;

    use super::*;

    fn folded(layers: usize, has_all_sites: bool) -> (NetworkGraph, Folded) {
        let mut config =
            TransformerConfig { layers, width: 8, heads: 2, ..TransformerConfig::default() };
        config.sites = config.known_sites();
        config.sites.truncate(if has_all_sites { usize::MAX } else { 1 });
        let graph = NetworkGraph::transformer(&config).expect("a sound network");
        let folded = fold(&graph, &[]);
        (graph, folded)
    }

    #[test]
    fn every_layer_is_in_one_box_and_edges_lead_to_higher_numbers() {
        for (layers, has_all_sites) in [(1, true), (2, false), (20, false), (20, true), (200, true)]
        {
            let (graph, folded) = folded(layers, has_all_sites);
            let n_layers: usize = folded.boxes.iter().map(|it| it.layers.len()).sum();
            assert_eq!(n_layers, graph.len());
            assert!(folded.edges.iter().all(|(from, to)| from < to), "{layers}");
        }
    }

    #[test]
    fn a_chain_is_one_box_and_in_a_large_network_a_block() {
        let (_, small) = folded(1, false);
        assert!(!small.is_by_block);
        let mlp = small.boxes.iter().find(|it| it.layers[0].name == "blocks.0.norm2");
        assert_eq!(mlp.map(|it| it.layers.len()), Some(4), "norm, two layers and what is between");
        let (_, large) = folded(20, false);
        assert!(large.is_by_block);
        let blocks = large.boxes.iter().filter(|it| it.layers.len() == 10).filter_map(block);
        assert_eq!(blocks.count(), 20);
        assert_eq!(large.boxes.iter().filter(|it| it.owner == Owner::Site).count(), 1);
    }
}
