//! Batch normalization.
//!
//! What is summed over the batch is found channel by channel, and what follows from it example by
//! example. On one thread a block of channels goes through all of it at a time, so that its later passes
//! read from cache; callers with more threads share the channels of [`batch_norm_statistics`] among
//! them, then the examples of [`batch_norm_normalize`], and likewise backward. The bits are the same.

use super::activation::rectify as rectified_value;
use super::channel::{BLOCK_MAX, ChannelShape, blocks, fold_channels, write_channels};
use super::dispatch::{Once, dispatch};
use super::lanes::{Lanes, Vector};
use core::ops::Range;

/// `y = (x - mean) rstd gamma + beta`, each channel by its own mean and variance over the batch and its
/// positions, as `torch.nn.BatchNorm2d` in training.
///
/// `rstd = 1 / sqrt(variance + eps)` (Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1). `x`,
/// `y`: `f32[batch, channels, len]`; the others `f32[channels]`. `mean_out` and `rstd_out` are for
/// [`batch_norm_backward`]. `running`, a mean and a variance, moves by `momentum` towards those of this
/// batch; the variance that enters is the unbiased one, or the biased one, zero, where a channel has one
/// value. An empty batch leaves it as it is. Where `rectify`, negative results become zero, with the bits
/// of a rectifier applied apart.
///
/// The mean of a first pass is corrected by a second, which finds the variance (Chan, Golub and LeVeque
/// 1983, "Algorithms for Computing the Sample Variance", eq. 1.7). Both sum in the order of
/// [`channel_bias_grad`](super::channel_bias_grad).
pub fn batch_norm_forward(
    shape: ChannelShape,
    eps: f32,
    momentum: f32,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    running: Option<(&mut [f32], &mut [f32])>,
    mean_out: &mut [f32],
    rstd_out: &mut [f32],
    rectify: bool,
    y: &mut [f32],
) {
    assert_params(shape, [gamma, beta, mean_out, rstd_out]);
    let mut running = running.filter(|_| 0 < shape.data_len());
    dispatch!(lanes => {
        for channels in blocks(shape, 0..shape.channels) {
            let mean = &mut mean_out[channels.clone()];
            let rstd = &mut rstd_out[channels.clone()];
            statistics(lanes, shape, channels.clone(), x, mean, rstd);
            if let Some((running_mean, running_variance)) = &mut running {
                let running = [&mut running_mean[channels.clone()], &mut running_variance[channels.clone()]];
                follow(shape, momentum, [mean, rstd], running);
            }
            finish_deviations(rstd, eps);
            let params = [&*mean, &*rstd, &gamma[channels.clone()], &beta[channels.clone()]];
            normalize(lanes, shape, channels, params, x, rectify, y);
        }
    });
}

/// The first half of [`batch_norm_forward`] for some channels: their mean, `rstd` and running statistics.
///
/// `running`, `mean_out` and `rstd_out` are those of these channels, `f32[channels.len()]`.
pub fn batch_norm_statistics(
    shape: ChannelShape,
    channels: Range<usize>,
    eps: f32,
    momentum: f32,
    x: &[f32],
    running: Option<(&mut [f32], &mut [f32])>,
    mean_out: &mut [f32],
    rstd_out: &mut [f32],
) {
    let mut running = running.filter(|_| 0 < shape.data_len());
    let first = channels.start;
    dispatch!(lanes => {
        for channels in blocks(shape, channels) {
            let here = channels.start - first..channels.end - first;
            let (mean, rstd) = (&mut mean_out[here.clone()], &mut rstd_out[here.clone()]);
            statistics(lanes, shape, channels, x, mean, rstd);
            if let Some((running_mean, running_variance)) = &mut running {
                let running = [&mut running_mean[here.clone()], &mut running_variance[here]];
                follow(shape, momentum, [mean, rstd], running);
            }
            finish_deviations(rstd, eps);
        }
    });
}

/// The second half of [`batch_norm_forward`], for any examples of the batch.
///
/// `mean`, `rstd`: `f32[channels]`, of the whole batch.
pub fn batch_norm_normalize(
    shape: ChannelShape,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    rstd: &[f32],
    rectify: bool,
    y: &mut [f32],
) {
    assert_params(shape, [gamma, beta, mean, rstd]);
    let params = [mean, rstd, gamma, beta];
    dispatch!(lanes => normalize(lanes, shape, 0..shape.channels, params, x, rectify, y));
}

/// [`batch_norm_forward`] by running statistics, as `torch.nn.BatchNorm2d` in evaluation.
pub fn batch_norm_inference(
    shape: ChannelShape,
    eps: f32,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    running_mean: &[f32],
    running_var: &[f32],
    rectify: bool,
    y: &mut [f32],
) {
    assert_params(shape, [gamma, beta, running_mean, running_var]);
    dispatch!(lanes => {
        for channels in blocks(shape, 0..shape.channels) {
            let mut rstd = [0.0; BLOCK_MAX];
            let rstd = &mut rstd[..channels.len()];
            rstd.copy_from_slice(&running_var[channels.clone()]);
            finish_deviations(rstd, eps);
            let [mean, gamma, beta] = [running_mean, gamma, beta].map(|all| &all[channels.clone()]);
            normalize(lanes, shape, channels, [mean, rstd, gamma, beta], x, rectify, y);
        }
    });
}

/// The gradients of [`batch_norm_forward`].
///
/// With `h = (x - mean) rstd`: `dx = gamma rstd (dy - mean(dy) - h mean(dy h))`, means over the batch and
/// positions, added to `dx` where `accumulate_dx`. Where `want_params`, `dgamma` and `dbeta`, `f32[channels]`,
/// are overwritten with the sums of `dy h` and `dy`, in the order of
/// [`channel_bias_grad`](super::channel_bias_grad); otherwise they are not touched and may be empty.
/// `rectified` is `y`, where the forward pass rectified it: `dy` then counts as zero where `y` is not
/// positive, and is left as it is.
pub fn batch_norm_backward(
    shape: ChannelShape,
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    rstd: &[f32],
    rectified: Option<&[f32]>,
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    assert_params(shape, [gamma, mean, rstd]);
    let n_values = shape.batch * shape.len;
    dispatch!(lanes => {
        for channels in blocks(shape, 0..shape.channels) {
            let mut sums = [[0.0; BLOCK_MAX]; 2];
            let [sum_h, sum] = &mut sums;
            let [sum_h, sum] = [&mut sum_h[..channels.len()], &mut sum[..channels.len()]];
            let [mean, rstd, gamma] = [mean, rstd, gamma].map(|all| &all[channels.clone()]);
            let reads = [dy, x];
            let params = [mean, rstd];
            gradient_sums(lanes, shape, channels.clone(), params, reads, rectified, [sum_h, sum]);
            if want_params {
                dgamma[channels.clone()].copy_from_slice(sum_h);
                dbeta[channels.clone()].copy_from_slice(sum);
            }
            let params = [mean, rstd, gamma, &*sum_h, &*sum];
            grad_input(lanes, shape, channels, n_values, params, reads, rectified, dx, accumulate_dx);
        }
    });
}

/// The first half of [`batch_norm_backward`] for some channels: `dgamma` and `dbeta`.
///
/// `mean`, `rstd`, `dgamma` and `dbeta` are those of these channels, `f32[channels.len()]`.
pub fn batch_norm_grad_params(
    shape: ChannelShape,
    channels: Range<usize>,
    dy: &[f32],
    x: &[f32],
    mean: &[f32],
    rstd: &[f32],
    rectified: Option<&[f32]>,
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    let params = [mean, rstd];
    dispatch!(lanes => {
        gradient_sums(lanes, shape, channels, params, [dy, x], rectified, [dgamma, dbeta]);
    });
}

/// The second half of [`batch_norm_backward`], for any examples of a batch in which each channel has
/// `n_values`.
///
/// `dgamma`, `dbeta`: `f32[channels]`, of the whole batch.
pub fn batch_norm_grad_input(
    shape: ChannelShape,
    n_values: usize,
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    rstd: &[f32],
    rectified: Option<&[f32]>,
    dgamma: &[f32],
    dbeta: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_params(shape, [gamma, mean, rstd, dgamma, dbeta]);
    dispatch!(lanes => {
        for channels in blocks(shape, 0..shape.channels) {
            let mut params = [mean, rstd, gamma, dgamma, dbeta];
            for param in &mut params {
                *param = &param[channels.clone()];
            }
            let reads = [dy, x];
            grad_input(lanes, shape, channels, n_values, params, reads, rectified, dx, accumulate);
        }
    });
}

/// Means and biased variances of some channels.
#[inline(always)]
fn statistics<L: Lanes>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    x: &[f32],
    mean: &mut [f32],
    variance: &mut [f32],
) {
    // One copy of this code for each unit: it is called in several places.
    let once = Once;
    lanes.call(
        #[inline(always)]
        || {
            let _consumed = once;
            let count = ((shape.batch * shape.len) as f32).max(1.0);
            fold_channels(
                lanes,
                shape,
                channels.clone(),
                [],
                [x],
                [&mut *mean],
                #[inline(always)]
                |[sum], [], [x]| [sum + x],
            );
            mean.iter_mut().for_each(|sum| *sum /= count);
            let mut rests = [0.0; BLOCK_MAX];
            let rests = &mut rests[..channels.len()];
            fold_channels(
                lanes,
                shape,
                channels,
                [&*mean],
                [x],
                [&mut *rests, &mut *variance],
                #[inline(always)]
                |[rest, squares], [mean], [x]| {
                    let centered = x - mean;
                    [rest + centered, centered.mul_add(centered, squares)]
                },
            );
            for ((mean, rest), squares) in mean.iter_mut().zip(rests).zip(variance) {
                let correction = *rest / count;
                *mean += correction;
                let variance = (*squares - *rest * correction) / count;
                // A comparison that keeps NaN, unlike `f32::max`.
                *squares = if variance < 0.0 { 0.0 } else { variance };
            }
        },
    );
}

/// `running = (1 - momentum) running + momentum of_batch`, PyTorch's formula, for means and for variances,
/// which become unbiased, `n / (n - 1)` times the biased, unless they are of a single value.
fn follow(shape: ChannelShape, momentum: f32, of_batch: [&[f32]; 2], running: [&mut [f32]; 2]) {
    let count = (shape.batch * shape.len) as f32;
    let unbiased = if count < 2.0 { 1.0 } else { count / (count - 1.0) };
    for ((running, of_batch), factor) in running.into_iter().zip(of_batch).zip([1.0, unbiased]) {
        for (running, value) in running.iter_mut().zip(of_batch) {
            *running = (1.0 - momentum) * *running + momentum * (factor * value);
        }
    }
}

/// `1 / sqrt(variance + eps)` of each.
fn finish_deviations(variances: &mut [f32], eps: f32) {
    variances.iter_mut().for_each(|variance| *variance = 1.0 / (*variance + eps).sqrt());
}

/// `y = (x - mean) rstd gamma + beta` in some channels.
#[inline(always)]
fn normalize<L: Lanes>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; 4],
    x: &[f32],
    rectify: bool,
    y: &mut [f32],
) {
    // One copy of this code for each unit: it is called in several places.
    let once = Once;
    lanes.call(
        #[inline(always)]
        || {
            let _consumed = once;
            if rectify {
                write_channels(
                    lanes,
                    shape,
                    channels,
                    params,
                    [x],
                    y,
                    false,
                    #[inline(always)]
                    |params, [x]| rectified_value(normalized(params, x)),
                );
            } else {
                write_channels(
                    lanes,
                    shape,
                    channels,
                    params,
                    [x],
                    y,
                    false,
                    #[inline(always)]
                    |params, [x]| normalized(params, x),
                );
            }
        },
    );
}

#[inline(always)]
fn normalized<L: Lanes>([mean, rstd, gamma, beta]: [Vector<L>; 4], x: Vector<L>) -> Vector<L> {
    ((x - mean) * rstd).mul_add(gamma, beta)
}

/// The sums of `dy h` and `dy` in some channels.
#[inline(always)]
fn gradient_sums<L: Lanes>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; 2],
    [dy, x]: [&[f32]; 2],
    rectified: Option<&[f32]>,
    sums: [&mut [f32]; 2],
) {
    // One copy of this code for each unit: it is called in several places.
    let once = Once;
    lanes.call(
        #[inline(always)]
        || {
            let _consumed = once;
            if let Some(y) = rectified {
                fold_channels(
                    lanes,
                    shape,
                    channels,
                    params,
                    [dy, x, y],
                    sums,
                    #[inline(always)]
                    |[sum_h, sum], [mean, rstd], [dy, x, y]| {
                        let dy = through_rectifier(dy, y);
                        [dy.mul_add((x - mean) * rstd, sum_h), sum + dy]
                    },
                );
            } else {
                fold_channels(
                    lanes,
                    shape,
                    channels,
                    params,
                    [dy, x],
                    sums,
                    #[inline(always)]
                    |[sum_h, sum], [mean, rstd], [dy, x]| {
                        [dy.mul_add((x - mean) * rstd, sum_h), sum + dy]
                    },
                );
            }
        },
    );
}

/// `dx` in a block of channels, from their mean, `rstd`, `gamma`, and sums of `dy h` and `dy` over
/// `n_values`.
#[inline(always)]
fn grad_input<L: Lanes>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    n_values: usize,
    [mean, rstd, gamma, sum_h, sum]: [&[f32]; 5],
    [dy, x]: [&[f32]; 2],
    rectified: Option<&[f32]>,
    dx: &mut [f32],
    accumulate: bool,
) {
    // One copy of this code for each unit: it is called in several places.
    let once = Once;
    lanes.call(
        #[inline(always)]
        || {
            let _consumed = once;
            let mut means = [[0.0; BLOCK_MAX]; 2];
            for (means, sums) in means.iter_mut().zip([sum_h, sum]) {
                for (mean, sum) in means.iter_mut().zip(sums) {
                    *mean = sum / n_values as f32;
                }
            }
            let [mean_h, mean_dy] = [&means[0][..channels.len()], &means[1][..channels.len()]];
            let params = [mean, rstd, gamma, mean_h, mean_dy];
            if let Some(y) = rectified {
                write_channels(
                    lanes,
                    shape,
                    channels,
                    params,
                    [dy, x, y],
                    dx,
                    accumulate,
                    #[inline(always)]
                    |params, [dy, x, y]| gradient(params, through_rectifier(dy, y), x),
                );
            } else {
                write_channels(
                    lanes,
                    shape,
                    channels,
                    params,
                    [dy, x],
                    dx,
                    accumulate,
                    #[inline(always)]
                    |params, [dy, x]| gradient(params, dy, x),
                );
            }
        },
    );
}

/// `dx` of a value.
#[inline(always)]
fn gradient<L: Lanes>(
    [mean, rstd, gamma, mean_h, mean_dy]: [Vector<L>; 5],
    dy: Vector<L>,
    x: Vector<L>,
) -> Vector<L> {
    let h = (x - mean) * rstd;
    (-h).mul_add(mean_h, dy - mean_dy) * (gamma * rstd)
}

/// `dy` where `y` is positive, else zero.
#[inline(always)]
fn through_rectifier<L: Lanes>(dy: Vector<L>, y: Vector<L>) -> Vector<L> {
    let zero = y.constant(0.0);
    dy.select(zero.less(y), zero)
}

fn assert_params<const N: usize>(shape: ChannelShape, params: [&[f32]; N]) {
    let len = shape.channels;
    assert!(params.iter().all(|param| param.len() == len), "parameters are f32[channels]");
}
