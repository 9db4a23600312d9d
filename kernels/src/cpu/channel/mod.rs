//! Means, factors, biases and gates of whole channels: what is shared by the positions of an image or a
//! sequence.

mod walk;

use walk::map_channels;
pub(crate) use walk::{BLOCK_MAX, blocks, fold_channels};

use super::dispatch::dispatch;
use super::elementwise;
use super::lanes::{Lanes, Vector};
use super::math::sigmoid;
use super::slice_loops::{fold_sums, map};
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// Data `f32[batch, channels, len]`: images with their rows end to end, sequences, or plain vectors
/// (`len` of one).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelShape {
    /// Examples in the batch.
    pub batch: usize,
    /// Channels of an example.
    pub channels: usize,
    /// Positions of a channel: height times width.
    pub len: usize,
}

impl ChannelShape {
    /// The shape of `n_examples` times as many examples.
    pub const fn times(self, n_examples: usize) -> Self {
        Self { batch: self.batch * n_examples, ..self }
    }

    /// Values of the data.
    ///
    /// # Panics
    ///
    /// Panics if they are more than `usize` counts.
    pub fn data_len(self) -> usize {
        let rows = self.batch.checked_mul(self.channels);
        rows.and_then(|rows| rows.checked_mul(self.len)).expect("data fits in memory")
    }

    /// The same data with a channel for each of an example's: what has a number for each.
    fn each_row(self) -> Self {
        Self { batch: 1, channels: self.batch * self.channels, ..self }
    }

    fn all(self) -> Range<usize> {
        0..self.channels
    }
}

/// `y = mean of x over its positions`; `x`: `f32[batch, channels, len]`, `y`: `f32[batch, channels]`.
///
/// Sums in the order of [`sum`](super::sum). Zero where there is no position.
pub fn channel_mean(shape: ChannelShape, x: &[f32], y: &mut [f32]) {
    assert_eq!(y.len(), shape.batch * shape.channels, "y is f32[batch, channels]");
    assert_data(shape, [x]);
    match shape.len {
        0 => return y.fill(0.0),
        1 => return y.copy_from_slice(x),
        _ => {}
    }
    let count = shape.len as f32;
    dispatch!(lanes => {
        for (x, y) in x.chunks_exact(shape.len).zip(y) {
            let [sum] = fold_sums(lanes, [x], #[inline(always)] |[sum], [x]| [sum + x]);
            *y = sum / count;
        }
    });
}

/// The gradient of [`channel_mean`]: `dx = dy / len` at every position, added to `dx` where `accumulate`.
pub fn channel_mean_grad(shape: ChannelShape, dy: &[f32], dx: &mut [f32], accumulate: bool) {
    let rows = ChannelShape { len: 1, ..shape };
    match shape.len {
        1 if accumulate => return elementwise::add_assign(dx, dy),
        1 => return dx.copy_from_slice(dy),
        _ => assert_data(rows, [dy]),
    }
    dispatch!(lanes => {
        let count = Vector::splat(lanes, shape.len as f32);
        let shape = shape.each_row();
        spread(lanes, shape, [dy], [], dx, accumulate, #[inline(always)] |[dy], []| dy / count);
    });
}

/// `y = s x`, a factor for each channel of each example; `s`: `f32[batch, channels]`.
pub fn channel_multiply(shape: ChannelShape, x: &[f32], s: &[f32], y: &mut [f32]) {
    assert_eq!(s.len(), shape.batch * shape.channels, "s is f32[batch, channels]");
    if shape.len == 1 {
        elementwise::multiply(s, x, y);
        return;
    }
    dispatch!(lanes => {
        spread(lanes, shape.each_row(), [s], [x], y, false, #[inline(always)] |[s], [x]| s * x);
    });
}

/// The gradient of [`channel_multiply`] for `x`: `dx = s dy`, added to `dx` where `accumulate`.
pub fn channel_multiply_grad_x(
    shape: ChannelShape,
    dy: &[f32],
    s: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(s.len(), shape.batch * shape.channels, "s is f32[batch, channels]");
    if shape.len == 1 {
        elementwise::multiply_grad(s, dy, dx, accumulate);
        return;
    }
    dispatch!(lanes => {
        let shape = shape.each_row();
        spread(lanes, shape, [s], [dy], dx, accumulate, #[inline(always)] |[s], [dy]| s * dy);
    });
}

/// The gradient of [`channel_multiply`] for `s`: `ds = sum of dy x over positions`, in the order of
/// [`sum`](super::sum), added to `ds` where `accumulate`.
pub fn channel_multiply_grad_s(
    shape: ChannelShape,
    dy: &[f32],
    x: &[f32],
    ds: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(ds.len(), shape.batch * shape.channels, "ds is f32[batch, channels]");
    assert_data(shape, [dy, x]);
    match shape.len {
        0 if accumulate => return,
        0 => return ds.fill(0.0),
        1 => return elementwise::multiply_grad(dy, x, ds, accumulate),
        _ => {}
    }
    dispatch!(lanes => {
        let rows = dy.chunks_exact(shape.len).zip(x.chunks_exact(shape.len));
        for ((dy, x), ds) in rows.zip(ds) {
            let [sum] =
                fold_sums(lanes, [dy, x], #[inline(always)] |[sum], [dy, x]| [dy.mul_add(x, sum)]);
            *ds = if accumulate { *ds + sum } else { sum };
        }
    });
}

/// `y = x + bias`, a bias for each channel; `bias`: `f32[channels]`.
pub fn channel_bias(shape: ChannelShape, x: &[f32], bias: &[f32], y: &mut [f32]) {
    dispatch!(lanes => {
        spread(lanes, shape, [bias], [x], y, false, #[inline(always)] |[bias], [x]| x + bias);
    });
}

/// `db = sum of dy over the batch and positions`; `db`: `f32[channels]`, overwritten.
///
/// Where there is one position, one chain over the batch. Elsewhere sixteen partial sums an example, that
/// of position `t` being number `t % 16`; these are added example after example, and the sixteen then
/// joined as in [`sum`](super::sum).
pub fn channel_bias_grad(shape: ChannelShape, dy: &[f32], db: &mut [f32]) {
    dispatch!(lanes => {
        fold_channels(lanes, shape, shape.all(), [], [dy], [db], #[inline(always)] |[sum], [], [dy]| {
            [sum + dy]
        });
    });
}

/// `y = w x`, a factor for each channel; `w`: `f32[channels]`.
pub fn channel_scale(shape: ChannelShape, x: &[f32], w: &[f32], y: &mut [f32]) {
    dispatch!(lanes => {
        spread(lanes, shape, [w], [x], y, false, #[inline(always)] |[w], [x]| w * x);
    });
}

/// The gradient of [`channel_scale`].
///
/// `dx = w dy`, added to `dx` where `accumulate_dx`. Where `want_params`, `dw`, `f32[channels]`, is overwritten
/// with the sums of `dy x` over the batch and positions, in the order of [`channel_bias_grad`]; otherwise
/// it is not touched and may be empty.
pub fn channel_scale_backward(
    shape: ChannelShape,
    dy: &[f32],
    x: &[f32],
    w: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    dispatch!(lanes => {
        if want_params {
            product_sums(lanes, shape, dy, x, dw);
        }
        spread(lanes, shape, [w], [dy], dx, accumulate_dx, #[inline(always)] |[w], [dy]| w * dy);
    });
}

/// `y = sigmoid(w) x`, a gate for each channel; `w`: `f32[channels]`.
pub fn channel_gate(shape: ChannelShape, x: &[f32], w: &[f32], y: &mut [f32]) {
    dispatch!(lanes => {
        spread(lanes, shape, [w], [x], y, false, #[inline(always)] |[w], [x]| sigmoid(w) * x);
    });
}

/// The gradient of [`channel_gate`].
///
/// `dx = sigmoid(w) dy`, added to `dx` where `accumulate_dx`. Where `want_params`, `dw`, `f32[channels]`, is
/// overwritten with `s (1 - s)`, `s = sigmoid(w)`, times the sums of `dy x` over the batch and positions,
/// in the order of [`channel_bias_grad`]; otherwise it is not touched and may be empty.
pub fn channel_gate_backward(
    shape: ChannelShape,
    dy: &[f32],
    x: &[f32],
    w: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    dispatch!(lanes => {
        if want_params {
            product_sums(lanes, shape, dy, x, dw);
            map(lanes, [w], [dw], #[inline(always)] |[w], [sum]| {
                let gate = sigmoid(w);
                [(-gate).mul_add(gate, gate) * sum]
            });
        }
        spread(lanes, shape, [w], [dy], dx, accumulate_dx, #[inline(always)] |[w], [dy]| {
            sigmoid(w) * dy
        });
    });
}

/// `y = f(params, reads)` in some channels, added to `y` where `accumulate`; `params` as in [`map_channels`].
#[inline(always)]
pub(crate) fn write_channels<L: Lanes, const P: usize, const R: usize>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    y: &mut [f32],
    accumulate: bool,
    f: impl Fn([Vector<L>; P], [Vector<L>; R]) -> Vector<L>,
) {
    if accumulate {
        map_channels(
            lanes,
            shape,
            channels,
            params,
            reads,
            y,
            #[inline(always)]
            |params, reads, y| y + f(params, reads),
        );
    } else {
        map_channels(
            lanes,
            shape,
            channels,
            params,
            reads,
            y,
            #[inline(always)]
            |params, reads, _| f(params, reads),
        );
    }
}

/// [`write_channels`] in all of them.
#[inline(always)]
fn spread<L: Lanes, const P: usize, const R: usize>(
    lanes: L,
    shape: ChannelShape,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    y: &mut [f32],
    accumulate: bool,
    f: impl Fn([Vector<L>; P], [Vector<L>; R]) -> Vector<L>,
) {
    write_channels(lanes, shape, shape.all(), params, reads, y, accumulate, f);
}

/// `sums = sum of a b over the batch and positions`
#[inline(always)]
fn product_sums<L: Lanes>(lanes: L, shape: ChannelShape, a: &[f32], b: &[f32], sums: &mut [f32]) {
    fold_channels(
        lanes,
        shape,
        shape.all(),
        [],
        [a, b],
        [sums],
        #[inline(always)]
        |[sum], [], [a, b]| [a.mul_add(b, sum)],
    );
}

pub(crate) fn assert_data<const N: usize>(shape: ChannelShape, data: [&[f32]; N]) {
    let len = shape.data_len();
    assert!(data.iter().all(|data| data.len() == len), "data is f32[batch, channels, len]");
}
