//! Group normalization.

use super::channel::{gradient, output, shape};
use super::gradients::slope;
use super::{assert_close, bits, numbers, unwritten, widened};
use esper_kernels::cpu::*;
use esper_kernels::oracle;

const EPS: f32 = 1e-3;

/// Batch, channels, positions and groups.
const SHAPES: [[usize; 4]; 11] = [
    [1, 1, 2, 1],
    [2, 4, 1, 2],
    [3, 34, 1, 2],
    [2, 17, 1, 1],
    [2, 3, 7, 3],
    [2, 6, 5, 2],
    [1, 4, 17, 1],
    [3, 2, 33, 2],
    [2, 6, 16, 3],
    [0, 4, 3, 2],
    [0, 4, 1, 2],
];

/// A batch, its parameters, and its statistics.
struct Case {
    shape: ChannelShape,
    groups: usize,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    dy: Vec<f32>,
    mean: Vec<f32>,
    rstd: Vec<f32>,
    y: Vec<f32>,
}

impl Case {
    fn new([batch, channels, len, groups]: [usize; 4]) -> Self {
        let shape = shape([batch, channels, len]);
        let (x, dy) = (numbers(1, shape.data_len()), numbers(4, shape.data_len()));
        let (gamma, beta) = (numbers(2, channels), numbers(3, channels));
        let n_groups = batch * groups;
        let all = output(2 * n_groups + x.len(), |all| {
            let (mean, rest) = all.split_at_mut(n_groups);
            let (rstd, y) = rest.split_at_mut(n_groups);
            group_norm_forward(shape, groups, EPS, &x, &gamma, &beta, mean, rstd, y);
        });
        let (mean, rest) = all.split_at(n_groups);
        let (rstd, y) = rest.split_at(n_groups);
        let [mean, rstd, y] = [mean, rstd, y].map(<[f32]>::to_vec);
        Self { shape, groups, x, gamma, beta, dy, mean, rstd, y }
    }

    fn backward(&self, dx: &mut [f32], params: [&mut [f32]; 2], add: bool) {
        let Self { shape, groups, x, gamma, dy, mean, rstd, .. } = self;
        let [dgamma, dbeta] = params;
        let want_params = !dgamma.is_empty();
        group_norm_backward(
            *shape,
            *groups,
            dy,
            x,
            gamma,
            mean,
            rstd,
            dx,
            dgamma,
            dbeta,
            add,
            want_params,
        );
    }
}

#[test]
fn group_norm_agrees_with_the_oracle_on_every_unit() {
    for sizes in SHAPES {
        let Case { shape, groups, x, gamma, beta, y, .. } = Case::new(sizes);
        let [x, gamma, beta] = [&x, &gamma, &beta].map(|all| widened(all));
        let want = oracle::group_norm(shape, groups, f64::from(EPS), &x, &gamma, &beta);
        assert_close(&y, &want, 2e-6);
    }
}

#[test]
fn group_norm_gradients_are_slopes() {
    for sizes in SHAPES {
        let case = Case::new(sizes);
        let (shape, groups, eps) = (case.shape, case.groups, f64::from(EPS));
        let [x, gamma, beta] = [&case.x, &case.gamma, &case.beta].map(|all| widened(all));
        let dx = gradient(x.len(), |dx, add| case.backward(dx, [&mut [], &mut []], add));
        let want =
            slope(&case.x, &case.dy, |x| oracle::group_norm(shape, groups, eps, x, &gamma, &beta));
        // Two values a group: the slope is what is left of terms a thousand times its size.
        assert_close(&dx, &want, 5e-5);
        let params = output(2 * shape.channels, |params| {
            let (dgamma, dbeta) = params.split_at_mut(shape.channels);
            let mut again = unwritten(x.len());
            case.backward(&mut again, [dgamma, dbeta], false);
            assert_eq!(bits(&again), bits(&dx), "with and without parameters");
        });
        let dgamma = slope(&case.gamma, &case.dy, |gamma| {
            oracle::group_norm(shape, groups, eps, &x, gamma, &beta)
        });
        let dbeta = slope(&case.beta, &case.dy, |beta| {
            oracle::group_norm(shape, groups, eps, &x, &gamma, beta)
        });
        assert_close(&params, &[dgamma, dbeta].concat(), 5e-6);
        let dy = widened(&case.dy);
        let [means, rstds] = oracle::group_norm_statistics(shape, groups, eps, &x);
        let statistics = [&case.mean[..], &case.rstd].concat();
        assert_close(&statistics, &[&means[..], &rstds].concat(), 1e-6);
        let formula =
            oracle::group_norm_backward(shape, groups, &dy, &x, &gamma, &means, &rstds).concat();
        assert_close(&[dx, params].concat(), &formula, 5e-5);
    }
}

#[test]
fn an_example_does_not_know_its_batch() {
    for sizes in SHAPES {
        let case = Case::new(sizes);
        let row = case.shape.channels * case.shape.len;
        let one = ChannelShape { batch: 1, ..case.shape };
        let mut dx = unwritten(case.x.len());
        case.backward(&mut dx, [&mut [], &mut []], false);
        for example in 0..case.shape.batch {
            let at = example * row..(example + 1) * row;
            let stats = example * case.groups..(example + 1) * case.groups;
            let (x, dy) = (&case.x[at.clone()], &case.dy[at.clone()]);
            let (mut mean, mut rstd) = (unwritten(case.groups), unwritten(case.groups));
            let mut out = unwritten(row);
            group_norm_forward(
                one,
                case.groups,
                EPS,
                x,
                &case.gamma,
                &case.beta,
                &mut mean,
                &mut rstd,
                &mut out,
            );
            assert_eq!(bits(&out), bits(&case.y[at.clone()]));
            assert_eq!(bits(&mean), bits(&case.mean[stats.clone()]));
            assert_eq!(bits(&rstd), bits(&case.rstd[stats]));
            group_norm_backward(
                one,
                case.groups,
                dy,
                x,
                &case.gamma,
                &mean,
                &rstd,
                &mut out,
                &mut [],
                &mut [],
                false,
                false,
            );
            assert_eq!(bits(&out), bits(&dx[at]));
        }
    }
}

#[test]
fn parameters_shared_by_channels_get_the_same_bits() {
    for sizes in SHAPES {
        let case = Case::new(sizes);
        let Case { shape, groups, x, dy, mean, rstd, .. } = &case;
        let (mut dgamma, mut dbeta) = (unwritten(shape.channels), unwritten(shape.channels));
        case.backward(&mut unwritten(x.len()), [&mut dgamma, &mut dbeta], false);
        for channels in [0..shape.channels / 3, shape.channels / 3..shape.channels] {
            let params = output(2 * channels.len(), |params| {
                let (dgamma, dbeta) = params.split_at_mut(channels.len());
                let channels = channels.clone();
                group_norm_grad_params(*shape, *groups, channels, dy, x, mean, rstd, dgamma, dbeta);
            });
            let want = [&dgamma[channels.clone()], &dbeta[channels]].concat();
            assert_eq!(bits(&params), bits(&want));
        }
    }
}

#[test]
fn group_statistics_are_accurate_far_from_zero() {
    let shape = shape([2, 8, 196]);
    let x: Vec<f32> = numbers(1, shape.data_len()).iter().map(|x| 1000.0 + x).collect();
    let (mut mean, mut rstd, mut y) = ([0.0; 4], [0.0; 4], unwritten(x.len()));
    group_norm_forward(shape, 2, EPS, &x, &[1.0; 8], &[0.0; 8], &mut mean, &mut rstd, &mut y);
    let rows = ChannelShape { batch: 1, channels: 4, len: 4 * 196 };
    let [means, variances] = oracle::batch_statistics(rows, &widened(&x));
    for group in 0..4 {
        let want = 1.0 / (variances[group] + f64::from(EPS)).sqrt();
        assert!((f64::from(mean[group]) - means[group]).abs() < 4e-5);
        assert!((f64::from(rstd[group]) - want).abs() < 1e-6 * want);
    }
}

#[test]
#[should_panic(expected = "groups divide the channels")]
fn groups_that_do_not_divide_the_channels_are_refused() {
    let shape = shape([1, 4, 2]);
    let (mut mean, mut rstd, mut y) = ([0.0; 3], [0.0; 3], [0.0; 8]);
    let params = [1.0; 4];
    group_norm_forward(shape, 3, EPS, &[0.0; 8], &params, &params, &mut mean, &mut rstd, &mut y);
}
