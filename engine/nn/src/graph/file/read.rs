//! From what is written to a host.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{NODES_MAX, NetworkGraph, NodeIndex, build::check_params},
    GraphFileError,
    error::GraphFilePlace,
};
use crate::{
    error::GraphError,
    op::Op,
    settings::{Content, Keys, Setting, Table, Value},
    suggest::{after_sentence, before_list, clip, nearest},
};

/// Longest name of a node.
const NAME_LEN_MAX_BYTES: usize = 128;

/// The host that `root` describes.
pub(super) fn host(root: Value) -> Result<NetworkGraph, GraphFileError> {
    let nodes = nodes_of(root)?;
    let names = names_of(&nodes);
    let mut reader = Reader { graph: NetworkGraph::new(), known: BTreeMap::new(), names };
    for (place, node) in nodes.into_iter().enumerate() {
        reader.node(place, node)?;
    }
    finish(reader.graph)
}

/// The list of nodes, the only key of a file.
fn nodes_of(root: Value) -> Result<Vec<Value>, GraphFileError> {
    let Content::Table(mut table) = root.content else {
        return Err(refuse_value(
            &GraphFilePlace::default(),
            "the file",
            "a table of `nodes`",
            &root,
        ));
    };
    let nodes = table.remove("nodes");
    if let Some((key, value)) = table.first_key_value() {
        let at = GraphFilePlace { line: value.line, node: None };
        return Err(unknown_key(at, key, &["nodes"]));
    }
    let at = GraphFilePlace::default();
    let expected = "the list of nodes";
    let Some(nodes) = nodes else {
        return Err(GraphFileError::MissingKey { at, key: "nodes", expected });
    };
    match nodes.content {
        Content::List(nodes) if nodes.len() <= NODES_MAX => Ok(nodes),
        Content::List(_) => {
            let at = GraphFilePlace { line: nodes.line, node: None };
            let expected = format!("a list of at most {NODES_MAX} nodes");
            Err(refuse_value(&at, "nodes", &expected, &nodes))
        }
        _ => {
            let at = GraphFilePlace { line: nodes.line, node: None };
            Err(refuse_value(&at, "nodes", expected, &nodes))
        }
    }
}

/// The names of all nodes, to tell an input that comes too late from one that never comes.
fn names_of(nodes: &[Value]) -> BTreeSet<String> {
    let name = |node: &Value| match &node.content {
        Content::Table(table) => String::read(table.get("name")?),
        _ => None,
    };
    nodes.iter().filter_map(name).collect()
}

/// Checks what only the whole graph shows, and makes its loss the output.
fn finish(mut graph: NetworkGraph) -> Result<NetworkGraph, GraphFileError> {
    let count = |op: &'static str, indices: Vec<NodeIndex>| match indices.as_slice() {
        [index] => Ok(*index),
        _ => Err(GraphFileError::Count { op, found: indices.len() }),
    };
    let all = |is_one: fn(&Op) -> bool| {
        graph.nodes().filter(|(_, node)| is_one(&node.op)).map(|(index, _)| index).collect()
    };
    count("input", all(|op| matches!(op, Op::Input(_))))?;
    let loss = count("loss", all(|op| matches!(op, Op::Loss(_))))?;
    graph.set_output(loss);
    check_params(&graph).map_err(|error| refuse_graph(GraphFilePlace::default(), error))?;
    Ok(graph)
}

struct Reader {
    graph: NetworkGraph,
    /// Nodes read so far.
    known: BTreeMap<String, NodeIndex>,
    /// Names of all nodes.
    names: BTreeSet<String>,
}

impl Reader {
    fn node(&mut self, place: usize, node: Value) -> Result<(), GraphFileError> {
        let mut at = GraphFilePlace { line: node.line, node: Some((place + 1).to_string()) };
        let Content::Table(table) = node.content else {
            return Err(refuse_value(&at, "nodes", "a list of tables", &node));
        };
        // A `[[nodes]]` header stands above its keys.
        at.line = table.get("name").map_or(at.line, |name| name.line);
        let mut keys = Reading { at, table, asked: Vec::new(), error: None };
        let (mut name, mut word) = (String::new(), String::new());
        keys.required("name", &mut name);
        keys.check_name(&name)?;
        keys.at.node = Some(name.clone());
        keys.required("op", &mut word);
        keys.check()?;
        let mut op = match Op::unset(&word) {
            Some(op) => op,
            None => {
                let help = did_you_mean(&word, "the ops are", Op::WORDS);
                return Err(GraphFileError::UnknownOp { at: keys.at, op: clip(&word), help });
            }
        };
        let mut inputs = Vec::new();
        if !matches!(op, Op::Input(_)) {
            keys.required("inputs", &mut inputs);
        }
        op.settings(&mut keys);
        let at = keys.finish()?;
        let inputs = self.inputs(&at, &name, inputs)?;
        let added = self.graph.add(name.clone(), op, &inputs);
        let checked = added.and_then(|index| self.check_loss(index).map(|()| index));
        let index = checked.map_err(|error| refuse_graph(at, error))?;
        self.known.insert(name, index);
        Ok(())
    }

    fn inputs(
        &self,
        at: &GraphFilePlace,
        node: &str,
        inputs: Vec<String>,
    ) -> Result<Vec<NodeIndex>, GraphFileError> {
        let index = |input: String| match self.known.get(&input) {
            Some(index) => Ok(*index),
            None => Err(GraphFileError::UnknownInput {
                at: at.clone(),
                help: self.why_unknown(node, &input),
                input: clip(&input),
            }),
        };
        inputs.into_iter().map(index).collect()
    }

    fn why_unknown(&self, node: &str, input: &str) -> String {
        if input == node {
            return "is the node itself; a graph has no cycles".to_owned();
        }
        if self.names.contains(input) {
            return "is defined below it; inputs come first, so that a graph has no cycles"
                .to_owned();
        }
        let near = nearest(input, self.known.keys().map(String::as_str));
        format!("is no node{}", after_sentence(near))
    }

    /// Whether a loss reads predictions: a vector, or one at each position.
    fn check_loss(&self, index: NodeIndex) -> Result<(), GraphError> {
        let node = self.graph.node(index);
        let shapes = self.graph.input_shapes(index);
        match (&node.op, shapes.as_slice()) {
            (Op::Loss(_), [shape]) if 2 < shape.len() => Err(GraphError::Shape {
                node: node.name.clone(),
                what: "predictions",
                expected: vec![shape.iter().product()],
                found: shape.to_vec(),
            }),
            _ => Ok(()),
        }
    }
}

/// The keys of one node: each is taken as it is asked for, and none may be left over. The first error is kept.
struct Reading {
    at: GraphFilePlace,
    table: Table,
    asked: Vec<&'static str>,
    error: Option<GraphFileError>,
}

impl Reading {
    fn take<S: Setting>(&mut self, key: &'static str) -> Option<S> {
        self.asked.push(key);
        let value = self.table.remove(key)?;
        let read = S::read(&value);
        if read.is_none() && self.error.is_none() {
            let at = GraphFilePlace { line: value.line, node: self.at.node.clone() };
            self.error = Some(refuse_value(&at, key, S::EXPECTED, &value));
        }
        read
    }

    fn check(&mut self) -> Result<(), GraphFileError> {
        self.error.take().map_or(Ok(()), Err)
    }

    fn check_name(&mut self, name: &str) -> Result<(), GraphFileError> {
        self.check()?;
        let is_name = (1..=NAME_LEN_MAX_BYTES).contains(&name.len());
        if is_name && !name.contains(char::is_control) {
            return Ok(());
        }
        let expected = format!("1 to {NAME_LEN_MAX_BYTES} bytes of text on one line");
        let (at, key) = (self.at.clone(), "name".to_owned());
        let found = format!("the string \"{}\"", clip(name));
        Err(GraphFileError::Value { at, key, expected, found })
    }

    fn finish(mut self) -> Result<GraphFilePlace, GraphFileError> {
        // A misspelt key is the reason why another is missing.
        if let Some((key, value)) = self.table.first_key_value() {
            let at = GraphFilePlace { line: value.line, node: self.at.node };
            return Err(unknown_key(at, key, &self.asked));
        }
        self.check()?;
        Ok(self.at)
    }
}

impl Keys for Reading {
    fn required<S: Setting>(&mut self, key: &'static str, setting: &mut S) {
        let is_there = self.table.contains_key(key);
        match self.take(key) {
            Some(read) => *setting = read,
            None if is_there || self.error.is_some() => {}
            None => {
                let (at, expected) = (self.at.clone(), S::EXPECTED);
                self.error = Some(GraphFileError::MissingKey { at, key, expected });
            }
        }
    }

    fn optional<S: Setting>(&mut self, key: &'static str, setting: &mut S, default: S) {
        *setting = self.take(key).unwrap_or(default);
    }
}

impl Setting for Vec<String> {
    const EXPECTED: &'static str = "a list of the names of nodes";

    fn read(value: &Value) -> Option<Self> {
        let Content::List(items) = &value.content else { return None };
        items.iter().map(String::read).collect()
    }

    fn write(&self) -> String {
        format!("[{}]", self.iter().map(Setting::write).collect::<Vec<_>>().join(", "))
    }
}

fn refuse_value(at: &GraphFilePlace, key: &str, expected: &str, value: &Value) -> GraphFileError {
    GraphFileError::Value {
        at: at.clone(),
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: value.describe(),
    }
}

fn refuse_graph(at: GraphFilePlace, error: GraphError) -> GraphFileError {
    GraphFileError::Graph { at, source: Box::new(error) }
}

fn unknown_key(at: GraphFilePlace, key: &str, known: &[&str]) -> GraphFileError {
    let help = did_you_mean(key, "the keys here are", known);
    GraphFileError::UnknownKey { at, key: clip(key), help }
}

/// `did you mean ...?`, and what is known.
fn did_you_mean(word: &str, what: &str, known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|it| format!("`{it}`")).collect();
    let near = nearest(word, known.iter().copied());
    format!("{}{what} {}", before_list(near), quoted.join(", "))
}
