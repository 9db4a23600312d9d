//! The fixed parts of instructions: shapes that a batch completes.

use esper_kernels::cpu::{
    AttentionShape, ChannelShape, Conv2dShape, LinearShape, PatchShape, PoolShape,
};
use serde::{Deserialize, Serialize};

use crate::graph::{Features, Pool};

impl Features {
    /// Rows of `width` features in a batch of `rows` examples.
    pub const fn rows(self, rows: usize) -> usize {
        self.positions * rows
    }

    /// The shape `[batch, channels, len]` of a batch of `rows` examples.
    pub const fn channels(self, rows: usize) -> ChannelShape {
        ChannelShape { batch: self.positions * rows, channels: self.width, len: self.inner }
    }
}

/// A linear map at each of `positions`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearSpec {
    /// Positions of a sequence; 1 for a vector.
    pub positions: usize,
    /// Features in.
    pub inputs: usize,
    /// Features out.
    pub outputs: usize,
}

impl LinearSpec {
    /// The shape for a batch of `rows` examples.
    pub const fn with_rows(self, rows: usize) -> LinearShape {
        LinearShape { rows: self.positions * rows, inputs: self.inputs, outputs: self.outputs }
    }

    /// Multiplies and adds of one of the three products, an example.
    pub const fn flops(self) -> u64 {
        self.with_rows(1).flops()
    }
}

/// A 2-D convolution.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    /// Channels in.
    pub in_channels: usize,
    /// Channels out.
    pub out_channels: usize,
    /// Rows in.
    pub height: usize,
    /// Columns in.
    pub width: usize,
    /// Taps, vertical and horizontal.
    pub kernel: [usize; 2],
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Zeros at each end.
    pub padding: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl ConvSpec {
    /// The shape for a batch of `rows` examples.
    pub const fn with_rows(self, rows: usize) -> Conv2dShape {
        let Self { in_channels, out_channels, height, width, kernel, stride, padding, groups } =
            self;
        Conv2dShape {
            batch: rows,
            in_channels,
            out_channels,
            height,
            width,
            kernel,
            stride,
            padding,
            groups,
        }
    }
}

/// Windows over an image.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// Channels.
    pub channels: usize,
    /// Rows in.
    pub height: usize,
    /// Columns in.
    pub width: usize,
    /// The windows.
    pub pool: Pool,
}

impl PoolSpec {
    /// The shape for a batch of `rows` examples.
    pub const fn with_rows(self, rows: usize) -> PoolShape {
        let Self { channels, height, width, pool: Pool { kernel, stride, padding } } = self;
        PoolShape { batch: rows, channels, height, width, kernel, stride, padding }
    }
}

/// An image cut into squares.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchSpec {
    /// Channels.
    pub channels: usize,
    /// Rows in.
    pub height: usize,
    /// Columns in.
    pub width: usize,
    /// Side of a square.
    pub patch: usize,
}

impl PatchSpec {
    /// The shape for a batch of `rows` examples.
    pub const fn with_rows(self, rows: usize) -> PatchShape {
        let Self { channels, height, width, patch } = self;
        PatchShape { batch: rows, channels, height, width, patch }
    }
}

/// Self-attention over one example.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSpec {
    /// Positions.
    pub len: usize,
    /// Heads.
    pub heads: usize,
    /// Features a head.
    pub head_width: usize,
    /// Whether a position sees itself and what lies before it only.
    pub is_causal: bool,
}

impl AttentionSpec {
    /// The shape for a batch of `rows` examples.
    pub const fn with_rows(self, rows: usize) -> AttentionShape {
        let Self { len, heads, head_width, is_causal } = self;
        AttentionShape { batch: rows, len, heads, head_width, is_causal }
    }
}
