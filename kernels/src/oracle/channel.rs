//! Means, factors, biases and gates of whole channels.

use super::reduce::{joined, partial_sums};
use super::{Real, activate, activation, activation_grad, mean};
use crate::cpu::{Activation, ChannelShape};

/// The mean of each channel of each example.
pub fn channel_mean<T: Real>(shape: ChannelShape, x: &[T]) -> Vec<T> {
    x.chunks_exact(shape.len).map(mean).collect()
}

/// `s * x`, a factor for each channel of each example.
pub fn channel_multiply<T: Real>(shape: ChannelShape, x: &[T], s: &[T]) -> Vec<T> {
    x.iter().enumerate().map(|(at, x)| s[at / shape.len] * *x).collect()
}

/// `x + bias`, a bias for each channel.
pub fn channel_bias<T: Real>(shape: ChannelShape, x: &[T], bias: &[T]) -> Vec<T> {
    by_channel(shape, x, bias, |x, bias| x + bias)
}

/// `w * x`, a factor for each channel.
pub fn channel_scale<T: Real>(shape: ChannelShape, x: &[T], w: &[T]) -> Vec<T> {
    by_channel(shape, x, w, |x, w| w * x)
}

/// `sigmoid(w) * x`, a gate for each channel.
pub fn channel_gate<T: Real>(shape: ChannelShape, x: &[T], w: &[T]) -> Vec<T> {
    by_channel(shape, x, w, |x, w| activate(Activation::Sigmoid, w) * x)
}

/// The gradient of [`channel_mean`]: `dy / len` at every position.
pub fn channel_mean_grad<T: Real>(shape: ChannelShape, dy: &[T]) -> Vec<T> {
    let share = |at: usize| dy[at / shape.len] / T::of(shape.len as f64);
    (0..shape.data_len()).map(share).collect()
}

/// The gradient of [`channel_multiply`] for `x`: `s * dy`.
pub fn channel_multiply_grad_x<T: Real>(shape: ChannelShape, dy: &[T], s: &[T]) -> Vec<T> {
    channel_multiply(shape, dy, s)
}

/// The gradient of [`channel_multiply`] for `s`: the sum of `dy * x` over positions.
pub fn channel_multiply_grad_s<T: Real>(shape: ChannelShape, dy: &[T], x: &[T]) -> Vec<T> {
    let sum = |row: usize| {
        let at = row * shape.len..(row + 1) * shape.len;
        at.fold(T::of(0.0), |sum, at| dy[at].mul_add(x[at], sum))
    };
    (0..shape.batch * shape.channels).map(sum).collect()
}

/// The gradient of [`channel_bias`] for `bias`: the sum of each channel over the batch and its positions,
/// in the order of the kernels: with one position, a chain over the batch; else sixteen chains an
/// example, added up over the batch and joined by a tree.
pub fn channel_bias_grad<T: Real>(shape: ChannelShape, dy: &[T]) -> Vec<T> {
    let sum = |channel: usize| {
        let mut totals = [T::of(0.0); 16];
        for example in 0..shape.batch {
            let row = &dy[(example * shape.channels + channel) * shape.len..][..shape.len];
            let parts = partial_sums(row, |sum, x| sum + x);
            totals.iter_mut().zip(parts).for_each(|(total, part)| *total = *total + part);
        }
        joined(totals)
    };
    (0..shape.channels).map(sum).collect()
}

/// The gradients of [`channel_scale`] for `x` and `w`: `w * dy`, and the sum of `dy * x`.
pub fn channel_scale_backward<T: Real>(
    shape: ChannelShape,
    dy: &[T],
    x: &[T],
    w: &[T],
) -> [Vec<T>; 2] {
    [channel_scale(shape, dy, w), product_sums(shape, dy, x)]
}

/// The gradients of [`channel_gate`] for `x` and `w`: `s * dy`, and `s (1 - s)` times the sum of
/// `dy * x`, with `s = sigmoid(w)`.
pub fn channel_gate_backward<T: Real>(
    shape: ChannelShape,
    dy: &[T],
    x: &[T],
    w: &[T],
) -> [Vec<T>; 2] {
    let gates = activation(Activation::Sigmoid, w);
    let dw = activation_grad(Activation::Sigmoid, &gates, &product_sums(shape, dy, x));
    [channel_gate(shape, dy, w), dw]
}

/// The channel of the value at `at`.
pub(super) fn channel_of(shape: ChannelShape, at: usize) -> usize {
    at / shape.len % shape.channels
}

/// The sum of `a * b` over the batch and positions of each channel.
fn product_sums<T: Real>(shape: ChannelShape, a: &[T], b: &[T]) -> Vec<T> {
    let mut sums = vec![T::of(0.0); shape.channels];
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let channel = channel_of(shape, at);
        sums[channel] = a.mul_add(*b, sums[channel]);
    }
    sums
}

/// `f(x, param)` with the parameter of each value's channel.
pub(super) fn by_channel<T: Real>(
    shape: ChannelShape,
    x: &[T],
    params: &[T],
    f: impl Fn(T, T) -> T,
) -> Vec<T> {
    let each = x.iter().enumerate();
    each.map(|(at, x)| f(*x, params[channel_of(shape, at)])).collect()
}
