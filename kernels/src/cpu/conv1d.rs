//! One-dimensional convolution (cross-correlation, as PyTorch's `conv1d`), through matrix products.

use super::dispatch::dispatch;
use super::gemm::{self, Extent, Left, Output, Right};
use super::reduce;

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

    /// The input position that tap `tap` of output position `at` reads, if it is not padding.
    fn source(self, at: usize, tap: usize) -> Option<usize> {
        (at * self.stride + tap).checked_sub(self.padding).filter(|source| *source < self.len)
    }
}

/// Scratch, in values, that the forward pass or either gradient of `shape` needs.
pub fn conv1d_scratch_len(shape: Conv1dShape) -> usize {
    let out_len = shape.out_len();
    let depth = shape.patch().max(shape.out_channels).max(out_len);
    let height = shape.patch().max(shape.out_channels);
    shape.patch() * out_len + shape.w_len() + gemm::scratch_len(height, depth)
}

/// `y[b, o, t] = sum over c, tap of w[o, c, tap] x[b, c, t stride + tap - padding] + bias[o]`
///
/// `x`: `f32[batch, in_channels, len]`; `w`: `f32[out_channels, in_channels, kernel]`; `bias`:
/// `f32[out_channels]`; `y`: `f32[batch, out_channels, out_len]`.
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
    let (patch, out_len) = (shape.patch(), shape.out_len());
    if x.is_empty() || y.is_empty() {
        return;
    }
    let (patches, scratch) = scratch.split_at_mut(patch * out_len);
    let extent = Extent { m: shape.out_channels, n: out_len, k: patch };
    let left = Left { values: w, row: patch, column: 1 };
    let examples = x.chunks_exact(shape.in_channels * shape.len);
    for (x, y) in examples.zip(y.chunks_exact_mut(shape.out_channels * out_len)) {
        gather(shape, x, patches, false);
        dispatch!(lanes => {
            gemm::product(lanes, extent, left, Right::Plain(patches), y, Output::Replace, scratch)
        });
        if let Some(bias) = bias {
            assert_eq!(bias.len(), shape.out_channels, "bias is f32[out_channels]");
            for (y, bias) in y.chunks_exact_mut(out_len).zip(bias) {
                y.iter_mut().for_each(|y| *y += bias);
            }
        }
    }
}

/// The gradient of [`conv1d_forward`] for `x`, added to `dx` where `accumulate`.
///
/// Each `dx` is the sum, over its taps in order, of chains over output channels.
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
    let (patch, out_len) = (shape.patch(), shape.out_len());
    if dx.is_empty() || dy.is_empty() {
        if !accumulate {
            dx.fill(0.0);
        }
        return;
    }
    let (patches, scratch) = scratch.split_at_mut(patch * out_len);
    let extent = Extent { m: patch, n: out_len, k: shape.out_channels };
    let left = Left { values: w, row: 1, column: patch };
    let examples = dx.chunks_exact_mut(shape.in_channels * shape.len);
    for (dx, dy) in examples.zip(dy.chunks_exact(shape.out_channels * out_len)) {
        dispatch!(lanes => {
            gemm::product(lanes, extent, left, Right::Plain(dy), patches, Output::Replace, scratch)
        });
        scatter(shape, patches, dx, accumulate);
    }
}

/// The gradient of [`conv1d_forward`] for `w`, added to `dw` where `accumulate`.
///
/// Each `dw` is one chain over examples and output positions, in order.
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
    let (patch, out_len) = (shape.patch(), shape.out_len());
    let (patches, scratch) = scratch.split_at_mut(patch * out_len);
    let (sums, scratch) = scratch.split_at_mut(shape.w_len());
    sums.fill(0.0);
    let extent = Extent { m: shape.out_channels, n: patch, k: out_len };
    if !x.is_empty() && !dy.is_empty() {
        let examples = x.chunks_exact(shape.in_channels * shape.len);
        for (x, dy) in examples.zip(dy.chunks_exact(shape.out_channels * out_len)) {
            gather(shape, x, patches, true);
            let left = Left { values: dy, row: out_len, column: 1 };
            let right = Right::Plain(patches);
            dispatch!(lanes => {
                gemm::product(lanes, extent, left, right, sums, Output::Continue, scratch)
            });
        }
    }
    if accumulate { super::add_assign(dw, sums) } else { dw.copy_from_slice(sums) }
}

/// `db = sum of dy over examples and positions`, added to `db` where `accumulate`.
///
/// `db`: `f32[out_channels]`. Examples in order; within one, the order of [`sum`](super::sum).
pub fn conv1d_bias_grad(shape: Conv1dShape, dy: &[f32], db: &mut [f32], accumulate: bool) {
    assert_eq!(dy.len(), shape.y_len(), "dy is f32[batch, out_channels, out_len]");
    assert_eq!(db.len(), shape.out_channels, "db is f32[out_channels]");
    let out_len = shape.out_len();
    for (channel, db) in db.iter_mut().enumerate() {
        let rows = dy.chunks_exact(out_len).skip(channel).step_by(shape.out_channels);
        let total = rows.fold(0.0, |total, row| total + reduce::sum(row));
        *db = if accumulate { *db + total } else { total };
    }
}

/// Lays out what each output position reads: `f32[in_channels * kernel, out_len]`, or its transpose.
fn gather(shape: Conv1dShape, x: &[f32], patches: &mut [f32], transposed: bool) {
    let (patch, out_len) = (shape.patch(), shape.out_len());
    let [row, column] = if transposed { [1, patch] } else { [out_len, 1] };
    for (channel, x) in x.chunks_exact(shape.len).enumerate() {
        for tap in 0..shape.kernel {
            for at in 0..out_len {
                let value = shape.source(at, tap).map_or(0.0, |source| x[source]);
                patches[(channel * shape.kernel + tap) * row + at * column] = value;
            }
        }
    }
}

/// Adds up, at each input position, what was laid out from it; the inverse walk of [`gather`].
fn scatter(shape: Conv1dShape, patches: &[f32], dx: &mut [f32], accumulate: bool) {
    let out_len = shape.out_len();
    for (channel, dx) in dx.chunks_exact_mut(shape.len).enumerate() {
        for (source, dx) in dx.iter_mut().enumerate() {
            let mut total = 0.0;
            for tap in 0..shape.kernel {
                // The output that reads this position by this tap, if there is one.
                let Some(ahead) = (source + shape.padding).checked_sub(tap) else { continue };
                if ahead.is_multiple_of(shape.stride) && ahead / shape.stride < out_len {
                    let row = channel * shape.kernel + tap;
                    total += patches[row * out_len + ahead / shape.stride];
                }
            }
            *dx = if accumulate { *dx + total } else { total };
        }
    }
}
