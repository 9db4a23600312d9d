//! One-dimensional convolution (cross-correlation, as PyTorch's `conv1d`), through matrix products.

use super::dispatch::dispatch;
use super::gemm::{self, Extent, Left, Output, Right};
use super::lanes::{Lanes, REDUCTION_LANES, Vector, join};
use super::sweep::{fold_sums, map};
use core::ops::Range;

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

    /// Whether the patches of an example are the example itself.
    fn is_pointwise(self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }
}

/// Scratch, in values, that the forward pass or either gradient of `shape` needs.
pub fn conv1d_scratch_len(shape: Conv1dShape) -> usize {
    let (patch, out_len) = (shape.patch(), shape.out_len());
    let product = gemm::scratch_len(patch.max(shape.out_channels), patch.max(shape.out_channels));
    patch * out_len + shape.len + product.max(REDUCTION_LANES * shape.w_len())
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
    let (patch, out_len) = (shape.patch(), shape.out_len());
    if x.is_empty() || y.is_empty() {
        return;
    }
    let (patches, scratch) = scratch.split_at_mut(patch * out_len);
    let extent = Extent { m: shape.out_channels, n: out_len, k: patch };
    let left = Left { values: w, row: patch, column: 1 };
    dispatch!(lanes => {
        let examples = x.chunks_exact(shape.in_channels * shape.len);
        for (x, y) in examples.zip(y.chunks_exact_mut(shape.out_channels * out_len)) {
            let right = Right::Plain(gather(lanes, shape, x, patches));
            gemm::product(lanes, extent, left, right, y, Output::Replace, scratch);
            for (y, bias) in y.chunks_exact_mut(out_len).zip(bias.into_iter().flatten()) {
                let bias = Vector::splat(lanes, *bias);
                map(lanes, [], [y], #[inline(always)] |[], [y]| [y + bias]);
            }
        }
    });
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
    let (sums, scratch) = scratch.split_at_mut(shape.len);
    let extent = Extent { m: patch, n: out_len, k: shape.out_channels };
    let left = Left { values: w, row: 1, column: patch };
    dispatch!(lanes => {
        let examples = dx.chunks_exact_mut(shape.in_channels * shape.len);
        for (dx, dy) in examples.zip(dy.chunks_exact(shape.out_channels * out_len)) {
            let right = Right::Plain(dy);
            gemm::product(lanes, extent, left, right, patches, Output::Replace, scratch);
            for (dx, rows) in
                dx.chunks_exact_mut(shape.len).zip(patches.chunks_exact(shape.kernel * out_len))
            {
                scatter(lanes, shape, rows, sums);
                if accumulate {
                    map(lanes, [&*sums], [dx], #[inline(always)] |[sum], [dx]| [dx + sum]);
                } else {
                    map(lanes, [&*sums], [dx], #[inline(always)] |[sum], _| [sum]);
                }
            }
        }
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
    let out_len = shape.out_len();
    let (patches, scratch) = scratch.split_at_mut(shape.patch() * out_len);
    let parts = &mut scratch[..REDUCTION_LANES * shape.w_len()];
    parts.fill(0.0);
    dispatch!(lanes => {
        if !x.is_empty() && !dy.is_empty() {
            let examples = x.chunks_exact(shape.in_channels * shape.len);
            for (x, dy) in examples.zip(dy.chunks_exact(shape.out_channels * out_len)) {
                let patches = gather(lanes, shape, x, patches);
                add_products(lanes, out_len, dy, patches, parts);
            }
        }
        for (dw, parts) in dw.iter_mut().zip(parts.chunks_exact(REDUCTION_LANES)) {
            let total = joined(lanes, parts);
            *dw = if accumulate { *dw + total } else { total };
        }
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

/// What each output position of an example reads: `f32[in_channels * kernel, out_len]`.
#[inline(always)]
fn gather<'a, L: Lanes>(
    lanes: L,
    shape: Conv1dShape,
    x: &'a [f32],
    patches: &'a mut [f32],
) -> &'a [f32] {
    if shape.is_pointwise() {
        return x;
    }
    let rows = patches.chunks_exact_mut(shape.out_len());
    for (row, patch) in rows.enumerate() {
        let (channel, tap) = (row / shape.kernel, row % shape.kernel);
        let x = &x[channel * shape.len..][..shape.len];
        let inside = shape.inside(tap);
        patch[..inside.start].fill(0.0);
        patch[inside.end..].fill(0.0);
        if inside.is_empty() {
            continue;
        }
        let first = shape.source(inside.start, tap);
        let patch = &mut patch[inside];
        if shape.stride == 1 {
            let x = &x[first..][..patch.len()];
            map(
                lanes,
                [x],
                [patch],
                #[inline(always)]
                |[x], _| [x],
            );
        } else {
            for (patch, x) in patch.iter_mut().zip(x[first..].iter().step_by(shape.stride)) {
                *patch = *x;
            }
        }
    }
    patches
}

/// Adds up, at each input position of a channel, what [`gather`] laid out from it, tap after tap.
#[inline(always)]
fn scatter<L: Lanes>(lanes: L, shape: Conv1dShape, rows: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for (tap, row) in rows.chunks_exact(shape.out_len()).enumerate() {
        let inside = shape.inside(tap);
        if inside.is_empty() {
            continue;
        }
        let sums = &mut sums[shape.source(inside.start, tap)..];
        let row = &row[inside];
        if shape.stride == 1 {
            let sums = &mut sums[..row.len()];
            map(
                lanes,
                [row],
                [sums],
                #[inline(always)]
                |[value], [sum]| [sum + value],
            );
        } else {
            for (sum, value) in sums.iter_mut().step_by(shape.stride).zip(row) {
                *sum += value;
            }
        }
    }
}

/// `parts[i, j, t % 16] += a[i, t] b[j, t]` for each row `i` of `a` and `j` of `b`, rows of `len`.
#[inline(always)]
fn add_products<L: Lanes>(lanes: L, len: usize, a: &[f32], b: &[f32], parts: &mut [f32]) {
    let row_len = b.len() / len * REDUCTION_LANES;
    for (a, parts) in a.chunks(BLOCK * len).zip(parts.chunks_mut(BLOCK * row_len)) {
        for (j, b) in b.chunks(BLOCK * len).enumerate() {
            let parts = &mut parts[j * BLOCK * REDUCTION_LANES..];
            match (a.len() == BLOCK * len, b.len() == BLOCK * len) {
                (true, true) => add_block::<L, BLOCK, BLOCK>(lanes, len, a, b, parts, row_len),
                (true, false) => {
                    for (j, b) in b.chunks_exact(len).enumerate() {
                        let parts = &mut parts[j * REDUCTION_LANES..];
                        add_block::<L, BLOCK, 1>(lanes, len, a, b, parts, row_len);
                    }
                }
                (false, true) => {
                    for (i, a) in a.chunks_exact(len).enumerate() {
                        let parts = &mut parts[i * row_len..];
                        add_block::<L, 1, BLOCK>(lanes, len, a, b, parts, row_len);
                    }
                }
                (false, false) => {
                    for (i, a) in a.chunks_exact(len).enumerate() {
                        for (j, b) in b.chunks_exact(len).enumerate() {
                            let parts = &mut parts[i * row_len + j * REDUCTION_LANES..];
                            add_block::<L, 1, 1>(lanes, len, a, b, parts, row_len);
                        }
                    }
                }
            }
        }
    }
}

/// Rows of each operand multiplied together: as many sums as AVX2 has registers for.
const BLOCK: usize = 3;

/// [`add_products`] for `A` rows by `B`, the parts of a row of `a` lying `stride` apart.
#[inline(always)]
fn add_block<L: Lanes, const A: usize, const B: usize>(
    lanes: L,
    len: usize,
    a: &[f32],
    b: &[f32],
    parts: &mut [f32],
    stride: usize,
) {
    assert_eq!([a.len(), b.len()], [A * len, B * len]);
    for part in (0..REDUCTION_LANES.min(len)).step_by(L::LANES) {
        let mut sums = [[Vector::splat(lanes, 0.0); B]; A];
        for (i, sums) in sums.iter_mut().enumerate() {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = Vector::load(lanes, &parts[i * stride + j * REDUCTION_LANES + part..]);
            }
        }
        for at in (part..len).step_by(REDUCTION_LANES) {
            let mask = lanes.first(len - at);
            let mut right = [Vector::splat(lanes, 0.0); B];
            for (j, right) in right.iter_mut().enumerate() {
                // SAFETY: the mask ends where the row does.
                right.raw = unsafe { lanes.load_masked(mask, b.as_ptr().add(j * len + at)) };
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the mask ends where the row does.
                let left = unsafe { lanes.load_masked(mask, a.as_ptr().add(i * len + at)) };
                let left = Vector::new(lanes, left);
                for (sum, right) in sums.iter_mut().zip(&right) {
                    *sum = left.mul_add(*right, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                sum.store(&mut parts[i * stride + j * REDUCTION_LANES + part..]);
            }
        }
    }
}

/// Sixteen partial sums, joined.
#[inline(always)]
fn joined<L: Lanes>(lanes: L, parts: &[f32]) -> f32 {
    let mut registers = [Vector::splat(lanes, 0.0); REDUCTION_LANES];
    for (register, part) in registers.iter_mut().zip(parts.chunks_exact(L::LANES)) {
        *register = Vector::load(lanes, part);
    }
    join(
        registers,
        #[inline(always)]
        |a, b| a + b,
    )
}
