//! `NetworkGraph`: a directed acyclic graph of ops with static per-example shapes.
//!
//! One vocabulary for hosts and blueprints. Shapes leave out the batch: `[64]` is `f32[batch, 64]`. Names and
//! layouts are PyTorch's: linear weights are `[out, in]`. A shape says what an example is: `[width]` is a vector (or
//! the tokens of a text, before their embedding), `[len, width]` a sequence, `[channels, height, width]` an image.

mod ablate;
pub mod build;
mod dtype;
pub mod file;
mod join;
mod span;

use petgraph::{Direction, stable_graph::StableDiGraph, visit::EdgeRef};
use serde::{Deserialize, Serialize};

pub use ablate::{Ablation, ablate, with_statistics_of_last_batch};
pub use build::{
    CnnConfig, CnnForm, ImageNorm, MlpConfig, NormKind, PARAMS_MAX, TransformerConfig, VitConfig,
};
pub use file::{FILE_LEN_MAX_BYTES, GraphFileError, GraphFilePlace, GraphFormat};
pub use join::{check_contract, fossilize, fossilize_span};
pub use petgraph::stable_graph::NodeIndex;
pub use span::Span;

use crate::{digest::Digest, op::Inference};
pub use crate::{
    error::GraphError,
    op::{Loss, Op},
    tensor::{ELEMS_MAX, Init, ParamSpec, Shape},
};

/// Nodes a graph may have: far above any real module, far below what would exhaust memory.
pub const NODES_MAX: usize = 10_000;

/// One op and its name; parameters are named `<name>.weight` and `<name>.bias`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique in the graph.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its output's per-example shape.
    pub shape: Shape,
}

/// A network as a graph: nodes are ops, edges carry tensors, an edge's weight is the input's place.
///
/// # Invariants
///
/// - Nodes are added after their inputs, so the order of node indices is a topological order.
/// - Every node's shape was inferred from its inputs' when it was added.
#[derive(Clone, Debug, Default)]
pub struct NetworkGraph {
    nodes: StableDiGraph<Node, u8>,
    output: Option<NodeIndex>,
}

impl NetworkGraph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `op` under `name`, fed by `inputs`, and infers its shape.
    ///
    /// # Errors
    ///
    /// Names the node when its name is taken, its inputs are too few or too many, or their shapes do not fit.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        inputs: &[NodeIndex],
    ) -> Result<NodeIndex, GraphError> {
        let (name, op) = (name.into(), op.into());
        if self.nodes.node_count() >= NODES_MAX {
            return Err(GraphError::TooLarge { node: name, limit: NODES_MAX });
        }
        if self.find(&name).is_some() {
            return Err(GraphError::DuplicateName { node: name });
        }
        let shapes = inputs
            .iter()
            .map(|input| self.nodes.node_weight(*input).map(|node| node.shape.as_slice()))
            .collect::<Option<Vec<&[usize]>>>()
            .ok_or_else(|| GraphError::UnknownInput { node: name.clone() })?;
        let find = |name: &str| self.find(name).map(|index| &self.nodes[index].op);
        let shape = op.output_shape(&Inference { node: &name, shapes: &shapes, find: &find })?;
        let elems = shape.iter().try_fold(1_usize, |product, len| product.checked_mul(*len));
        if !elems.is_some_and(|elems| 0 < elems && elems <= ELEMS_MAX) {
            return Err(GraphError::BadExtent { node: name, shape, limit: ELEMS_MAX });
        }
        let index = self.nodes.add_node(Node { name, op, shape });
        for (place, input) in inputs.iter().enumerate() {
            self.nodes.add_edge(*input, index, place as u8);
        }
        self.output = Some(index);
        Ok(index)
    }

    /// Declares `node` the graph's output; until then it is the node added last.
    pub fn set_output(&mut self, node: NodeIndex) {
        assert!(self.nodes.contains_node(node), "the output is a node of this graph");
        self.output = Some(node);
    }

    /// The output node.
    ///
    /// # Errors
    ///
    /// Fails on an empty graph.
    pub fn output(&self) -> Result<NodeIndex, GraphError> {
        self.output.ok_or(GraphError::Empty)
    }

    /// The node at `index`.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index]
    }

    /// Every node in topological order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.nodes.node_indices().map(|index| (index, &self.nodes[index]))
    }

    /// The inputs of a node, in order.
    pub fn inputs(&self, index: NodeIndex) -> Vec<NodeIndex> {
        let mut inputs: Vec<(u8, NodeIndex)> = self
            .nodes
            .edges_directed(index, Direction::Incoming)
            .map(|edge| (*edge.weight(), edge.source()))
            .collect();
        inputs.sort_unstable();
        inputs.into_iter().map(|(_, source)| source).collect()
    }

    /// The node called `name`.
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.nodes.node_indices().find(|index| self.nodes[*index].name == name)
    }

    /// Which nodes the output depends on, by index; the rest is dead code.
    ///
    /// # Errors
    ///
    /// Fails on an empty graph.
    pub fn live_nodes(&self) -> Result<Vec<bool>, GraphError> {
        let n_slots = self.nodes.node_indices().next_back().map_or(0, |last| last.index() + 1);
        let mut live = vec![false; n_slots];
        let mut pending = vec![self.output()?];
        while let Some(index) = pending.pop() {
            if !std::mem::replace(&mut live[index.index()], true) {
                pending.extend(self.inputs(index));
            }
        }
        Ok(live)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.node_count() == 0
    }

    /// The shapes of a node's inputs, in order.
    pub fn input_shapes(&self, index: NodeIndex) -> Vec<&[usize]> {
        self.inputs(index).iter().map(|input| self.nodes[*input].shape.as_slice()).collect()
    }

    /// The parameters of every node, in topological order, under their full names.
    pub fn params(&self) -> Vec<ParamSpec> {
        let nodes = self.nodes();
        nodes
            .flat_map(|(index, node)| node.op.params(&node.name, &self.input_shapes(index)))
            .collect()
    }

    /// Whether the graph says something at each position of a sequence: then no position may see those after it.
    pub fn is_causal(&self) -> bool {
        self.nodes().any(|(index, node)| {
            matches!(node.op, Op::Loss(_)) && self.input_shapes(index)[0].len() == 2
        })
    }

    /// Parameters in elements.
    pub fn params_elems(&self) -> u64 {
        self.params().iter().map(|param| param.len_elems() as u64).sum()
    }

    /// The digest of the graph's canonical form: what its content is named by.
    pub fn digest(&self) -> Digest {
        Digest::of_value(self)
    }

    fn to_list(&self) -> GraphList {
        let order: Vec<NodeIndex> = self.nodes.node_indices().collect();
        let place = |node: NodeIndex| order.binary_search(&node).expect("indices ascend") as u32;
        GraphList {
            nodes: order
                .iter()
                .map(|index| {
                    let node = &self.nodes[*index];
                    let inputs = self.inputs(*index).into_iter().map(place).collect();
                    ListedNode { name: node.name.clone(), op: node.op.clone(), inputs }
                })
                .collect(),
            output: self.output.map(place),
        }
    }

    fn from_list(list: GraphList) -> Result<Self, GraphError> {
        let mut graph = Self::new();
        let mut added = Vec::with_capacity(list.nodes.len().min(NODES_MAX));
        for node in list.nodes {
            let inputs = node
                .inputs
                .iter()
                .map(|place| added.get(*place as usize).copied())
                .collect::<Option<Vec<NodeIndex>>>()
                .ok_or_else(|| GraphError::UnknownInput { node: node.name.clone() })?;
            added.push(graph.add(node.name, node.op, &inputs)?);
        }
        if let Some(place) = list.output {
            let output = added.get(place as usize).ok_or(GraphError::Empty)?;
            graph.set_output(*output);
        }
        Ok(graph)
    }
}

impl PartialEq for NetworkGraph {
    fn eq(&self, other: &Self) -> bool {
        self.to_list() == other.to_list()
    }
}

/// The canonical written form: nodes in topological order, inputs by place.
#[derive(Serialize, Deserialize, PartialEq)]
struct GraphList {
    nodes: Vec<ListedNode>,
    output: Option<u32>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct ListedNode {
    name: String,
    op: Op,
    inputs: Vec<u32>,
}

impl Serialize for NetworkGraph {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_list().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NetworkGraph {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_list(GraphList::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Add, Input};

    #[test]
    fn a_shape_error_names_the_node_and_both_shapes() {
        let mut graph = NetworkGraph::new();
        let a = graph.add("a", Input { shape: vec![4] }, &[]).unwrap();
        let b = graph.add("b", Op::linear(3), &[a]).unwrap();
        let error = graph.add("sum", Add, &[a, b]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`sum`") && text.contains("[4]") && text.contains("[3]"), "{text}");
    }

    #[test]
    fn a_graph_survives_its_written_form_and_keeps_its_digest() {
        let config = MlpConfig {
            layers: vec![64, 8, 10],
            sites: vec!["hidden0".into()],
            ..MlpConfig::default()
        };
        let graph = NetworkGraph::mlp(&config, Loss::CrossEntropy).unwrap();
        let bytes = postcard::to_stdvec(&graph).unwrap();
        let back: NetworkGraph = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(back, graph);
        assert_eq!(back.digest(), graph.digest());
    }

    #[test]
    fn a_written_graph_that_lies_about_its_inputs_is_refused() {
        let list = GraphList {
            nodes: vec![ListedNode { name: "x".into(), op: Add.into(), inputs: vec![7, 8] }],
            output: None,
        };
        let bytes = postcard::to_stdvec(&list).unwrap();
        assert!(postcard::from_bytes::<NetworkGraph>(&bytes).is_err());
    }
}
