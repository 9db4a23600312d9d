//! Why a graph is not a network.

use crate::tensor::Shape;

/// What is wrong with a graph, and at which node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The graph has no node.
    #[error("the graph is empty: add an input first")]
    Empty,
    /// Two nodes share a name.
    #[error("node `{node}`: the name is taken; names are unique in a graph")]
    DuplicateName {
        /// The node that was refused.
        node: String,
    },
    /// An input is not a node of this graph.
    #[error("node `{node}`: an input is not a node of this graph")]
    UnknownInput {
        /// The node that was refused.
        node: String,
    },
    /// The op takes another number of inputs.
    #[error("node `{node}`: takes {expected} input(s), was given {found}")]
    Arity {
        /// The node that was refused.
        node: String,
        /// Inputs the op takes.
        expected: usize,
        /// Inputs it was given.
        found: usize,
    },
    /// The inputs' shapes do not fit the op or each other.
    #[error("node `{node}`: {what}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The node that was refused.
        node: String,
        /// What the shape is of.
        what: &'static str,
        /// The shape that would fit.
        expected: Shape,
        /// The shape that was given.
        found: Shape,
    },
    /// A tensor would be empty or larger than any that is allowed.
    #[error("node `{node}`: shape {shape:?} has no elements or more than {limit}")]
    BadExtent {
        /// The node that was refused.
        node: String,
        /// Its shape.
        shape: Shape,
        /// The most elements a tensor may have.
        limit: usize,
    },
    /// A setting of the op is out of range.
    #[error("node `{node}`: {what}")]
    Setting {
        /// The node that was refused.
        node: String,
        /// What is out of range, and the range.
        what: &'static str,
    },
    /// A setting of a host is out of range or does not fit another.
    #[error("`{key}` {what}")]
    HostSetting {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A stage halves images that have no two pixels along a side.
    #[error(
        "`{stage}` halves its images, which have {height}x{width} pixels there: fewer stages or larger images"
    )]
    ImageTooSmall {
        /// The stage.
        stage: String,
        /// Rows that reach it.
        height: usize,
        /// Columns that reach it.
        width: usize,
    },
    /// The graph has too many parameters.
    #[error("the graph has {found} parameters; it may have at most {limit}")]
    TooManyParams {
        /// How many there are.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The graph has too many nodes.
    #[error("node `{node}`: a graph has at most {limit} nodes")]
    TooLarge {
        /// The node that was refused.
        node: String,
        /// The limit.
        limit: usize,
    },
    /// A program needs exactly one input, and something reads it.
    #[error("the graph has {found} inputs; a program takes exactly one")]
    Inputs {
        /// How many there are.
        found: usize,
    },
    /// A host has more sites than a program can carry.
    #[error("the graph has {found} sites; a program carries at most {limit}")]
    TooManySites {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// No site has that name.
    #[error("no site is called `{site}`; the sites are {known}")]
    UnknownSite {
        /// The name asked for.
        site: String,
        /// The names there are.
        known: String,
    },
    /// No module was joined to the network there.
    #[error("the network has no node `{node}`, at which a module would join it")]
    NoModule {
        /// The join that is missing.
        node: String,
    },
    /// A tied head names a node that is no embedding.
    #[error("node `{node}`: `{embedding}` is no embedding above it")]
    NotAnEmbedding {
        /// The node that was refused.
        node: String,
        /// What it names.
        embedding: String,
    },
    /// Something else than an embedding reads tokens.
    #[error(
        "node `{node}`: reads tokens, which only embeddings can; the input is tokens to an embedding"
    )]
    ReadsTokens {
        /// The node.
        node: String,
    },
    /// An embedding reads something else than tokens.
    #[error(
        "node `{node}`: an embedding reads the input, which is tokens to it, and nothing computed"
    )]
    ReadsNumbers {
        /// The embedding.
        node: String,
    },
    /// A module mixes positions where none may see those after it.
    #[error(
        "node `{node}`: at this site no position may see a later one; use causal attention or ops that act on each position alone"
    )]
    NotCausal {
        /// The module's node.
        node: String,
    },
    /// A site whose gradient nobody computes.
    #[error(
        "site `{site}`: no gradient reaches it; sites lie after the embedding of tokens, and before what the loss reads"
    )]
    NoGradient {
        /// Its name.
        site: String,
    },
    /// A span's second site lies before its first.
    #[error("a module can not read at `{read}` and write at `{write}`, which comes before it")]
    ReadsLater {
        /// Where it would read.
        read: String,
        /// Where it would write.
        write: String,
    },
    /// A span has positions at one end alone, or other ones at either.
    #[error(
        "a module from {read:?} to {write:?} would let positions see later ones: both ends must have the same positions"
    )]
    CrossesCausality {
        /// The shape it would read.
        read: Shape,
        /// The shape it would write.
        write: Shape,
    },
    /// A module does not fit the two sites that it spans.
    #[error(
        "the module maps {input:?} to {output:?}; between these sites it must map {read:?} to {write:?}"
    )]
    SpanContract {
        /// The module's input shape.
        input: Shape,
        /// The module's output shape.
        output: Shape,
        /// The first site's shape.
        read: Shape,
        /// The second site's shape.
        write: Shape,
    },
    /// A module does not keep its site's shape.
    #[error("the module maps {input:?} to {output:?}; at this site it must keep {site:?}")]
    Contract {
        /// The module's input shape.
        input: Shape,
        /// The module's output shape.
        output: Shape,
        /// The site's shape.
        site: Shape,
    },
}
