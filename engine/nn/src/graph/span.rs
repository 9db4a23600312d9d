//! Spans: pairs of sites with one hidden layer of the host between them.

use serde::{Deserialize, Serialize};

use super::{NetworkGraph, NodeIndex};
use crate::{
    contract::{Contract, Layer, PortShape, SpanContract, Taps},
    op::{Conv2d, MaxPool2d, Op, Site, Windows},
};

/// A pair of sites, and what lies between them. A module that reads at the first and writes at the second is a branch
/// over that layer: as many more hidden units as it has.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Name of the site before the layer.
    pub read: String,
    /// Name of the site behind it.
    pub write: String,
    /// What a module there must keep.
    pub contract: Contract,
}

impl Span {
    /// The span's name: both sites'.
    pub fn name(&self) -> String {
        format!("{}..{}", self.read, self.write)
    }
}

impl NetworkGraph {
    /// Every pair of sites with exactly one hidden layer between them, in the order of the sites behind: a linear map, an
    /// activation, and a linear map, with norms before the activation, dropout after it and sites among them; or a
    /// convolution, an activation, perhaps a pool, and a convolution, each with a norm behind it or none.
    ///
    /// Where positions may not see later ones, both ends have the same positions: linear maps keep them.
    pub fn spans(&self) -> Vec<Span> {
        self.nodes().filter_map(|(index, _)| self.span_to(index)).collect()
    }

    fn span_to(&self, write: NodeIndex) -> Option<Span> {
        if !self.is_site(write) {
            return None;
        }
        let end = self.before(write)?;
        let (read, layer) = match self.op(end) {
            Op::Linear(_) => self.linear_layer(end)?,
            _ => self.conv_layer(end)?,
        };
        let shape = |at: NodeIndex| PortShape::of(&self.node(at).shape);
        let (is_causal, name) = (self.is_causal(), |at: NodeIndex| self.node(at).name.clone());
        let contract = SpanContract { read: shape(read), write: shape(write), is_causal, layer };
        Some(Span { read: name(read), write: name(write), contract: Contract::Span(contract) })
    }

    /// The hidden layer before the linear map `last`, and the site before that.
    fn linear_layer(&self, last: NodeIndex) -> Option<(NodeIndex, Layer)> {
        let at = self.skip(self.before(last)?, |op| matches!(op, Op::Dropout(_)))?;
        let Op::Activation(activation) = *self.op(at) else { return None };
        let is_norm = |op: &Op| matches!(op, Op::LayerNorm(_) | Op::RmsNorm(_));
        let at = self.skip(self.before(at)?, is_norm)?;
        let Op::Linear(first) = self.op(at) else { return None };
        let read = self.before(at).filter(|at| self.is_site(*at))?;
        Some((read, Layer::Linear { width: first.outputs as u32, activation }))
    }

    /// The hidden layer before a convolution that `end` is or normalises, and the site before that.
    fn conv_layer(&self, end: NodeIndex) -> Option<(NodeIndex, Layer)> {
        let is_norm = |op: &Op| matches!(op, Op::BatchNorm(_) | Op::GroupNorm(_));
        let conv = |at: NodeIndex| match self.op(at) {
            Op::Conv2d(conv) if conv.groups == 1 => {
                let Conv2d { outputs, kernel, stride, padding, .. } = *conv;
                Some((outputs as u32, Taps::of(Windows { kernel, stride, padding })?))
            }
            _ => None,
        };
        let at = self.skip(end, is_norm)?;
        let (_, last) = conv(at)?;
        let mut at = self.skip(self.before(at)?, |_| false)?;
        let mut pool = None;
        if let Op::MaxPool2d(MaxPool2d(windows)) = self.op(at) {
            pool = Some(Taps::of(*windows)?);
            at = self.skip(self.before(at)?, |_| false)?;
        }
        let Op::Activation(activation) = *self.op(at) else { return None };
        let at = self.skip(self.before(at)?, is_norm)?;
        let (channels, first) = conv(at)?;
        let read = self.before(at).filter(|at| self.is_site(*at))?;
        Some((read, Layer::Conv { channels, activation, first, pool, last }))
    }

    fn op(&self, at: NodeIndex) -> &Op {
        &self.node(at).op
    }

    fn is_site(&self, at: NodeIndex) -> bool {
        *self.op(at) == Op::Site(Site)
    }

    fn before(&self, at: NodeIndex) -> Option<NodeIndex> {
        self.inputs(at).first().copied()
    }

    /// The node from `at` back that is neither a site nor one of those to pass over.
    fn skip(&self, mut at: NodeIndex, passes: impl Fn(&Op) -> bool) -> Option<NodeIndex> {
        while self.is_site(at) || passes(self.op(at)) {
            at = self.before(at)?;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{CnnConfig, CnnForm, Loss, MlpConfig, NormKind, TransformerConfig};

    fn names(graph: &NetworkGraph) -> Vec<String> {
        graph.spans().iter().map(Span::name).collect()
    }

    #[test]
    fn a_perceptron_has_a_span_over_each_hidden_layer() {
        let mut config = MlpConfig { layers: vec![6, 5, 4, 3], ..MlpConfig::default() };
        (config.norm, config.dropout) = (NormKind::Layer, 0.1);
        config.sites = config.known_sites();
        let graph = NetworkGraph::mlp(&config, Loss::CrossEntropy).unwrap();
        assert_eq!(names(&graph), ["input..linear1", "hidden0..logits"]);
        config.sites = vec!["input".into(), "hidden1".into(), "logits".into()];
        let graph = NetworkGraph::mlp(&config, Loss::CrossEntropy).unwrap();
        assert!(
            graph.spans().is_empty(),
            "two hidden layers, or the second's activation, lie between"
        );
    }

    #[test]
    fn a_span_knows_both_shapes_and_the_layer() {
        let sites = vec!["input".into(), "logits".into()];
        let config = MlpConfig { sites, ..MlpConfig::default() };
        let graph = NetworkGraph::mlp(&config, Loss::CrossEntropy).unwrap();
        let [span] = graph.spans().try_into().unwrap();
        let contract = span.contract;
        assert_eq!((contract.shape(), contract.output_shape()), (vec![64], vec![10]));
        let layer = Layer::Linear { width: 8, activation: config.activation };
        assert_eq!((contract.layer(), contract.is_causal()), (Some(layer), false));
        let bytes = postcard::to_stdvec(&contract).unwrap();
        assert_eq!(postcard::from_bytes::<Contract>(&bytes).unwrap(), contract);
    }

    #[test]
    fn a_convolutional_network_has_a_span_over_each_block_or_pool() {
        let mut config =
            CnnConfig { channels: vec![3, 4], blocks: vec![1, 1], ..CnnConfig::default() };
        config.sites = config.known_sites();
        let graph = NetworkGraph::cnn(&config, Loss::CrossEntropy).unwrap();
        assert_eq!(names(&graph), ["stem..stage1.block0.conv2", "stage1.out..stage2.block0.conv2"]);
        config.form = CnnForm::Vgg;
        config.sites = config.known_sites();
        let graph = NetworkGraph::cnn(&config, Loss::CrossEntropy).unwrap();
        assert_eq!(names(&graph), ["input..stage2.block0.conv"]);
        let Some(Layer::Conv { channels, pool, .. }) = graph.spans()[0].contract.layer() else {
            panic!("it is over convolutions")
        };
        assert!(channels == 3 && pool.is_some());
    }

    #[test]
    fn a_transformer_has_a_span_over_each_perceptron_where_its_sites_are_named() {
        let mut config = TransformerConfig { layers: 2, ..TransformerConfig::default() };
        config.sites = config.known_sites();
        let graph = NetworkGraph::transformer(&config).unwrap();
        let spans = graph.spans();
        assert_eq!(
            names(&graph),
            ["block0.mlp_in..block0.mlp_out", "block1.mlp_in..block1.mlp_out"]
        );
        assert!(spans.iter().all(|span| span.contract.is_causal()));
        config.sites = config.default_sites();
        assert!(NetworkGraph::transformer(&config).unwrap().spans().is_empty());
    }
}
