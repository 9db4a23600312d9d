//! Means, factors, biases and gates of whole channels.

use super::{Real, activate, mean};
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

/// The sum of each channel over the batch and its positions, in the order of the kernels: with one
/// position, a chain over the batch; else sixteen chains an example, added up over the batch and joined
/// by a tree.
pub fn channel_sum<T: Real>(shape: ChannelShape, x: &[T]) -> Vec<T> {
    let zero = T::of(0.0);
    let sum = |channel: usize| {
        let mut totals = [zero; 16];
        for example in 0..shape.batch {
            let row = &x[(example * shape.channels + channel) * shape.len..][..shape.len];
            let mut parts = [zero; 16];
            row.iter().enumerate().for_each(|(at, x)| parts[at % 16] = parts[at % 16] + *x);
            totals.iter_mut().zip(parts).for_each(|(total, part)| *total = *total + part);
        }
        for half in [8, 4, 2, 1] {
            for part in 0..half {
                totals[part] = totals[part] + totals[part + half];
            }
        }
        totals[0]
    };
    (0..shape.channels).map(sum).collect()
}

/// `f(x, param)` with the parameter of each value's channel.
pub(super) fn by_channel<T: Real>(
    shape: ChannelShape,
    x: &[T],
    params: &[T],
    f: impl Fn(T, T) -> T,
) -> Vec<T> {
    let each = x.iter().enumerate();
    each.map(|(at, x)| f(*x, params[at / shape.len % shape.channels])).collect()
}
