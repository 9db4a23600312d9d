//! The pre-norm block of attention and a perceptron that transformers for text and images share.

use esper_kernels::cpu::Activation;

use super::{
    super::{GraphError, Init, NodeIndex, Op},
    HostBuilder, refuse,
};
use crate::op::{Attention, LayerNorm, Linear, NORM_EPS};

/// Layers a transformer may have: with more, a graph would have too many nodes.
const LAYERS_MAX: usize = 500;

/// Sites of a run of `layers` blocks, from input to output.
pub(super) fn block_sites(layers: usize) -> impl Iterator<Item = String> {
    const PARTS: [&str; 6] = ["attn_in", "attn_out", "attn", "mlp_in", "mlp_out", "out"];
    let sites = |block| PARTS.map(|part| format!("block{block}.{part}"));
    (0..layers.min(LAYERS_MAX)).flat_map(sites)
}

/// The ends of a run of `layers` blocks.
pub(super) fn block_ends(layers: usize) -> impl Iterator<Item = String> {
    (0..layers.min(LAYERS_MAX)).map(|block| format!("block{block}.out"))
}

/// A run of equal blocks: `x + proj(attention(qkv(norm1(x))))`, then `x + fc2(activation(fc1(norm2(x))))` (Radford et
/// al. 2019, section 2.3). Dropout acts on what is added, not on the attention's weights.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub mlp_width: usize,
    pub dropout: f32,
    pub activation: Activation,
    pub is_causal: bool,
    /// How linear layers are drawn.
    pub init: Init,
    /// How those are drawn whose outputs are added to the residual stream.
    pub residual_init: Init,
}

impl Blocks {
    /// # Errors
    ///
    /// Names the setting that is out of range.
    pub fn check(&self) -> Result<(), GraphError> {
        if !(1..=LAYERS_MAX).contains(&self.layers) {
            return refuse("layers", format!("is {}, not 1 to {LAYERS_MAX}", self.layers));
        }
        if self.heads == 0 || self.width == 0 || !self.width.is_multiple_of(self.heads) {
            let what =
                format!("is {}, which does not divide a width of {}", self.heads, self.width);
            return refuse("heads", what);
        }
        Ok(())
    }

    /// Adds the blocks behind `x`, `[len, width]`.
    pub fn add(
        &self,
        host: &mut HostBuilder<'_>,
        mut x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        for block in 0..self.layers {
            x = self.attention(host, block, x)?;
            x = host.site(&format!("block{block}.attn"), x)?;
            x = self.mlp(host, block, x)?;
            x = host.site(&format!("block{block}.out"), x)?;
        }
        Ok(x)
    }

    fn attention(
        &self,
        host: &mut HostBuilder<'_>,
        block: usize,
        x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        let name = |part: &str| format!("blocks.{block}.{part}");
        let qkv = Op::Linear(Linear { outputs: 3 * self.width, bias: true, init: self.init });
        let proj = Op::Linear(Linear { outputs: self.width, bias: true, init: self.residual_init });
        let attention = Op::Attention(Attention { heads: self.heads, is_causal: self.is_causal });
        let mut y = host.add(name("norm1"), LAYER_NORM, x)?;
        y = host.site(&format!("block{block}.attn_in"), y)?;
        y = host.add(name("attn.qkv"), qkv, y)?;
        y = host.add(name("attn"), attention, y)?;
        y = host.add(name("attn.proj"), proj, y)?;
        y = host.site(&format!("block{block}.attn_out"), y)?;
        y = host.dropout(name("attn.proj_drop"), self.dropout, y)?;
        host.sum(name("add1"), x, y)
    }

    fn mlp(
        &self,
        host: &mut HostBuilder<'_>,
        block: usize,
        x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        let name = |part: &str| format!("blocks.{block}.{part}");
        let fc1 = Op::Linear(Linear { outputs: self.mlp_width, bias: true, init: self.init });
        let fc2 = Op::Linear(Linear { outputs: self.width, bias: true, init: self.residual_init });
        let mut y = host.add(name("norm2"), LAYER_NORM, x)?;
        y = host.site(&format!("block{block}.mlp_in"), y)?;
        y = host.add(name("mlp.fc1"), fc1, y)?;
        y = host.add(name("mlp.act"), Op::Activation(self.activation), y)?;
        y = host.add(name("mlp.fc2"), fc2, y)?;
        y = host.site(&format!("block{block}.mlp_out"), y)?;
        y = host.dropout(name("mlp.drop"), self.dropout, y)?;
        host.sum(name("add2"), x, y)
    }
}

/// The norm before attention, perceptron and head.
pub(super) const LAYER_NORM: Op = Op::LayerNorm(LayerNorm { eps: NORM_EPS, weight: 1.0 });
