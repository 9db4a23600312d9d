//! Spans: pairs of sites with one hidden layer of the host between them.

use serde::{Deserialize, Serialize};

use super::{NetworkGraph, NodeIndex};
use crate::{
    contract::{Contract, Layer, PortShape, SpanContract},
    op::{Op, Site},
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
    /// activation, and a linear map, with norms before the activation, dropout after it and sites among them.
    ///
    /// Where positions may not see later ones, both ends have the same positions: linear maps keep them.
    pub fn spans(&self) -> Vec<Span> {
        self.nodes().filter_map(|(index, _)| self.span_to(index)).collect()
    }

    fn span_to(&self, write: NodeIndex) -> Option<Span> {
        let op = |at: NodeIndex| &self.node(at).op;
        let is_site = |at: NodeIndex| *op(at) == Op::Site(Site);
        let before = |at: NodeIndex| self.inputs(at).first().copied();
        if !is_site(write) {
            return None;
        }
        let last = before(write).filter(|at| matches!(op(*at), Op::Linear(_)))?;
        let mut at = before(last)?;
        while is_site(at) || matches!(op(at), Op::Dropout(_)) {
            at = before(at)?;
        }
        let Op::Activation(activation) = *op(at) else { return None };
        at = before(at)?;
        while is_site(at) || matches!(op(at), Op::LayerNorm(_) | Op::RmsNorm(_)) {
            at = before(at)?;
        }
        let Op::Linear(first) = op(at) else { return None };
        let read = before(at).filter(|at| is_site(*at))?;
        let shape = |at: NodeIndex| PortShape::of(&self.node(at).shape);
        let layer = Layer::Linear { width: first.outputs as u32, activation };
        let (is_causal, name) = (self.is_causal(), |at: NodeIndex| self.node(at).name.clone());
        let contract = SpanContract { read: shape(read), write: shape(write), is_causal, layer };
        Some(Span { read: name(read), write: name(write), contract: Contract::Span(contract) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Loss, MlpConfig, NormKind, TransformerConfig};

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
