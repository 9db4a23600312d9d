//! Modules that are one op after another.

use esper_engine::graph::{GraphError, Init, NetworkGraph, NodeIndex, Op};
use esper_kernels::cpu::Activation;

/// A graph and its last node.
pub(super) struct Chain {
    pub graph: NetworkGraph,
    pub at: NodeIndex,
}

impl Chain {
    /// An input of shape `[width]`.
    pub fn input(width: usize) -> Result<Self, GraphError> {
        let mut graph = NetworkGraph::new();
        let at = graph.add("x", Op::Input { shape: vec![width] }, &[])?;
        Ok(Self { graph, at })
    }

    /// An input of shape `[width]`, read as one channel of that many positions.
    pub fn sequence(width: usize) -> Result<Self, GraphError> {
        Self::input(width)?.then("sequence", Op::Reshape { shape: vec![1, 1, width] })
    }

    /// Adds `op`, fed by the last node.
    pub fn then(mut self, name: impl Into<String>, op: Op) -> Result<Self, GraphError> {
        self.at = self.graph.add(name, op, &[self.at])?;
        Ok(self)
    }

    /// Adds a linear layer with bias and PyTorch's initialisation.
    pub fn linear(self, name: impl Into<String>, outputs: usize) -> Result<Self, GraphError> {
        self.then(name, Op::linear(outputs))
    }

    /// Adds a GELU: smooth, so that what lies before it has a gradient wherever it starts.
    pub fn gelu(self, name: impl Into<String>) -> Result<Self, GraphError> {
        self.then(name, Op::Activation(Activation::Gelu))
    }

    /// Adds a linear layer of zeros: the end of a module that is born an identity.
    pub fn zero(self, name: impl Into<String>, outputs: usize) -> Result<Self, GraphError> {
        self.then(name, Op::zero_linear(outputs))
    }

    /// Adds a convolution of zeros to one channel, and the way back to `[width]`.
    pub fn zero_conv(self, kernel: usize, width: usize) -> Result<Self, GraphError> {
        self.then("out", Op::same_conv2d(1, [1, kernel], Init::ZERO))?
            .then("vector", Op::Reshape { shape: vec![width] })
    }

    /// The graph, its output the last node.
    pub fn finish(mut self) -> NetworkGraph {
        self.graph.set_output(self.at);
        self.graph
    }
}
