//! Batch normalization.

use super::channel::channel_of;
use super::{Real, activation_grad, mean, mean_square};
use crate::cpu::{Activation, ChannelShape};

/// Batch normalization by the batch's own statistics.
pub fn batch_norm<T: Real>(
    shape: ChannelShape,
    eps: f64,
    x: &[T],
    gamma: &[T],
    beta: &[T],
) -> Vec<T> {
    let [means, rstds] = batch_norm_statistics(shape, eps, x);
    batch_norm_normalize(shape, x, gamma, beta, &means, &rstds)
}

/// Batch normalization by given statistics.
pub fn batch_norm_inference<T: Real>(
    shape: ChannelShape,
    eps: f64,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    means: &[T],
    variances: &[T],
) -> Vec<T> {
    batch_norm_normalize(shape, x, gamma, beta, means, &deviations(eps, variances))
}

/// `(x - mean) rstd gamma + beta`
pub fn batch_norm_normalize<T: Real>(
    shape: ChannelShape,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    means: &[T],
    rstds: &[T],
) -> Vec<T> {
    let value = |(at, x): (usize, &T)| {
        let channel = channel_of(shape, at);
        ((*x - means[channel]) * rstds[channel]).mul_add(gamma[channel], beta[channel])
    };
    x.iter().enumerate().map(value).collect()
}

/// The mean of each channel, and `1 / sqrt(variance + eps)`.
pub fn batch_norm_statistics<T: Real>(shape: ChannelShape, eps: f64, x: &[T]) -> [Vec<T>; 2] {
    let [means, variances] = batch_statistics(shape, x);
    [means, deviations(eps, &variances)]
}

/// The mean and the biased variance of each channel; zeros of an empty batch.
pub fn batch_statistics<T: Real>(shape: ChannelShape, x: &[T]) -> [Vec<T>; 2] {
    let moments = (0..shape.channels).map(|channel| {
        let values = channel_values(shape, channel, x);
        if values.is_empty() {
            return [T::of(0.0); 2];
        }
        let mean = mean(&values);
        let centered: Vec<T> = values.iter().map(|x| *x - mean).collect();
        [mean, mean_square(&centered)]
    });
    let moments: Vec<[T; 2]> = moments.collect();
    [0, 1].map(|which| moments.iter().map(|moment| moment[which]).collect())
}

/// The running means and variances after the batch `x`, PyTorch's formula: those of the batch enter by
/// `momentum`, its variances unbiased where a channel has several values. An empty batch moves none.
pub fn running_statistics<T: Real>(
    shape: ChannelShape,
    momentum: f64,
    x: &[T],
    [means, variances]: [&[T]; 2],
) -> [Vec<T>; 2] {
    let count = (shape.batch * shape.len) as f64;
    if count == 0.0 {
        return [means.to_vec(), variances.to_vec()];
    }
    let [new_means, new_variances] = batch_statistics(shape, x);
    let follow = |old: &[T], new: Vec<T>, factor: f64| {
        let each = old.iter().zip(new);
        let [kept, entering] = [1.0 - momentum, momentum].map(T::of);
        each.map(|(old, new)| kept * *old + entering * (T::of(factor) * new)).collect()
    };
    let unbiased = if count < 2.0 { 1.0 } else { count / (count - 1.0) };
    [follow(means, new_means, 1.0), follow(variances, new_variances, unbiased)]
}

/// The gradients of [`batch_norm`] for `x`, `gamma` and `beta`, by the statistics of the batch.
///
/// `rectified` is the output where it was rectified: `dy` counts as zero where that is not positive.
pub fn batch_norm_backward<T: Real>(
    shape: ChannelShape,
    dy: &[T],
    x: &[T],
    gamma: &[T],
    means: &[T],
    rstds: &[T],
    rectified: Option<&[T]>,
) -> [Vec<T>; 3] {
    let dy = rectified.map_or_else(|| dy.to_vec(), |y| activation_grad(Activation::Relu, y, dy));
    let h = |at: usize| (x[at] - means[channel_of(shape, at)]) * rstds[channel_of(shape, at)];
    let (mut dgamma, mut dbeta) =
        (vec![T::of(0.0); shape.channels], vec![T::of(0.0); shape.channels]);
    for (at, dy) in dy.iter().enumerate() {
        let channel = channel_of(shape, at);
        dgamma[channel] = dy.mul_add(h(at), dgamma[channel]);
        dbeta[channel] = dbeta[channel] + *dy;
    }
    let count = T::of((shape.batch * shape.len) as f64);
    let slope = |at: usize| {
        let channel = channel_of(shape, at);
        let rest = dy[at] - dbeta[channel] / count - h(at) * dgamma[channel] / count;
        gamma[channel] * rstds[channel] * rest
    };
    [(0..x.len()).map(slope).collect(), dgamma, dbeta]
}

/// `1 / sqrt(variance + eps)` of each.
fn deviations<T: Real>(eps: f64, variances: &[T]) -> Vec<T> {
    variances.iter().map(|variance| T::of(1.0) / (*variance + T::of(eps)).sqrt()).collect()
}

/// The values of a channel, example by example.
fn channel_values<T: Real>(shape: ChannelShape, channel: usize, x: &[T]) -> Vec<T> {
    let each = x.iter().enumerate();
    each.filter(|(at, _)| channel_of(shape, *at) == channel).map(|(_, x)| *x).collect()
}
