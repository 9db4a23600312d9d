//! Modules that are one op after another.

use esper_kernels::cpu::Activation;
use esper_nn::{
    contract::Contract,
    graph::{GraphError, Init, NetworkGraph, NodeIndex, Op},
    op::{Input, Linear, Reshape},
    tensor::channel_shape,
};

/// A graph and its last node.
pub(super) struct Chain {
    pub graph: NetworkGraph,
    pub at: NodeIndex,
}

impl Chain {
    /// An input of the contract's shape.
    pub fn input(contract: Contract) -> Result<Self, GraphError> {
        let mut graph = NetworkGraph::new();
        let at = graph.add("x", Input { shape: contract.shape() }, &[])?;
        Ok(Self { graph, at })
    }

    /// The last node's shape.
    pub fn shape(&self) -> &[usize] {
        &self.graph.node(self.at).shape
    }

    /// Features of the last node: channels, of an image.
    pub fn width(&self) -> usize {
        channel_shape(self.shape()).channels
    }

    /// Adds `op`, fed by the last node.
    pub fn then(mut self, name: impl Into<String>, op: impl Into<Op>) -> Result<Self, GraphError> {
        self.at = self.graph.add(name, op, &[self.at])?;
        Ok(self)
    }

    /// Adds a linear map with bias of the features: of a sequence at each position alike, of an image at each pixel.
    pub fn map(
        self,
        name: impl Into<String>,
        outputs: usize,
        init: Init,
    ) -> Result<Self, GraphError> {
        let is_image = self.shape().len() == 3;
        let op = if is_image {
            Op::same_conv2d(outputs, [1, 1], init)
        } else {
            Op::Linear(Linear { outputs, bias: true, init })
        };
        self.then(name, op)
    }

    /// Adds a map with PyTorch's initialisation.
    pub fn linear(self, name: impl Into<String>, outputs: usize) -> Result<Self, GraphError> {
        self.map(name, outputs, Init::FanIn)
    }

    /// Adds a map of zeros: the end of a module that is born an identity.
    pub fn zero(self, name: impl Into<String>, outputs: usize) -> Result<Self, GraphError> {
        self.map(name, outputs, Init::ZERO)
    }

    /// Adds a GELU: smooth, so that what lies before it has a gradient wherever it starts.
    pub fn gelu(self, name: impl Into<String>) -> Result<Self, GraphError> {
        self.then(name, Activation::Gelu)
    }

    /// Reads a vector as an image of one channel and one row; everything else stays as it is.
    pub fn image(self) -> Result<Self, GraphError> {
        match *self.shape() {
            [width] => self.then("image", Reshape { shape: vec![1, 1, width] }),
            _ => Ok(self),
        }
    }

    /// Taps that keep an image's height and width: `taps_max`, or along a shorter side the largest odd number that fits.
    pub fn kernel(&self, taps_max: usize) -> [usize; 2] {
        let fit = |side: usize| (side.min(taps_max) - 1) / 2 * 2 + 1;
        match *self.shape() {
            [_, height, width] => [fit(height), fit(width)],
            _ => [1, 1],
        }
    }

    /// The graph: its output is the last node, in the contract's shape.
    pub fn finish(self, contract: Contract) -> Result<NetworkGraph, GraphError> {
        let shape = contract.shape();
        let mut chain = self;
        if matches!(contract, Contract::Vector { .. }) && chain.shape().len() == 3 {
            chain = chain.then("vector", Reshape { shape })?;
        }
        chain.graph.set_output(chain.at);
        Ok(chain.graph)
    }
}
