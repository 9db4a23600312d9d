//! Group normalization.

use super::channel::by_channel;
use super::{Real, batch_norm_gradients, batch_statistics};
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
    let rows = group_rows(shape, groups);
    let [mean, variance] = batch_statistics(rows, x);
    let centered = by_channel(rows, x, &mean, |x, mean| x - mean);
    let normalized =
        by_channel(rows, &centered, &variance, |x, variance| x / (variance + T::of(eps)).sqrt());
    let scaled = by_channel(shape, &normalized, gamma, |x, gamma| x * gamma);
    by_channel(shape, &scaled, beta, |x, beta| x + beta)
}

/// The gradients of [`group_norm`] for `x`, `gamma` and `beta`.
pub fn group_norm_gradients<T: Real>(
    shape: ChannelShape,
    groups: usize,
    eps: f64,
    dy: &[T],
    x: &[T],
    gamma: &[T],
) -> [Vec<T>; 3] {
    let rows = group_rows(shape, groups);
    let ones = vec![T::of(1.0); rows.channels];
    let g = by_channel(shape, dy, gamma, |dy, gamma| gamma * dy);
    let [dx, _, _] = batch_norm_gradients(rows, eps, &g, x, &ones);
    let (zeros, ones) = (vec![T::of(0.0); shape.channels], vec![T::of(1.0); shape.channels]);
    let h = group_norm(shape, groups, eps, x, &ones, &zeros);
    let (mut dgamma, mut dbeta) = (zeros.clone(), zeros);
    for at in 0..x.len() {
        let channel = at / shape.len % shape.channels;
        dgamma[channel] = dgamma[channel] + dy[at] * h[at];
        dbeta[channel] = dbeta[channel] + dy[at];
    }
    [dx, dgamma, dbeta]
}

/// The shape in which each group of each example is a channel.
fn group_rows(shape: ChannelShape, groups: usize) -> ChannelShape {
    let len = shape.channels / groups * shape.len;
    ChannelShape { batch: 1, channels: shape.batch * groups, len }
}
