//! A host written by hand: a graph in a file of TOML or JSON.
//!
//! The file lists the nodes, inputs before what they feed, so that no cycle can be written:
//!
//! ```toml
//! [[nodes]]
//! name = "x"
//! op = "input"
//! shape = [1, 8, 8]
//!
//! [[nodes]]
//! name = "conv1"                # parameters are called conv1.weight and conv1.bias
//! op = "conv2d"
//! inputs = ["x"]                # nodes above this one, in the order the op reads them
//! outputs = 16                  # the settings of the op
//! kernel = 3                    # a number, or a pair: [vertical, horizontal]
//!
//! [[nodes]]
//! name = "stage1.out"           # a site: its name is what a scenario calls it
//! op = "site"
//! inputs = ["conv1"]
//!
//! [[nodes]]
//! name = "flat"
//! op = "flatten"
//! inputs = ["stage1.out"]
//!
//! [[nodes]]
//! name = "fc"
//! op = "linear"
//! inputs = ["flat"]
//! outputs = 10
//!
//! [[nodes]]
//! name = "loss"
//! op = "loss"
//! inputs = ["fc"]
//! kind = "cross_entropy"
//! ```
//!
//! In JSON the same is `{"nodes": [{"name": "x", "op": "input", "shape": [1, 8, 8]}, ...]}`. A host has one input and
//! one loss. Shapes leave out the batch. A setting with a default may be left out; defaults are PyTorch's where PyTorch
//! has the op.
//!
//! | op | inputs | settings and defaults |
//! | --- | --- | --- |
//! | `input` | none | `shape`: `[width]`, or `[len]` of tokens; `[len, width]`; `[channels, height, width]` |
//! | `linear` | 1 | `outputs`, `bias = true`, `init = "fan_in"` |
//! | `tied_linear` | 1 | `embedding`: the name of the embedding whose weight it shares |
//! | `embedding` | 1, `[len]` | `vocabulary`, `width`, `init = { normal = 1 }` |
//! | `positions` | 1, `[len, width]` | `init = { normal = 0.02 }` |
//! | `patch_embed` | 1 image | `outputs`, `patch` |
//! | `attention` | 1, `[len, 3 * width]` | `heads`, `causal = false` |
//! | `bias`, `gate` | 1 | |
//! | `activation` | 1 | `kind`: `relu`, `gelu`, `gelu_tanh`, `silu`, `tanh` or `sigmoid` |
//! | `layer_norm`, `rms_norm` | 1 vector or sequence | `eps = 1e-5`, `weight = 1` |
//! | `batch_norm` | 1 vector or image | `eps = 1e-5`, `momentum = 0.1`, `weight = 1` |
//! | `group_norm` | 1 image | `groups`, `eps = 1e-5`, `weight = 1` |
//! | `conv2d` | 1 image | `outputs`, `kernel`, `stride = 1`, `padding = 0`, `groups = 1`, `bias = true`, `init = "fan_in"` |
//! | `max_pool2d`, `avg_pool2d` | 1 image | `kernel`, `stride`: the kernel, `padding = 0` |
//! | `global_avg_pool` | 1 image | |
//! | `mean_positions` | 1 sequence | |
//! | `add`, `multiply` | 2 alike | |
//! | `channel_multiply` | image, vector | |
//! | `residual`, `blend` | 2 alike | `alpha` |
//! | `scale` | 1 | `factor` |
//! | `layer_scale` | 1 | `weight` |
//! | `dropout` | 1 | `p = 0.5` |
//! | `concat` | 2 to 64 | |
//! | `flatten`, `branch`, `site` | 1 | |
//! | `reshape` | 1 | `shape` |
//! | `softplus` | 1 | `beta = 1` |
//! | `loss` | 1 | `kind`: `cross_entropy` or `mean_squared_error` |
//!
//! `weight` of a norm is what its weight is at birth. An `init` is `"fan_in"`, PyTorch's for linear layers and
//! convolutions; `{ normal = deviation }`, with biases zero; `{ uniform = bound }`; or `{ constant = value }`.

mod error;
mod read;
mod write;
mod written;

pub use error::{GraphFileError, GraphFilePlace};
use written::{parse_json, parse_toml};

use super::NetworkGraph;

/// Longest graph file that is read, in bytes: room for the most nodes a graph may have.
pub const FILE_LEN_MAX_BYTES: usize = 4 << 20;

/// How a graph is written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphFormat {
    /// TOML 1.1.
    Toml,
    /// JSON.
    Json,
}

impl GraphFormat {
    /// The format of files with this extension.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl NetworkGraph {
    /// Reads a host: a graph with one input and one loss.
    ///
    /// # Errors
    ///
    /// Names the node, the key and, in TOML, the line of the first thing that is wrong.
    pub fn from_file_text(text: &str, format: GraphFormat) -> Result<Self, GraphFileError> {
        if FILE_LEN_MAX_BYTES < text.len() {
            let (len_bytes, limit_bytes) = (text.len(), FILE_LEN_MAX_BYTES);
            return Err(GraphFileError::TooLong { len_bytes, limit_bytes });
        }
        let root = match format {
            GraphFormat::Toml => parse_toml(text)?,
            GraphFormat::Json => parse_json(text)?,
        };
        read::host(root)
    }

    /// The graph as TOML; [`from_file_text`](Self::from_file_text) reads a host back, with the same digest.
    pub fn to_file_text(&self) -> String {
        write::text(self)
    }
}

#[cfg(test)]
mod tests;
