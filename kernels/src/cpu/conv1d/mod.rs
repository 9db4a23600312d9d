//! One-dimensional convolution (cross-correlation, as PyTorch's `conv1d`).
//!
//! With a stride of one the rows of the matrix that a convolution multiplies by are windows of its padded
//! input, one position apart: products read them where they lie.

mod weight;
mod windows;

use super::dispatch::dispatch;
use super::gemm::{self, Extent, Left, Output, Right};
use super::lanes::{Lanes, Vector};
use super::sweep::{fold_sums, map};
use core::ops::Range;
use weight::window_products;
use windows::{Windows, scatter};

/// A convolution on a batch, zero-padded at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conv1dShape {
    /// Examples in the batch.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Positions of the input.
    pub len: usize,
    /// Positions the kernel spans.
    pub kernel: usize,
    /// Positions between neighbouring outputs.
    pub stride: usize,
    /// Zeros before the first position and after the last.
    pub padding: usize,
}

impl Conv1dShape {
    /// Positions of the output.
    ///
    /// # Panics
    ///
    /// Panics if `kernel` or `stride` is zero, or the kernel is longer than the padded input.
    pub fn out_len(self) -> usize {
        assert!(0 < self.kernel && 0 < self.stride, "a kernel and a stride are at least one");
        let padded = self.len + 2 * self.padding;
        assert!(self.kernel <= padded, "the kernel is no longer than the padded input");
        (padded - self.kernel) / self.stride + 1
    }

    /// Floating-point operations of one of the three products: a fused multiply-add counts two.
    pub fn flops(self) -> u64 {
        2 * (self.batch * self.out_channels * self.patch()) as u64 * self.out_len() as u64
    }

    /// Inputs that an output reads.
    fn patch(self) -> usize {
        self.in_channels * self.kernel
    }

    fn x_len(self) -> usize {
        self.batch * self.in_channels * self.len
    }

    fn y_len(self) -> usize {
        self.batch * self.out_channels * self.out_len()
    }

    fn w_len(self) -> usize {
        self.out_channels * self.patch()
    }

    /// The output positions whose tap `tap` reads the input and not its padding.
    fn inside(self, tap: usize) -> Range<usize> {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.len + self.padding).saturating_sub(tap).div_ceil(self.stride);
        let end = end.min(self.out_len());
        first.min(end)..end
    }

    /// The input position that tap `tap` of output position `at`, of those inside, reads.
    fn source(self, at: usize, tap: usize) -> usize {
        at * self.stride + tap - self.padding
    }

    /// The convolution whose forward pass is this one's gradient for its input, where strides are one
    /// and the padding is below the kernel.
    fn reversed(self) -> Option<Self> {
        let (in_channels, out_channels) = (self.out_channels, self.in_channels);
        let padding = self.kernel.checked_sub(self.padding + 1)?;
        (self.stride == 1).then(|| Self {
            in_channels,
            out_channels,
            len: self.out_len(),
            padding,
            ..self
        })
    }
}

/// Scratch, in values, that the forward pass or either gradient of `shape` needs.
pub fn conv1d_scratch_len(shape: Conv1dShape) -> usize {
    let (patch, out_len) = (shape.patch(), shape.out_len());
    let height = patch.max(shape.out_channels);
    let deepest = patch.max(shape.out_channels * shape.kernel);
    let backward = match shape.reversed() {
        Some(reversed) => Windows::scratch_len(reversed) + shape.w_len(),
        None => patch * out_len + shape.len,
    };
    Windows::scratch_len(shape).max(backward) + gemm::scratch_len(height, deepest)
}

/// `y[b, o, t] = sum over c, tap of w[o, c, tap] x[b, c, t stride + tap - padding] + bias[o]`
///
/// `x`: `f32[batch, in_channels, len]`; `w`: `f32[out_channels, in_channels, kernel]`; `bias`:
/// `f32[out_channels]`; `y`: `f32[batch, out_channels, out_len]`. Each sum is one chain over channels and
/// taps, in order.
pub fn conv1d_forward(
    shape: Conv1dShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    assert_eq!(x.len(), shape.x_len(), "x is f32[batch, in_channels, len]");
    assert_eq!(w.len(), shape.w_len(), "w is f32[out_channels, in_channels, kernel]");
    assert_eq!(y.len(), shape.y_len(), "y is f32[batch, out_channels, out_len]");
    assert!(bias.is_none_or(|bias| bias.len() == shape.out_channels), "bias is f32[out_channels]");
    if x.is_empty() || y.is_empty() {
        return;
    }
    dispatch!(lanes => forward(lanes, shape, x, w, y, Output::Replace, scratch));
    dispatch!(lanes => {
        let channels = y.chunks_exact_mut(shape.out_len());
        for (y, bias) in channels.zip(bias.into_iter().flatten().cycle()) {
            let bias = Vector::splat(lanes, *bias);
            map(lanes, [], [y], #[inline(always)] |[], [y]| [y + bias]);
        }
    });
}

/// The gradient of [`conv1d_forward`] for `x`, added to `dx` where `accumulate`.
///
/// With a stride of one and a padding below the kernel, each `dx` is one chain over output channels in
/// order and, for each, taps from last to first. Otherwise it is the sum, over taps in order, of chains
/// over output channels.
pub fn conv1d_grad_input(
    shape: Conv1dShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    assert_eq!(dx.len(), shape.x_len(), "dx is f32[batch, in_channels, len]");
    assert_eq!(w.len(), shape.w_len(), "w is f32[out_channels, in_channels, kernel]");
    assert_eq!(dy.len(), shape.y_len(), "dy is f32[batch, out_channels, out_len]");
    if dx.is_empty() || dy.is_empty() {
        if !accumulate {
            dx.fill(0.0);
        }
        return;
    }
    let output = if accumulate { Output::Add } else { Output::Replace };
    dispatch!(lanes => match shape.reversed() {
        Some(reversed) => {
            let (reversed_w, scratch) = scratch.split_at_mut(shape.w_len());
            reverse_weight(shape, w, reversed_w);
            forward(lanes, reversed, dy, reversed_w, dx, output, scratch);
        }
        None => backward(lanes, shape, dy, w, dx, output, scratch),
    });
}

/// The gradient of [`conv1d_forward`] for `w`, added to `dw` where `accumulate`.
///
/// Each `dw` has sixteen partial sums, that of position `t` being number `t % 16`; each is one chain over
/// examples and positions, in order. They are joined as in [`sum`](super::sum).
pub fn conv1d_grad_weight(
    shape: Conv1dShape,
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    assert_eq!(x.len(), shape.x_len(), "x is f32[batch, in_channels, len]");
    assert_eq!(dw.len(), shape.w_len(), "dw is f32[out_channels, in_channels, kernel]");
    assert_eq!(dy.len(), shape.y_len(), "dy is f32[batch, out_channels, out_len]");
    dispatch!(lanes => {
        let (windows, _) = Windows::of(lanes, shape, x, scratch);
        window_products(lanes, shape, dy, windows, dw, accumulate);
    });
}

/// `db = sum of dy over examples and positions`, added to `db` where `accumulate`.
///
/// `db`: `f32[out_channels]`. Examples in order; within one, the order of [`sum`](super::sum).
pub fn conv1d_bias_grad(shape: Conv1dShape, dy: &[f32], db: &mut [f32], accumulate: bool) {
    assert_eq!(dy.len(), shape.y_len(), "dy is f32[batch, out_channels, out_len]");
    assert_eq!(db.len(), shape.out_channels, "db is f32[out_channels]");
    let out_len = shape.out_len();
    dispatch!(lanes => {
        for (channel, db) in db.iter_mut().enumerate() {
            let mut total = 0.0;
            for row in dy.chunks_exact(out_len).skip(channel).step_by(shape.out_channels) {
                let [sum] = fold_sums(lanes, [row], #[inline(always)] |[sum], [dy]| [sum + dy]);
                total += sum;
            }
            *db = if accumulate { *db + total } else { total };
        }
    });
}

/// `y = w * x`, without a bias.
#[inline(always)]
fn forward<L: Lanes>(
    lanes: L,
    shape: Conv1dShape,
    x: &[f32],
    w: &[f32],
    y: &mut [f32],
    output: Output,
    scratch: &mut [f32],
) {
    let (patch, out_len) = (shape.patch(), shape.out_len());
    let (windows, scratch) = Windows::of(lanes, shape, x, scratch);
    let extent = Extent { m: shape.out_channels, n: out_len, k: patch };
    let left = Left { values: w, row: patch, column: 1 };
    for (example, y) in y.chunks_exact_mut(shape.out_channels * out_len).enumerate() {
        let Windows { taps, channel, .. } = windows;
        let right = Right::Sliding { values: windows.example(example), taps, channel };
        gemm::product(lanes, extent, left, right, y, output, scratch);
    }
}

/// `dx` through what each output position would have added to each of its inputs.
#[inline(always)]
fn backward<L: Lanes>(
    lanes: L,
    shape: Conv1dShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    output: Output,
    scratch: &mut [f32],
) {
    let (patch, out_len) = (shape.patch(), shape.out_len());
    let (patches, scratch) = scratch.split_at_mut(patch * out_len);
    let (sums, scratch) = scratch.split_at_mut(shape.len);
    let extent = Extent { m: patch, n: out_len, k: shape.out_channels };
    let left = Left { values: w, row: 1, column: patch };
    let examples = dx.chunks_exact_mut(shape.in_channels * shape.len);
    for (dx, dy) in examples.zip(dy.chunks_exact(shape.out_channels * out_len)) {
        let right = Right::Plain(dy);
        gemm::product(lanes, extent, left, right, patches, Output::Replace, scratch);
        let channels = dx.chunks_exact_mut(shape.len);
        for (dx, rows) in channels.zip(patches.chunks_exact(shape.kernel * out_len)) {
            scatter(shape, rows, sums);
            if output == Output::Add {
                map(
                    lanes,
                    [&*sums],
                    [dx],
                    #[inline(always)]
                    |[sum], [dx]| [dx + sum],
                );
            } else {
                dx.copy_from_slice(sums);
            }
        }
    }
}

/// `w` with its channels exchanged and its taps from last to first: `f32[in_channels, out_channels,
/// kernel]`.
fn reverse_weight(shape: Conv1dShape, w: &[f32], reversed: &mut [f32]) {
    let Conv1dShape { in_channels, out_channels, kernel, .. } = shape;
    for (at, taps) in reversed.chunks_exact_mut(kernel).enumerate() {
        let (channel, out) = (at / out_channels, at % out_channels);
        let w = &w[(out * in_channels + channel) * kernel..][..kernel];
        for (reversed, w) in taps.iter_mut().zip(w.iter().rev()) {
            *reversed = *w;
        }
    }
}
