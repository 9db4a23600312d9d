//! Builders of whole hosts: multilayer perceptron, convolutional network, transformer and vision transformer.
//!
//! Nodes with parameters carry the names of torchvision, timm or a plain `torch.nn` module, so that the names of the
//! parameters are those of its `state_dict`. The sites of each family, in the order of the network (counting stages
//! from 1 as `layer1` does, blocks from 0):
//!
//! | host | site | tensor | shape |
//! | --- | --- | --- | --- |
//! | mlp | `input` * | the batch | `[width]` |
//! | | `linear0`, ... | after a hidden layer's linear map | `[width]` |
//! | | `hidden0` *, ... | after a hidden layer | `[width]` |
//! | cnn | `input` * | the batch | `[channels, height, width]` |
//! | | `stem` | after `conv1`, `bn1` and the activation (ResNet) | of stage 1 |
//! | | `stage1.block0.conv1`, ... | within a block, after its first activation (ResNet) | of the stage |
//! | | `stage1.block0.conv2`, ... | within a block, before its sum (ResNet) | of the stage |
//! | | `stage1.block0.conv`, ... | after a block's convolution and norm (VGG) | of the stage |
//! | | `stage1.block0`, ... | after a block (ResNet: but the last of a stage) | of the stage |
//! | | `stage1.out` *, ... | after a stage (VGG: after its pool) | of the stage |
//! | transformer, vit | `input` (vit) | the batch | `[channels, height, width]` |
//! | | `embed` * | after the positions | `[len, width]` |
//! | | `block0.attn_in`, ... | after the norm before a block's attention | `[len, width]` |
//! | | `block0.attn_out`, ... | what a block's attention adds | `[len, width]` |
//! | | `block0.attn`, ... | the residual stream after a block's attention | `[len, width]` |
//! | | `block0.mlp_in`, ... | after the norm before a block's perceptron | `[len, width]` |
//! | | `block0.mlp_out`, ... | what a block's perceptron adds | `[len, width]` |
//! | | `block0.out` *, ... | the residual stream after a block | `[len, width]` |
//!
//! | transformer, vit | `norm.out` | after the last norm | `[len, width]` |
//! | cnn, vit | `features` | what the last linear map reads | `[width]` |
//! | all | `logits` | what the loss reads | `[outputs]`, of a text `[len, outputs]` |
//!
//! Those with a star are a family's default. A text has no `input` site: no gradient reaches tokens.

mod block;
mod cnn;
mod mlp;
mod transformer;
mod vit;

pub use cnn::{CnnConfig, CnnForm, ImageNorm};
pub use mlp::{MlpConfig, NormKind};
pub use transformer::TransformerConfig;
pub use vit::VitConfig;

use super::{GraphError, Loss, NetworkGraph, NodeIndex, Op, Shape};
use crate::op::{Add, Dropout, Input, Site};

/// Parameters a host may have, in elements: 4 GiB of them.
pub const PARAMS_MAX: u64 = 1 << 30;

/// A host in the making: layer after layer, with sites where they were asked for.
struct HostBuilder<'a> {
    graph: NetworkGraph,
    sites: &'a [String],
}

impl<'a> HostBuilder<'a> {
    fn new(sites: &'a [String], known: &[String]) -> Result<Self, GraphError> {
        if let Some(site) = sites.iter().find(|site| !known.contains(site)) {
            return Err(GraphError::UnknownSite { site: site.clone(), known: known.join(", ") });
        }
        Ok(Self { graph: NetworkGraph::new(), sites })
    }

    fn input(&mut self, shape: &[usize]) -> Result<NodeIndex, GraphError> {
        self.graph.add("x", Input { shape: shape.to_vec() }, &[])
    }

    fn add(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        self.graph.add(name, op, &[x])
    }

    fn sum(
        &mut self,
        name: impl Into<String>,
        a: NodeIndex,
        b: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        self.graph.add(name, Add, &[a, b])
    }

    /// Dropout, unless `p` is zero.
    fn dropout(
        &mut self,
        name: impl Into<String>,
        p: f32,
        x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        if p == 0.0 { Ok(x) } else { self.add(name, Dropout { p }, x) }
    }

    /// The site `name`, if it was asked for.
    fn site(&mut self, name: &str, x: NodeIndex) -> Result<NodeIndex, GraphError> {
        if self.sites.iter().any(|site| site == name) {
            return self.add(name, Site, x);
        }
        Ok(x)
    }

    fn shape(&self, x: NodeIndex) -> &Shape {
        &self.graph.node(x).shape
    }

    fn finish(mut self, loss: Loss, x: NodeIndex) -> Result<NetworkGraph, GraphError> {
        self.add("loss", Op::Loss(loss), x)?;
        check_params(&self.graph)?;
        Ok(self.graph)
    }
}

/// Whether `graph` has at most [`PARAMS_MAX`] parameters, counted without overflow.
///
/// # Errors
///
/// Says how many it has.
pub(super) fn check_params(graph: &NetworkGraph) -> Result<(), GraphError> {
    let found = graph.params().iter().fold(0_u64, |sum, param| {
        let product = |product: u64, len: &usize| product.saturating_mul(*len as u64);
        sum.saturating_add(param.shape.iter().fold(1, product))
    });
    if PARAMS_MAX < found {
        return Err(GraphError::TooManyParams { found, limit: PARAMS_MAX });
    }
    Ok(())
}

/// Refuses a host's setting `key`.
fn refuse<T>(key: &'static str, what: impl Into<String>) -> Result<T, GraphError> {
    Err(GraphError::HostSetting { key, what: what.into() })
}
