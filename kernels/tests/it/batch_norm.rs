//! Batch normalization.

use super::channel::{SHAPES, gradient, output, shape};
use super::gradients::slope;
use super::{assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::*;
use esper_kernels::oracle;

const EPS: f32 = 1e-3;

/// A batch, its parameters, and what the forward pass makes of it.
struct Case {
    shape: ChannelShape,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    dy: Vec<f32>,
    mean: Vec<f32>,
    rstd: Vec<f32>,
    /// Rectified.
    y: Vec<f32>,
}

impl Case {
    fn new(shape: ChannelShape) -> Self {
        let (x, dy) = (numbers(1, shape.data_len()), numbers(4, shape.data_len()));
        let (gamma, beta) = (numbers(2, shape.channels), numbers(3, shape.channels));
        let [mean, rstd, y] = forward(shape, &x, &gamma, &beta, true);
        Self { shape, x, gamma, beta, dy, mean, rstd, y }
    }

    fn backward(&self, rectified: bool, dx: &mut [f32], params: [&mut [f32]; 2], add: bool) {
        let Self { shape, x, gamma, dy, mean, rstd, y, .. } = self;
        let [dgamma, dbeta] = params;
        let rectified = rectified.then_some(&y[..]);
        let want_params = !dgamma.is_empty();
        batch_norm_backward(
            *shape,
            dy,
            x,
            gamma,
            mean,
            rstd,
            rectified,
            dx,
            dgamma,
            dbeta,
            add,
            want_params,
        );
    }
}

/// The mean, `rstd` and output of a forward pass without running statistics, on every unit.
fn forward(
    shape: ChannelShape,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    rectify: bool,
) -> [Vec<f32>; 3] {
    let all = on_every_unit(|| {
        let [mut mean, mut rstd] = [unwritten(shape.channels), unwritten(shape.channels)];
        let mut y = unwritten(x.len());
        batch_norm_forward(
            shape, EPS, 0.1, x, gamma, beta, None, &mut mean, &mut rstd, rectify, &mut y,
        );
        [mean, rstd, y].concat()
    });
    let (mean, rest) = all.split_at(shape.channels);
    let (rstd, y) = rest.split_at(shape.channels);
    [mean, rstd, y].map(<[f32]>::to_vec)
}

#[test]
fn batch_norm_agrees_with_the_oracle_on_every_unit() {
    for shape in SHAPES.map(shape) {
        let Case { x, gamma, beta, .. } = Case::new(shape);
        let [_, _, y] = forward(shape, &x, &gamma, &beta, false);
        let [wide_x, wide_gamma, wide_beta] = [&x, &gamma, &beta].map(|all| widened(all));
        let eps = f64::from(EPS);
        let want = oracle::batch_norm(shape, eps, &wide_x, &wide_gamma, &wide_beta);
        assert_close(&y, &want, 2e-6);
    }
}

#[test]
fn a_fused_rectifier_has_the_bits_of_one_apart() {
    for shape in SHAPES.map(shape) {
        let case = Case::new(shape);
        let [_, _, mut y] = forward(shape, &case.x, &case.gamma, &case.beta, false);
        let plain = y.clone();
        activation_forward(Activation::Relu, &plain, &mut y);
        assert_eq!(bits(&case.y), bits(&y), "{shape:?}");
        let fused = gradient(case.x.len(), |dx, add| {
            case.backward(true, dx, [&mut [], &mut []], add);
        });
        let mut masked = Case::new(shape);
        activation_grad(Activation::Relu, &case.y, &mut masked.dy);
        let apart = output(case.x.len(), |dx| {
            masked.backward(false, dx, [&mut [], &mut []], false);
        });
        assert_eq!(bits(&fused), bits(&apart), "{shape:?}");
    }
}

#[test]
fn batch_norm_gradients_are_slopes() {
    let shapes = SHAPES.map(shape).into_iter();
    for shape in shapes.filter(|shape| shape.data_len() < 200 && shape.batch * shape.len != 1) {
        let case = Case::new(shape);
        let [x, gamma, beta] = [&case.x, &case.gamma, &case.beta].map(|all| widened(all));
        let eps = f64::from(EPS);
        let dx = gradient(x.len(), |dx, add| case.backward(false, dx, [&mut [], &mut []], add));
        let want = slope(&case.x, &case.dy, |x| oracle::batch_norm(shape, eps, x, &gamma, &beta));
        assert_close(&dx, &want, 2e-5);
        let params = output(2 * shape.channels, |params| {
            let (dgamma, dbeta) = params.split_at_mut(shape.channels);
            let mut again = unwritten(x.len());
            case.backward(false, &mut again, [dgamma, dbeta], false);
            assert_eq!(bits(&again), bits(&dx), "with and without parameters");
        });
        let dgamma =
            slope(&case.gamma, &case.dy, |gamma| oracle::batch_norm(shape, eps, &x, gamma, &beta));
        let dbeta =
            slope(&case.beta, &case.dy, |beta| oracle::batch_norm(shape, eps, &x, &gamma, beta));
        assert_close(&params, &[dgamma, dbeta].concat(), 5e-6);
        let (dy, [means, rstds]) =
            (widened(&case.dy), oracle::batch_norm_statistics(shape, eps, &x));
        let formula = |rectified: Option<&[f64]>| {
            let gradients =
                oracle::batch_norm_backward(shape, &dy, &x, &gamma, &means, &rstds, rectified);
            gradients.concat()
        };
        assert_close(&[dx, params].concat(), &formula(None), 2e-5);
        let fused = output(x.len() + 2 * shape.channels, |all| {
            let (dx, params) = all.split_at_mut(x.len());
            let (dgamma, dbeta) = params.split_at_mut(shape.channels);
            case.backward(true, dx, [dgamma, dbeta], false);
        });
        assert_close(&fused, &formula(Some(&widened(&case.y))), 2e-5);
    }
}

/// The two halves, over channels and then over examples, give the bits of the whole.
#[test]
fn work_shared_by_channels_and_by_examples_gives_the_same_bits() {
    for shape in SHAPES.map(shape) {
        let case = Case::new(shape);
        let Case { x, gamma, beta, dy, mean, rstd, .. } = &case;
        let row = shape.channels * shape.len;
        let one = ChannelShape { batch: 1, ..shape };
        let cut = shape.channels / 3;
        let (mut means, mut rstds) = (unwritten(cut), unwritten(cut));
        batch_norm_statistics(shape, 0..cut, EPS, 0.1, x, None, &mut means, &mut rstds);
        let rest = shape.channels - cut;
        let (mut more_means, mut more_rstds) = (unwritten(rest), unwritten(rest));
        let channels = cut..shape.channels;
        batch_norm_statistics(
            shape,
            channels.clone(),
            EPS,
            0.1,
            x,
            None,
            &mut more_means,
            &mut more_rstds,
        );
        assert_eq!(bits(&[means, more_means].concat()), bits(mean));
        assert_eq!(bits(&[rstds, more_rstds].concat()), bits(rstd));

        let (mut dgamma, mut dbeta) = (unwritten(shape.channels), unwritten(shape.channels));
        let mut dx = unwritten(x.len());
        case.backward(true, &mut dx, [&mut dgamma, &mut dbeta], false);
        let (mut dgammas, mut dbetas) = (unwritten(rest), unwritten(rest));
        batch_norm_grad_params(
            shape,
            channels.clone(),
            dy,
            x,
            &mean[channels.clone()],
            &rstd[channels.clone()],
            Some(&case.y),
            &mut dgammas,
            &mut dbetas,
        );
        assert_eq!(bits(&dgammas), bits(&dgamma[channels.clone()]));
        assert_eq!(bits(&dbetas), bits(&dbeta[channels]));
        for example in 0..shape.batch {
            let at = example * row..(example + 1) * row;
            let y = &case.y[at.clone()];
            let mut out = unwritten(row);
            batch_norm_normalize(one, &x[at.clone()], gamma, beta, mean, rstd, true, &mut out);
            assert_eq!(bits(&out), bits(y));
            batch_norm_grad_input(
                one,
                shape.batch * shape.len,
                &dy[at.clone()],
                &x[at.clone()],
                gamma,
                mean,
                rstd,
                Some(y),
                &dgamma,
                &dbeta,
                &mut out,
                false,
            );
            assert_eq!(bits(&out), bits(&dx[at]));
        }
    }
}

#[test]
fn running_statistics_follow_the_batch_as_pytorch_has_it() {
    for shape in SHAPES.map(shape) {
        let Case { x, gamma, beta, .. } = Case::new(shape);
        let start = [numbers(5, shape.channels), numbers(6, shape.channels)];
        let found = on_every_unit(|| {
            let [mut mean, mut variance] = start.clone();
            let [mut means, mut rstds] = [unwritten(shape.channels), unwritten(shape.channels)];
            let running = Some((&mut mean[..], &mut variance[..]));
            let mut y = unwritten(x.len());
            batch_norm_forward(
                shape, EPS, 0.3, &x, &gamma, &beta, running, &mut means, &mut rstds, false, &mut y,
            );
            [mean, variance].concat()
        });
        let [mean, variance] = start.clone().map(|all| widened(&all));
        let momentum = f64::from(0.3f32);
        let want = oracle::running_statistics(shape, momentum, &widened(&x), [&mean, &variance]);
        assert_close(&found, &want.concat(), 1e-6);
    }
}

/// By hand: values 1, 3 have mean 2 and variance 1, unbiased 2; running statistics 0 and 1 move by a
/// tenth to 0.2 and 1.1.
#[test]
fn one_channel_worked_by_hand() {
    let (mut mean, mut variance) = ([0.0], [1.0]);
    let (mut means, mut rstds, mut y) = ([0.0], [0.0], [0.0; 2]);
    let running = Some((&mut mean[..], &mut variance[..]));
    let shape = shape([2, 1, 1]);
    batch_norm_forward(
        shape,
        0.0,
        0.1,
        &[1.0, 3.0],
        &[2.0],
        &[0.5],
        running,
        &mut means,
        &mut rstds,
        false,
        &mut y,
    );
    assert_eq!((means, rstds, y), ([2.0], [1.0], [-1.5, 2.5]));
    assert_close(&[mean[0], variance[0]], &[0.2, 1.1], 1e-7);
    let mut y = [0.0; 2];
    batch_norm_inference(shape, 0.0, &[1.0, 3.0], &[2.0], &[0.5], &[2.0], &[4.0], true, &mut y);
    assert_eq!(y, [0.0, 1.5]);
}

#[test]
fn inference_agrees_with_the_oracle_on_every_unit() {
    for shape in SHAPES.map(shape) {
        let Case { x, gamma, beta, .. } = Case::new(shape);
        let mean = numbers(5, shape.channels);
        let variance: Vec<f32> = numbers(6, shape.channels).iter().map(|x| x * x + 0.5).collect();
        let y = output(x.len(), |y| {
            batch_norm_inference(shape, EPS, &x, &gamma, &beta, &mean, &variance, false, y);
        });
        let [x, gamma, beta, mean, variance] =
            [&x, &gamma, &beta, &mean, &variance].map(|all| widened(all));
        let eps = f64::from(EPS);
        let want = oracle::batch_norm_inference(shape, eps, &x, &gamma, &beta, &mean, &variance);
        assert_close(&y, &want, 1e-6);
    }
}

/// What one pass over `x` and `x^2` would lose: a thousand standard deviations from zero.
#[test]
fn statistics_are_accurate_far_from_zero() {
    for sizes in [[64, 2, 784], [2048, 17, 1], [64, 3, 64]] {
        let shape = shape(sizes);
        let x: Vec<f32> = numbers(1, shape.data_len()).iter().map(|x| 1000.0 + x).collect();
        let [mean, rstd, _] =
            forward(shape, &x, &numbers(2, shape.channels), &numbers(3, shape.channels), false);
        let [means, variances] = oracle::batch_statistics(shape, &widened(&x));
        for channel in 0..shape.channels {
            let want = 1.0 / (variances[channel] + f64::from(EPS)).sqrt();
            // Half a unit in the last place of a thousand is 3e-5.
            assert!((f64::from(mean[channel]) - means[channel]).abs() < 4e-5);
            assert!((f64::from(rstd[channel]) - want).abs() < 1e-6 * want, "{sizes:?}");
        }
    }
}

#[test]
fn a_channel_of_equal_values_is_its_bias() {
    let shape = shape([3, 2, 5]);
    let x = vec![0.1; 30];
    let [mean, rstd, y] = forward(shape, &x, &[2.0, 3.0], &[0.5, -1.0], false);
    assert_eq!(mean, [0.1, 0.1]);
    assert_close(&rstd, &[1.0 / f64::from(EPS).sqrt(); 2], 1e-5);
    for (at, y) in y.iter().enumerate() {
        assert_eq!(*y, [0.5, -1.0][at / 5 % 2]);
    }
}

#[test]
fn a_nan_makes_its_channel_nan_and_no_other() {
    let shape = shape([2, 3, 7]);
    let mut x = numbers(1, 42);
    x[7 + 2] = f32::NAN;
    let [mean, rstd, y] = forward(shape, &x, &[1.0; 3], &[0.0; 3], false);
    for channel in 0..3 {
        let nan = channel == 1;
        assert_eq!([mean[channel].is_nan(), rstd[channel].is_nan()], [nan; 2]);
        let mut rows = y.chunks_exact(7).skip(channel).step_by(3).flatten();
        assert!(rows.all(|y| y.is_nan() == nan));
    }
}
