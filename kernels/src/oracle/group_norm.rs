//! Group normalization.

use super::channel::{by_channel, channel_of};
use super::{Real, batch_norm_backward, batch_norm_statistics};
use crate::cpu::ChannelShape;

/// Group normalization.
pub fn group_norm<T: Real>(
    shape: ChannelShape,
    groups: usize,
    eps: f64,
    x: &[T],
    gamma: &[T],
    beta: &[T],
) -> Vec<T> {
    let [means, rstds] = group_norm_statistics(shape, groups, eps, x);
    let value = |(at, x): (usize, &T)| {
        let (group, channel) = (group_of(shape, groups, at), channel_of(shape, at));
        ((*x - means[group]) * rstds[group]).mul_add(gamma[channel], beta[channel])
    };
    x.iter().enumerate().map(value).collect()
}

/// The mean of each group of each example, and `1 / sqrt(variance + eps)`.
pub fn group_norm_statistics<T: Real>(
    shape: ChannelShape,
    groups: usize,
    eps: f64,
    x: &[T],
) -> [Vec<T>; 2] {
    batch_norm_statistics(group_rows(shape, groups), eps, x)
}

/// The gradients of [`group_norm`] for `x`, `gamma` and `beta`, by the statistics of each group.
pub fn group_norm_backward<T: Real>(
    shape: ChannelShape,
    groups: usize,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    means: &[T],
    rstds: &[T],
) -> [Vec<T>; 3] {
    let rows = group_rows(shape, groups);
    let g = by_channel(shape, dy, gamma, |dy, gamma| gamma * dy);
    let ones = vec![T::of(1.0); rows.channels];
    let [dx, _, _] = batch_norm_backward(rows, &g, x, &ones, means, rstds, None);
    let (mut dgamma, mut dbeta) =
        (vec![T::of(0.0); shape.channels], vec![T::of(0.0); shape.channels]);
    for at in 0..x.len() {
        let (group, channel) = (group_of(shape, groups, at), channel_of(shape, at));
        let h = (x[at] - means[group]) * rstds[group];
        dgamma[channel] = dy[at].mul_add(h, dgamma[channel]);
        dbeta[channel] = dbeta[channel] + dy[at];
    }
    [dx, dgamma, dbeta]
}

/// The group of the batch in which the value at `at` lies.
fn group_of(shape: ChannelShape, groups: usize, at: usize) -> usize {
    at / group_rows(shape, groups).len
}

/// The shape in which each group of each example is a channel.
fn group_rows(shape: ChannelShape, groups: usize) -> ChannelShape {
    let len = shape.channels / groups * shape.len;
    ChannelShape { batch: 1, channels: shape.batch * groups, len }
}
