//! Batch normalization.

use super::{Real, mean, mean_square};
use crate::cpu::ChannelShape;

/// Batch normalization by the batch's own statistics.
pub fn batch_norm<T: Real>(
    shape: ChannelShape,
    eps: f64,
    x: &[T],
    gamma: &[T],
    beta: &[T],
) -> Vec<T> {
    let [mean, variance] = batch_statistics(shape, x);
    batch_norm_inference(shape, eps, x, gamma, beta, &mean, &variance)
}

/// Batch normalization by given statistics.
pub fn batch_norm_inference<T: Real>(
    shape: ChannelShape,
    eps: f64,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    mean: &[T],
    variance: &[T],
) -> Vec<T> {
    let value = |(at, x): (usize, &T)| {
        let channel = at / shape.len % shape.channels;
        let rstd = T::of(1.0) / (variance[channel] + T::of(eps)).sqrt();
        ((*x - mean[channel]) * rstd).mul_add(gamma[channel], beta[channel])
    };
    x.iter().enumerate().map(value).collect()
}

/// The mean and the biased variance of each channel.
pub fn batch_statistics<T: Real>(shape: ChannelShape, x: &[T]) -> [Vec<T>; 2] {
    let values = (0..shape.channels).map(|channel| channel_values(shape, channel, x));
    let moments = values.map(|values| {
        let mean = mean(&values);
        let centered: Vec<T> = values.iter().map(|x| *x - mean).collect();
        [mean, mean_square(&centered)]
    });
    let moments: Vec<[T; 2]> = moments.collect();
    [0, 1].map(|which| moments.iter().map(|moment| moment[which]).collect())
}

/// The running mean and variance of one channel after a batch of its `values`, PyTorch's formula.
pub fn follow_statistics<T: Real>(momentum: f64, values: &[T], [mean, variance]: [T; 2]) -> [T; 2] {
    let of_batch = ChannelShape { batch: 1, channels: 1, len: values.len() };
    let [batch_mean, batch_variance] = batch_statistics(of_batch, values).map(|all| all[0]);
    let count = values.len() as f64;
    let unbiased = batch_variance * T::of(if count < 2.0 { 1.0 } else { count / (count - 1.0) });
    let follow = |old: T, new: T| T::of(1.0 - momentum) * old + T::of(momentum) * new;
    [follow(mean, batch_mean), follow(variance, unbiased)]
}

/// The gradients of [`batch_norm`] for `x`, `gamma` and `beta`.
pub fn batch_norm_gradients<T: Real>(
    shape: ChannelShape,
    eps: f64,
    dy: &[T],
    x: &[T],
    gamma: &[T],
) -> [Vec<T>; 3] {
    let [mean, variance] = batch_statistics(shape, x);
    let channel_of = |at: usize| at / shape.len % shape.channels;
    let rstd = |channel: usize| T::of(1.0) / (variance[channel] + T::of(eps)).sqrt();
    let h = |at: usize| (x[at] - mean[channel_of(at)]) * rstd(channel_of(at));
    let sums = |term: &dyn Fn(usize) -> T| {
        let mut sums = vec![T::of(0.0); shape.channels];
        (0..x.len()).for_each(|at| sums[channel_of(at)] = sums[channel_of(at)] + term(at));
        sums
    };
    let (dgamma, dbeta) = (sums(&|at| dy[at] * h(at)), sums(&|at| dy[at]));
    let count = T::of((shape.batch * shape.len) as f64);
    let slope = |at: usize| {
        let channel = channel_of(at);
        let rest = dy[at] - dbeta[channel] / count - h(at) * dgamma[channel] / count;
        gamma[channel] * rstd(channel) * rest
    };
    [(0..x.len()).map(slope).collect(), dgamma, dbeta]
}

/// The values of a channel, example by example.
pub fn channel_values<T: Real>(shape: ChannelShape, channel: usize, x: &[T]) -> Vec<T> {
    let rows = x.chunks_exact(shape.len).skip(channel).step_by(shape.channels);
    rows.flatten().copied().collect()
}
