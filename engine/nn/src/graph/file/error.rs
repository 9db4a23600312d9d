//! Why a file is not a host.

use std::fmt;

use super::super::GraphError;

/// Where something stands in a graph file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphFilePlace {
    /// The line, from 1, where the format tells.
    pub line: Option<usize>,
    /// The node's name, or its number in the list, from 1, where it has none.
    pub node: Option<String>,
}

impl fmt::Display for GraphFilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match &self.node {
            Some(node) => write!(f, "node `{node}`: "),
            None => Ok(()),
        }
    }
}

/// What is wrong with a graph file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphFileError {
    /// The file is longer than any that is read.
    #[error("is {len_bytes} bytes long; a graph file has at most {limit_bytes}")]
    TooLong {
        /// Its length.
        len_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The text is not of its format.
    #[error("{at}{message}")]
    Syntax {
        /// Where.
        at: GraphFilePlace,
        /// What the parser says.
        message: String,
    },
    /// A key that nothing reads.
    #[error("{at}there is no key `{key}`; {help}")]
    UnknownKey {
        /// Where.
        at: GraphFilePlace,
        /// The key.
        key: String,
        /// The key that may be meant, and all there are.
        help: String,
    },
    /// A key that has no default is not there.
    #[error("{at}`{key}` is missing: {expected}")]
    MissingKey {
        /// Where.
        at: GraphFilePlace,
        /// The key.
        key: &'static str,
        /// What it holds.
        expected: &'static str,
    },
    /// A value of another type or out of range.
    #[error("{at}`{key}` is {expected}; found {found}")]
    Value {
        /// Where.
        at: GraphFilePlace,
        /// The key.
        key: String,
        /// What would be right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// An op that does not exist.
    #[error("{at}there is no op `{op}`; {help}")]
    UnknownOp {
        /// Where.
        at: GraphFilePlace,
        /// The op.
        op: String,
        /// The op that may be meant, and all there are.
        help: String,
    },
    /// An input that is no node above the one that reads it.
    #[error("{at}input `{input}` {help}")]
    UnknownInput {
        /// Where.
        at: GraphFilePlace,
        /// The input.
        input: String,
        /// Why it is refused, and the node that may be meant.
        help: String,
    },
    /// A host has one input and one loss.
    #[error("a host has one node with op `{op}`; the file has {found}")]
    Count {
        /// The op.
        op: &'static str,
        /// How many nodes have it.
        found: usize,
    },
    /// The nodes do not fit together.
    #[error("{}{source}", .at.line_only())]
    Graph {
        /// Where.
        at: GraphFilePlace,
        /// Why not.
        source: Box<GraphError>,
    },
}

impl GraphFilePlace {
    /// The line alone, before a message that names the node itself.
    fn line_only(&self) -> Self {
        Self { line: self.line, node: None }
    }
}
