//! Two-dimensional convolution (cross-correlation, as PyTorch's `conv2d`), with groups.
//!
//! Sequences are images of height one.
//!
//! The forward pass and the gradient for the input are products of weights with windows of padded copies
//! of images ([`product`]); a stride takes images apart by residues, so that a window always reads
//! neighbours. The gradient for the weights reads images channels last ([`weight`]), or, where channels
//! are few, along positions ([`rows`]). A kernel of one position is a matrix product.
//!
//! At batch 64, all three together come to 0.66 to 0.72 of the peak of AVX-512 for kernels of 3 x 3 on 16 to
//! 64 channels with a stride of one, and to 0.53 to 0.56 with a stride of two, where the three of a dense
//! layer of 128 x 256 x 256 come to 0.73. Transforms that multiply less (Winograd's) are not used: their
//! sums are not the chains that other shapes have.

mod forward;
mod input;
mod panel;
mod planes;
mod product;
mod rows;
mod runs;
mod tile;
mod weight;
mod windows;

use super::dispatch::dispatch;
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// A convolution on a batch of images, zero-padded on all sides. Pairs are vertical, horizontal.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conv2dShape {
    /// Examples in the batch.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Rows and columns the kernel spans.
    pub kernel: [usize; 2],
    /// Rows and columns between neighbouring outputs.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, and columns of zeros left and right.
    pub padding: [usize; 2],
    /// Groups of channels, each convolved by itself.
    pub groups: usize,
}

impl Conv2dShape {
    /// The shape of `n_examples` times as many examples.
    pub const fn times(self, n_examples: usize) -> Self {
        Self { batch: self.batch * n_examples, ..self }
    }

    /// Rows of the output.
    ///
    /// # Panics
    ///
    /// Panics if the kernel or the stride is zero, or the kernel is higher than the padded input.
    pub fn out_height(self) -> usize {
        self.out_len(0)
    }

    /// Columns of the output.
    ///
    /// # Panics
    ///
    /// Panics if the kernel or the stride is zero, or the kernel is wider than the padded input.
    pub fn out_width(self) -> usize {
        self.out_len(1)
    }

    /// Floating-point operations of one of the three products: a fused multiply-add counts two.
    pub fn flops(self) -> u64 {
        2 * self.y_len() as u64 * self.patch_len() as u64
    }

    /// Values of the input: `f32[batch, in_channels, height, width]`.
    pub fn x_len(self) -> usize {
        self.batch * self.in_channels * self.height * self.width
    }

    /// Values of the weight: `f32[out_channels, in_channels / groups, kernel, kernel]`.
    pub fn w_len(self) -> usize {
        self.out_channels * self.patch_len()
    }

    /// Values of the output: `f32[batch, out_channels, out_height, out_width]`.
    pub fn y_len(self) -> usize {
        self.batch * self.out_channels * self.positions()
    }

    fn out_len(self, axis: usize) -> usize {
        let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
        assert!(0 < kernel && 0 < stride, "a kernel and a stride are at least one");
        let padded = self.image()[axis] + 2 * self.padding[axis];
        assert!(kernel <= padded, "the kernel is no larger than the padded input");
        if stride == 1 { padded - kernel + 1 } else { (padded - kernel) / stride + 1 }
    }

    fn image(self) -> [usize; 2] {
        [self.height, self.width]
    }

    fn out_size(self) -> [usize; 2] {
        [self.out_height(), self.out_width()]
    }

    /// Outputs of a channel.
    fn positions(self) -> usize {
        self.out_height() * self.out_width()
    }

    /// Channels of a group's input.
    fn group_inputs(self) -> usize {
        self.in_channels / self.groups
    }

    /// Channels of a group's output.
    fn group_outputs(self) -> usize {
        self.out_channels / self.groups
    }

    /// Inputs that an output reads.
    fn patch_len(self) -> usize {
        self.assert_groups();
        self.group_inputs() * self.kernel[0] * self.kernel[1]
    }

    /// Whether a matrix product of each example's channels does it: outputs are too few to fill registers
    /// of one example below sixteen.
    fn is_pointwise(self) -> bool {
        let unit = self.kernel == [1; 2] && self.stride == [1; 2] && self.padding == [0; 2];
        unit && 16 <= self.positions()
    }

    fn assert_groups(self) {
        let divides = |channels: usize| channels.is_multiple_of(self.groups);
        let whole = 0 < self.groups && divides(self.in_channels) && divides(self.out_channels);
        assert!(whole, "groups divide the channels");
    }
}

/// Scratch, in values, that the forward pass or either gradient of `shape` needs.
pub fn conv2d_scratch_len(shape: Conv2dShape) -> usize {
    shape.assert_groups();
    let weight =
        if weight::is_run(shape) { weight::scratch_len(shape) } else { rows::scratch_len(shape) };
    forward::scratch_len(shape).max(input::scratch_len(shape)).max(weight)
}

/// `y[b, o, r, q] = bias[o] + sum over c, i, j of w[o, c, i, j] x[b, c, r stride + i - padding, ...]`,
/// then, where `rectify`, negative numbers become zero.
///
/// `x`: `f32[batch, in_channels, height, width]`; `w`: `f32[out_channels, in_channels / groups, kernel,
/// kernel]`; `bias`: `f32[out_channels]`; `y`: `f32[batch, out_channels, out_height, out_width]`. Each sum
/// is one chain over channels, rows and columns of the kernel, in order; the bias is added to it.
/// Bit-equal to the product, the bias and the rectifier done apart.
pub fn conv2d_forward(
    shape: Conv2dShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rectify: bool,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    assert_operands(shape, x, w, y);
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_channels), "bias is f32[out_channels]");
    dispatch!(lanes => forward::forward(lanes, shape, x, w, bias, rectify, y, scratch));
}

/// The gradient of [`conv2d_forward`] for `x`, added to `dx` where `accumulate`.
///
/// Each `dx` is one chain over output channels in order and, for each, those taps of the kernel that
/// reach it, from last to first, in the padding too.
pub fn conv2d_grad_input(
    shape: Conv2dShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    assert_operands(shape, dx, w, dy);
    dispatch!(lanes => input::grad_input(lanes, shape, dy, w, dx, accumulate, scratch));
}

/// The gradient of [`conv2d_forward`] for `w`, added to `dw` where `accumulate`.
///
/// Where the taps of a row of the kernel, for all channels of a group, nearly fill registers, each `dw`
/// is the sum, over examples in order, of chains over (at most 1024) positions. Otherwise it has sixteen
/// partial sums, each one chain over examples and positions in order, joined as in [`sum`](super::sum);
/// which of them a position goes to depends on the shape alone.
pub fn conv2d_grad_weight(
    shape: Conv2dShape,
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    let channels = 0..shape.out_channels;
    conv2d_grad_weight_channels(shape, channels, dy, x, dw, accumulate, scratch);
}

/// [`conv2d_grad_weight`] for some of the output channels, with the same bits.
///
/// `dw`: `f32[channels, in_channels / groups, kernel, kernel]`.
///
/// # Panics
///
/// Panics if `channels` are not among those of `shape`.
pub fn conv2d_grad_weight_channels(
    shape: Conv2dShape,
    channels: Range<usize>,
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    assert!(channels.start <= channels.end && channels.end <= shape.out_channels, "channels exist");
    assert_eq!(x.len(), shape.x_len(), "x is f32[batch, in_channels, height, width]");
    assert_eq!(dy.len(), shape.y_len(), "dy is f32[batch, out_channels, out_height, out_width]");
    assert_eq!(dw.len(), channels.len() * shape.patch_len(), "dw has the channels' weights");
    if dw.is_empty() {
        return;
    }
    dispatch!(lanes => if weight::is_run(shape) {
        weight::grad_weight(lanes, shape, channels, dy, x, dw, accumulate, scratch);
    } else {
        rows::grad_weight(lanes, shape, channels, dy, x, dw, accumulate, scratch);
    });
}

fn assert_operands(shape: Conv2dShape, x: &[f32], w: &[f32], y: &[f32]) {
    assert_eq!(x.len(), shape.x_len(), "x is f32[batch, in_channels, height, width]");
    assert_eq!(
        w.len(),
        shape.w_len(),
        "w is f32[out_channels, in_channels / groups, kernel, kernel]"
    );
    assert_eq!(y.len(), shape.y_len(), "y is f32[batch, out_channels, out_height, out_width]");
}
