//! Pooling over windows of images: maximum and average.
//!
//! Windows are taken a register at a time, one lane a window. Those two columns wide that lie side by side,
//! the usual ones, have a way of their own. For others an image that fits the stack is copied there with
//! its padding, and its gradient is summed there; larger images are walked with more care.

mod paired;
mod tiles;
mod windows;

use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// Windows over a batch of images, `f32[batch, channels, height, width]`.
///
/// Padding lies on both sides of the image, and as in PyTorch is at most half the kernel. Windows that
/// would reach beyond it are left out (PyTorch's `ceil_mode = false`).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolShape {
    /// Examples in the batch.
    pub batch: usize,
    /// Channels of an example.
    pub channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Rows and columns from a window to the next.
    pub stride: [usize; 2],
    /// Rows and columns of padding on each side.
    pub padding: [usize; 2],
}

impl PoolShape {
    /// The shape of `n_examples` times as many examples.
    pub const fn times(self, n_examples: usize) -> Self {
        Self { batch: self.batch * n_examples, ..self }
    }

    /// Rows of the output.
    ///
    /// # Panics
    ///
    /// Panics if there is no row, `kernel` or `stride` is zero, the padding is above half the kernel, or
    /// the kernel is longer than the padded rows.
    pub fn out_height(self) -> usize {
        self.rows().n_windows()
    }

    /// Columns of the output.
    ///
    /// # Panics
    ///
    /// Panics as [`out_height`](Self::out_height) does, for columns.
    pub fn out_width(self) -> usize {
        self.columns().n_windows()
    }

    /// Values of the input.
    pub fn x_len(self) -> usize {
        self.planes() * self.plane_len()
    }

    /// Values of the output.
    pub fn y_len(self) -> usize {
        self.planes() * self.out_height() * self.out_width()
    }

    /// Images of one channel.
    fn planes(self) -> usize {
        self.batch * self.channels
    }

    fn plane_len(self) -> usize {
        self.height * self.width
    }

    fn rows(self) -> Axis {
        Axis::of(self.height, self.kernel[0], self.stride[0], self.padding[0])
    }

    fn columns(self) -> Axis {
        Axis::of(self.width, self.kernel[1], self.stride[1], self.padding[1])
    }

    /// Rows and columns of an image with its padding written out.
    fn padded_axes(self) -> (Axis, Axis) {
        let padded = |axis: Axis| Axis { len: axis.len + 2 * axis.padding, padding: 0, ..axis };
        (padded(self.rows()), padded(self.columns()))
    }

    fn padded_len(self) -> usize {
        let (rows, columns) = self.padded_axes();
        rows.len * columns.len
    }

    fn window_len(self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether windows are two columns wide, side by side and without padding.
    fn is_paired(self) -> bool {
        [self.kernel[1], self.stride[1]] == [2, 2] && self.padding == [0, 0]
    }

    fn assert_lens(self, x_len: usize, y_len: usize) {
        assert_eq!(x_len, self.x_len(), "x is f32[batch, channels, height, width]");
        assert_eq!(y_len, self.y_len(), "y is f32[batch, channels, out_height, out_width]");
    }
}

/// `y = maximum of x over each window`; padding counts as negative infinity.
///
/// `x`: `f32[batch, channels, height, width]`; `y`: `f32[batch, channels, out_height, out_width]`. As in
/// PyTorch a NaN is larger than any number, and of equal values the first in row-major order is taken.
pub fn max_pool2d_forward(shape: PoolShape, x: &[f32], y: &mut [f32]) {
    forward::<Maximum>(shape, x, y);
}

/// The gradient of [`max_pool2d_forward`]: each window gives its `dy` to the value that was taken, or to
/// its last NaN, as PyTorch does; added to `dx` where `accumulate`.
///
/// Nothing is kept by the forward pass: the windows of `x` are searched again. A `dx` sums over its
/// windows in row-major order. `y` is not read; its length is checked.
pub fn max_pool2d_grad(
    shape: PoolShape,
    dy: &[f32],
    x: &[f32],
    y: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    shape.assert_lens(x.len(), y.len());
    shape.assert_lens(dx.len(), dy.len());
    dispatch!(lanes => {
        if shape.is_paired() && shape.kernel[0] == shape.stride[0] {
            clear_uncovered(shape, dx, accumulate);
            paired::max_grad(lanes, shape, dy, x, dx, accumulate);
        } else if shape.padded_len() <= windows::PLANE_MAX {
            windows::max_grad(lanes, shape, dy, x, dx, accumulate);
        } else {
            tiles::max_grad(lanes, shape, dy, x, dx, accumulate);
        }
    });
}

/// `y = mean of x over each window`, the padding counted as zeros: PyTorch's `count_include_pad = true`.
///
/// `x`: `f32[batch, channels, height, width]`; `y`: `f32[batch, channels, out_height, out_width]`. Each
/// sum is one chain over its window in row-major order.
pub fn avg_pool2d_forward(shape: PoolShape, x: &[f32], y: &mut [f32]) {
    forward::<Average>(shape, x, y);
}

/// The gradient of [`avg_pool2d_forward`]: each window gives an equal share of its `dy` to its values;
/// added to `dx` where `accumulate`.
///
/// A `dx` sums over those of its windows that lie side by side, from left to right, then over such rows.
pub fn avg_pool2d_grad(shape: PoolShape, dy: &[f32], dx: &mut [f32], accumulate: bool) {
    shape.assert_lens(dx.len(), dy.len());
    dispatch!(lanes => {
        if shape.is_paired() && shape.kernel[0] == shape.stride[0] {
            clear_uncovered(shape, dx, accumulate);
            paired::avg_grad(lanes, shape, dy, dx, accumulate);
        } else if shape.padded_len() <= windows::PLANE_MAX {
            windows::avg_grad(lanes, shape, dy, dx, accumulate);
        } else {
            tiles::avg_grad(lanes, shape, dy, dx, accumulate);
        }
    });
}

fn forward<K: Pooling>(shape: PoolShape, x: &[f32], y: &mut [f32]) {
    shape.assert_lens(x.len(), y.len());
    dispatch!(lanes => {
        if shape.is_paired() {
            paired::forward::<_, K>(lanes, shape, x, y);
        } else {
            windows::forward::<_, K>(lanes, shape, x, y);
        }
    });
}

/// Zeros where windows that tile the image may leave rows or columns over.
fn clear_uncovered(shape: PoolShape, dx: &mut [f32], accumulate: bool) {
    let exact = shape.height.is_multiple_of(shape.kernel[0]) && shape.width.is_multiple_of(2);
    if !accumulate && !exact {
        dx.fill(0.0);
    }
}

/// Windows along the rows or the columns of an image.
#[derive(Clone, Copy)]
struct Axis {
    len: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Axis {
    fn of(len: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        assert!(0 < len, "an image has rows and columns");
        assert!(0 < kernel && 0 < stride, "a kernel and a stride are at least one");
        assert!(padding <= kernel / 2, "padding is at most half the kernel");
        assert!(kernel <= len + 2 * padding, "the kernel is no longer than the padded input");
        Self { len, kernel, stride, padding }
    }

    fn n_windows(self) -> usize {
        (self.len + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// The taps of window `at` that lie on the image.
    #[inline(always)]
    fn taps(self, at: usize) -> Range<usize> {
        let start = at * self.stride;
        self.padding.saturating_sub(start)..(self.len + self.padding - start).min(self.kernel)
    }

    /// Where tap `tap` of window `at`, of those on the image, lies.
    #[inline(always)]
    fn source(self, at: usize, tap: usize) -> usize {
        at * self.stride + tap - self.padding
    }

    /// The windows that lie on the image with all their taps.
    fn inside(self) -> Range<usize> {
        let first = self.padding.div_ceil(self.stride);
        let end = (self.len + self.padding).checked_sub(self.kernel);
        let end = end.map_or(0, |last| last / self.stride + 1);
        first..end
    }

    /// The windows with a tap in `positions`.
    fn windows_over(self, positions: Range<usize>) -> Range<usize> {
        let first = (positions.start + self.padding + 1).saturating_sub(self.kernel);
        let end = (positions.end + self.padding).div_ceil(self.stride);
        first.div_ceil(self.stride)..end.min(self.n_windows())
    }

    /// Calls `f` with runs of `windows`, first and number, that have the same taps; `most` at a time.
    #[inline(always)]
    fn each_run(
        self,
        windows: Range<usize>,
        most: usize,
        mut f: impl FnMut(usize, usize, Range<usize>),
    ) {
        let inside = self.inside();
        let mut at = windows.start;
        while at < windows.end {
            let n_windows =
                if inside.contains(&at) { (inside.end.min(windows.end) - at).min(most) } else { 1 };
            f(at, n_windows, self.taps(at));
            at += n_windows;
        }
    }
}

/// What is made of a window's values.
trait Pooling {
    /// Before the first value.
    const START: f32;
    /// With one more value.
    fn step<L: Lanes>(sum: Vector<L>, x: Vector<L>) -> Vector<L>;
    /// With all values of a window of `window_len`.
    fn finish<L: Lanes>(sum: Vector<L>, window_len: usize) -> Vector<L>;
}

struct Maximum;
struct Average;

impl Pooling for Maximum {
    const START: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn step<L: Lanes>(max: Vector<L>, x: Vector<L>) -> Vector<L> {
        x.select(x.lanes.is_nan(x.raw), max.max(x))
    }
    #[inline(always)]
    fn finish<L: Lanes>(max: Vector<L>, _: usize) -> Vector<L> {
        max
    }
}

impl Pooling for Average {
    const START: f32 = 0.0;
    #[inline(always)]
    fn step<L: Lanes>(sum: Vector<L>, x: Vector<L>) -> Vector<L> {
        sum + x
    }
    #[inline(always)]
    fn finish<L: Lanes>(sum: Vector<L>, window_len: usize) -> Vector<L> {
        sum / sum.constant(window_len as f32)
    }
}
