//! Group normalization.

use super::channel::{ChannelShape, assert_data, write_channels};
use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use super::slice_loops::{fold_sums, map};
use core::ops::Range;

/// `y = (x - mean) rstd gamma + beta`, each group of an example's channels by its own mean and variance, as
/// `torch.nn.GroupNorm`.
///
/// `rstd = 1 / sqrt(variance + eps)` over the group's channels and positions (Wu and He 2018, "Group
/// Normalization", eq. 1). `x`, `y`: `f32[batch, channels, len]`; `gamma`, `beta`: `f32[channels]`;
/// `mean_out`, `rstd_out`: `f32[batch, groups]`, for [`group_norm_backward`]. The mean of a first pass
/// is corrected by a second, which finds the variance, as in
/// [`batch_norm_forward`](super::batch_norm_forward); both sum in the order of [`sum`](super::sum).
///
/// # Panics
///
/// Panics if `groups` does not divide the channels.
pub fn group_norm_forward(
    shape: ChannelShape,
    groups: usize,
    eps: f32,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean_out: &mut [f32],
    rstd_out: &mut [f32],
    y: &mut [f32],
) {
    assert_data(shape, [x, y]);
    let layout = Groups::of(shape, groups, [mean_out, rstd_out]);
    assert_eq!([gamma.len(), beta.len()], [shape.channels; 2], "parameters are f32[channels]");
    dispatch!(lanes => {
        for (at, (mean_out, rstd_out)) in mean_out.iter_mut().zip(rstd_out).enumerate() {
            let values = layout.values(at);
            let (mean, variance) = moments(lanes, &x[values.clone()]);
            *mean_out = mean;
            *rstd_out = 1.0 / (variance + eps).sqrt();
            let mean = Vector::splat(lanes, mean);
            let rstd = Vector::splat(lanes, *rstd_out);
            let channels = layout.channels(at);
            let (gamma, beta) = (&gamma[channels.clone()], &beta[channels]);
            let (x, y) = (&x[values.clone()], &mut y[values]);
            write_group(
                lanes,
                shape.len,
                [gamma, beta],
                [x],
                y,
                false,
                #[inline(always)]
                |[gamma, beta], [x]| ((x - mean) * rstd).mul_add(gamma, beta),
            );
        }
    });
}

/// The gradients of [`group_norm_forward`].
///
/// With `h = (x - mean) rstd` and `g = gamma dy`: `dx = rstd (g - mean(g) - h mean(g h))`, means over the
/// group, added to `dx` where `accumulate_dx`. Where `want_params`, `dgamma` and `dbeta`, `f32[channels]`, are
/// overwritten with the sums of `dy h` and `dy`: over positions in the order of [`sum`](super::sum), then
/// over the batch in order; otherwise they are not touched and may be empty.
pub fn group_norm_backward(
    shape: ChannelShape,
    groups: usize,
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    rstd: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    assert_data(shape, [dy, x, dx]);
    let layout = Groups::of(shape, groups, [mean, rstd]);
    assert_eq!(gamma.len(), shape.channels, "parameters are f32[channels]");
    if want_params {
        assert_eq!([dgamma.len(), dbeta.len()], [shape.channels; 2], "f32[channels]");
        dgamma.fill(0.0);
        dbeta.fill(0.0);
    }
    dispatch!(lanes => {
        for (at, (mean, rstd)) in mean.iter().zip(rstd).enumerate() {
            let (values, channels) = (layout.values(at), layout.channels(at));
            let (dy, x) = (&dy[values.clone()], &x[values.clone()]);
            let stats = [*mean, *rstd];
            let params = want_params
                .then(|| [&mut dgamma[channels.clone()], &mut dbeta[channels.clone()]]);
            let gamma = &gamma[channels];
            let sums = group_sums(lanes, shape.len, gamma, [dy, x], stats, params);
            let dx = &mut dx[values];
            grad_input(lanes, shape.len, gamma, [dy, x], stats, sums, dx, accumulate_dx);
        }
    });
}

/// What [`group_norm_backward`] writes to `dgamma` and `dbeta`, for some channels, with the same bits.
///
/// `dgamma`, `dbeta`: `f32[channels.len()]`. For callers that share the channels among threads.
pub fn group_norm_grad_params(
    shape: ChannelShape,
    groups: usize,
    channels: Range<usize>,
    dy: &[f32],
    x: &[f32],
    mean: &[f32],
    rstd: &[f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    assert_data(shape, [dy, x]);
    let layout = Groups::of(shape, groups, [mean, rstd]);
    assert_eq!([dgamma.len(), dbeta.len()], [channels.len(); 2], "one sum a channel");
    dgamma.fill(0.0);
    dbeta.fill(0.0);
    dispatch!(lanes => {
        for example in 0..shape.batch {
            for group in 0..groups {
                let at = example * groups + group;
                let members = layout.channels(at);
                let here = members.start.max(channels.start)..members.end.min(channels.end);
                if here.is_empty() {
                    continue;
                }
                let row = example * shape.channels;
                let values = (row + here.start) * shape.len..(row + here.end) * shape.len;
                let out = here.start - channels.start..here.end - channels.start;
                let params = [&mut dgamma[out.clone()], &mut dbeta[out]];
                let reads = [&dy[values.clone()], &x[values]];
                add_params(lanes, shape.len, reads, [mean[at], rstd[at]], params);
            }
        }
    });
}

/// Where the groups of a batch lie.
#[derive(Clone, Copy)]
struct Groups {
    groups: usize,
    /// Channels of a group.
    channels: usize,
    /// Values of a group of an example.
    len: usize,
}

impl Groups {
    fn of(shape: ChannelShape, groups: usize, stats: [&[f32]; 2]) -> Self {
        assert!(0 < groups && shape.channels.is_multiple_of(groups), "groups divide the channels");
        let n_groups = shape.batch * groups;
        assert!(stats.iter().all(|stat| stat.len() == n_groups), "f32[batch, groups]");
        let channels = shape.channels / groups;
        Self { groups, channels, len: channels * shape.len }
    }

    /// The values of group `at` of the batch.
    fn values(self, at: usize) -> Range<usize> {
        at * self.len..(at + 1) * self.len
    }

    /// The channels of group `at` of the batch.
    fn channels(self, at: usize) -> Range<usize> {
        let group = at % self.groups;
        group * self.channels..(group + 1) * self.channels
    }
}

/// The mean and the biased variance.
#[inline(always)]
fn moments<L: Lanes>(lanes: L, x: &[f32]) -> (f32, f32) {
    let count = (x.len() as f32).max(1.0);
    let [sum] = fold_sums(
        lanes,
        [x],
        #[inline(always)]
        |[sum], [x]| [sum + x],
    );
    let first = sum / count;
    let center = Vector::splat(lanes, first);
    let [rest, squares] = fold_sums(
        lanes,
        [x],
        #[inline(always)]
        |[rest, squares], [x]| {
            let centered = x - center;
            [rest + centered, centered.mul_add(centered, squares)]
        },
    );
    let correction = rest / count;
    let variance = (squares - rest * correction) / count;
    // A comparison that keeps NaN, unlike `f32::max`.
    (first + correction, if variance < 0.0 { 0.0 } else { variance })
}

/// [`write_channels`] in a group, whose values the slices are.
#[inline(always)]
fn write_group<L: Lanes, const P: usize, const R: usize>(
    lanes: L,
    len: usize,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    y: &mut [f32],
    accumulate: bool,
    f: impl Fn([Vector<L>; P], [Vector<L>; R]) -> Vector<L>,
) {
    let channels = params[0].len();
    let shape = ChannelShape { batch: 1, channels, len };
    write_channels(lanes, shape, 0..channels, params, reads, y, accumulate, f);
}

/// The sums of `g h` and `g` over a group; `params` are added to by the way.
#[inline(always)]
fn group_sums<L: Lanes>(
    lanes: L,
    len: usize,
    gamma: &[f32],
    [dy, x]: [&[f32]; 2],
    stats: [f32; 2],
    params: Option<[&mut [f32]; 2]>,
) -> [f32; 2] {
    let [mean, rstd] = pair(lanes, stats);
    if len == 1 {
        if let Some(params) = params {
            add_params(lanes, len, [dy, x], stats, params);
        }
        return fold_sums(
            lanes,
            [dy, x, gamma],
            #[inline(always)]
            |[sum_h, sum], [dy, x, gamma]| {
                let g = gamma * dy;
                [g.mul_add((x - mean) * rstd, sum_h), sum + g]
            },
        );
    }
    let mut params = params;
    let (mut total_h, mut total) = (0.0, 0.0);
    for (channel, gamma) in gamma.iter().enumerate() {
        let values = channel * len..(channel + 1) * len;
        let [sum_h, sum] = row_sums(lanes, [&dy[values.clone()], &x[values]], [mean, rstd]);
        total_h += gamma * sum_h;
        total += gamma * sum;
        if let Some([dgamma, dbeta]) = &mut params {
            dgamma[channel] += sum_h;
            dbeta[channel] += sum;
        }
    }
    [total_h, total]
}

/// Adds the sums of `dy h` and `dy` over positions to `params`; `reads` are those of their channels.
#[inline(always)]
fn add_params<L: Lanes>(
    lanes: L,
    len: usize,
    [dy, x]: [&[f32]; 2],
    stats: [f32; 2],
    params: [&mut [f32]; 2],
) {
    let [mean, rstd] = pair(lanes, stats);
    if len == 1 {
        map(
            lanes,
            [dy, x],
            params,
            #[inline(always)]
            |[dy, x], [dgamma, dbeta]| [dy.mul_add((x - mean) * rstd, dgamma), dbeta + dy],
        );
        return;
    }
    let [dgamma, dbeta] = params;
    for (channel, (dgamma, dbeta)) in dgamma.iter_mut().zip(dbeta).enumerate() {
        let values = channel * len..(channel + 1) * len;
        let [sum_h, sum] = row_sums(lanes, [&dy[values.clone()], &x[values]], [mean, rstd]);
        *dgamma += sum_h;
        *dbeta += sum;
    }
}

/// The sums of `dy h` and `dy` over the positions of a channel.
#[inline(always)]
fn row_sums<L: Lanes>(lanes: L, reads: [&[f32]; 2], [mean, rstd]: [Vector<L>; 2]) -> [f32; 2] {
    fold_sums(
        lanes,
        reads,
        #[inline(always)]
        |[sum_h, sum], [dy, x]| [dy.mul_add((x - mean) * rstd, sum_h), sum + dy],
    )
}

/// `dx` in a group, from the sums of `g h` and `g` over it.
#[inline(always)]
fn grad_input<L: Lanes>(
    lanes: L,
    len: usize,
    gamma: &[f32],
    reads: [&[f32]; 2],
    stats: [f32; 2],
    sums: [f32; 2],
    dx: &mut [f32],
    accumulate: bool,
) {
    let count = dx.len() as f32;
    let [mean, rstd] = pair(lanes, stats);
    let [mean_gh, mean_g] = pair(lanes, [sums[0] / count, sums[1] / count]);
    let stats = [mean, rstd, mean_gh, mean_g];
    write_group(
        lanes,
        len,
        [gamma],
        reads,
        dx,
        accumulate,
        #[inline(always)]
        |[gamma], [dy, x]| gradient(stats, gamma, dy, x),
    );
}

/// `dx` of a value.
#[inline(always)]
fn gradient<L: Lanes>(
    [mean, rstd, mean_gh, mean_g]: [Vector<L>; 4],
    gamma: Vector<L>,
    dy: Vector<L>,
    x: Vector<L>,
) -> Vector<L> {
    let h = (x - mean) * rstd;
    (-h).mul_add(mean_gh, gamma.mul_add(dy, -mean_g)) * rstd
}

#[inline(always)]
fn pair<L: Lanes>(lanes: L, [a, b]: [f32; 2]) -> [Vector<L>; 2] {
    [Vector::splat(lanes, a), Vector::splat(lanes, b)]
}
