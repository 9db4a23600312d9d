//! Every gradient against central differences of the oracle in `f64`.

use super::conv2d::shapes;
use super::{assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::*;
use esper_kernels::oracle::{self, central_differences};

/// `f32` rounding of a few dozen operations on numbers near one.
const TOLERANCE: f64 = 5e-6;

/// The gradient, for `x`, of the sum of `dy * f(x)`.
pub(super) fn slope(x: &[f32], dy: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let dy = widened(dy);
    central_differences(&widened(x), |x| f(x).iter().zip(&dy).map(|(y, dy)| y * dy).sum())
}

/// Runs a gradient into a fresh buffer, on every unit.
fn gradient(len: usize, f: impl Fn(&mut [f32])) -> Vec<f32> {
    on_every_unit(|| {
        let mut out = unwritten(len);
        f(&mut out);
        out
    })
}

#[test]
fn linear_gradients_are_slopes() {
    for [rows, inputs, outputs] in [[1, 1, 1], [3, 7, 5], [4, 17, 3]] {
        let shape = LinearShape { rows, inputs, outputs };
        let (x, w) = (numbers(1, rows * inputs), numbers(2, outputs * inputs));
        let (b, dy) = (numbers(3, outputs), numbers(4, rows * outputs));
        let (wide_x, wide_w, wide_b) = (widened(&x), widened(&w), widened(&b));
        let scratch = || unwritten(linear_scratch_len(shape));
        let dx =
            gradient(x.len(), |dx| linear_grad_input(shape, &dy, &w, dx, false, &mut scratch()));
        let want = slope(&x, &dy, |x| oracle::linear(shape, x, &wide_w, Some(&wide_b)));
        assert_close(&dx, &want, TOLERANCE);
        let dw =
            gradient(w.len(), |dw| linear_grad_weight(shape, &dy, &x, dw, false, &mut scratch()));
        let want = slope(&w, &dy, |w| oracle::linear(shape, &wide_x, w, Some(&wide_b)));
        assert_close(&dw, &want, TOLERANCE);
        let db = gradient(outputs, |db| bias_grad(rows, outputs, &dy, db, false));
        assert_eq!(bits(&db), bits(&oracle::bias_grad(outputs, &dy)));
        let want = slope(&b, &dy, |b| oracle::linear(shape, &wide_x, &wide_w, Some(b)));
        assert_close(&db, &want, TOLERANCE);
    }
}

#[test]
fn activation_gradients_are_slopes() {
    // Away from zero, where the rectifier has no slope.
    let x: Vec<f32> = (-400..400).map(|i| (i as f32 + 0.5) * 0.02).collect();
    let dy = numbers(5, x.len());
    for activation in Activation::ALL {
        let mut saved = unwritten(x.len());
        activation_forward(activation, &x, &mut saved);
        if activation.saves_input() {
            saved.copy_from_slice(&x);
        }
        let dx = gradient(x.len(), |dx| {
            dx.copy_from_slice(&dy);
            activation_grad(activation, &saved, dx);
        });
        let each = |x: &[f64]| x.iter().map(|x| oracle::activate(activation, *x)).collect();
        // The slope of each element apart: 800 differences of 800 sums would be slow.
        let want: Vec<f64> =
            x.iter().zip(&dy).map(|(x, dy)| slope(&[*x], &[*dy], each)[0]).collect();
        assert_close(&dx, &want, TOLERANCE);
        let (wide_saved, wide_dy) = (widened(&saved), widened(&dy));
        let formula = oracle::activation_grad(activation, &wide_saved, &wide_dy);
        assert_close(&dx, &formula, TOLERANCE);
        let width = 16;
        let sums = gradient(width, |db| {
            let mut dz = dy.clone();
            activation_bias_grad(activation, x.len() / width, width, &saved, &mut dz, db);
            assert_eq!(bits(&dz), bits(&dx));
        });
        assert_eq!(bits(&sums), bits(&oracle::bias_grad(width, &dx)));
        let [_, db] = oracle::activation_bias_grad(activation, width, &wide_saved, &wide_dy);
        assert_close(&sums, &db, 50.0 * TOLERANCE);
    }
}

#[test]
fn layer_norm_gradients_are_slopes() {
    for (rows, width) in [(1, 2), (3, 7), (2, 17), (2, 33), (3, 16), (2, 32)] {
        let (x, gamma) = (numbers(1, rows * width), numbers(2, width));
        let (beta, dy) = (numbers(3, width), numbers(4, rows * width));
        let (mut mean, mut rstd, mut y) = (unwritten(rows), unwritten(rows), unwritten(x.len()));
        layer_norm_forward(rows, width, 1e-3, &x, &gamma, &beta, &mut mean, &mut rstd, &mut y);
        let run = |start: f32, accumulate: bool| {
            on_every_unit(|| {
                let mut dx = vec![start; x.len()];
                let (mut dg, mut db) = (unwritten(width), unwritten(width));
                layer_norm_backward(
                    rows, width, &dy, &x, &gamma, &mean, &rstd, &mut dx, &mut dg, &mut db,
                    accumulate, true,
                );
                [dx, dg, db].concat()
            })
        };
        let (wx, wg, wb) = (widened(&x), widened(&gamma), widened(&beta));
        let want = [
            slope(&x, &dy, |x| oracle::layer_norm(width, 1e-3, x, &wg, &wb)),
            slope(&gamma, &dy, |gamma| oracle::layer_norm(width, 1e-3, &wx, gamma, &wb)),
            slope(&beta, &dy, |beta| oracle::layer_norm(width, 1e-3, &wx, &wg, beta)),
        ];
        let fresh = run(f32::NAN, false);
        assert_close(&fresh, &want.concat(), 2e-5);
        let [means, rstds] = oracle::layer_norm_statistics(width, 1e-3, &wx);
        assert_close(&[&mean[..], &rstd].concat(), &[&means[..], &rstds].concat(), 2e-5);
        let wdy = widened(&dy);
        let formula = oracle::layer_norm_backward(width, &wdy, &wx, &wg, &means, &rstds);
        assert_close(&fresh, &formula.concat(), 2e-5);
        let added = run(1.0, true);
        for at in 0..x.len() {
            assert_eq!(added[at], 1.0 + fresh[at]);
        }
        let mut dx = unwritten(x.len());
        layer_norm_backward(
            rows,
            width,
            &dy,
            &x,
            &gamma,
            &mean,
            &rstd,
            &mut dx,
            &mut [],
            &mut [],
            false,
            false,
        );
        assert_eq!(dx, fresh[..x.len()], "without the parameters' gradients");
    }
}

#[test]
fn rms_norm_gradients_are_slopes() {
    for (rows, width) in [(1, 2), (3, 7), (2, 17), (2, 33)] {
        let (x, gamma) = (numbers(1, rows * width), numbers(2, width));
        let dy = numbers(4, rows * width);
        let (mut rrms, mut y) = (unwritten(rows), unwritten(x.len()));
        rms_norm_forward(rows, width, 1e-3, &x, &gamma, &mut rrms, &mut y);
        let run = |start: f32, accumulate: bool| {
            on_every_unit(|| {
                let (mut dx, mut dg) = (vec![start; x.len()], unwritten(width));
                rms_norm_backward(
                    rows, width, &dy, &x, &gamma, &rrms, &mut dx, &mut dg, accumulate, true,
                );
                [dx, dg].concat()
            })
        };
        let (wx, wg) = (widened(&x), widened(&gamma));
        let want = [
            slope(&x, &dy, |x| oracle::rms_norm(width, 1e-3, x, &wg)),
            slope(&gamma, &dy, |gamma| oracle::rms_norm(width, 1e-3, &wx, gamma)),
        ];
        let fresh = run(f32::NAN, false);
        assert_close(&fresh, &want.concat(), TOLERANCE);
        let statistics = oracle::rms_norm_statistics(width, 1e-3, &wx);
        assert_close(&rrms, &statistics, TOLERANCE);
        let formula = oracle::rms_norm_backward(width, &widened(&dy), &wx, &wg, &statistics);
        assert_close(&fresh, &formula.concat(), TOLERANCE);
        let added = run(1.0, true);
        for at in 0..x.len() {
            assert_eq!(added[at], 1.0 + fresh[at]);
        }
    }
}

#[test]
fn the_gradient_of_a_product_is_a_slope() {
    let (a, b, dy) = (numbers(1, 19), numbers(2, 19), numbers(3, 19));
    let da = gradient(19, |da| multiply_grad(&dy, &b, da, false));
    let wide_b = widened(&b);
    assert_close(&da, &slope(&a, &dy, |a| oracle::multiply(a, &wide_b)), TOLERANCE);
}

#[test]
fn the_gradient_of_dropout_is_a_slope() {
    let (x, dy) = (numbers(1, 100), numbers(2, 100));
    let dx = gradient(100, |dx| dropout_grad(9, 4, 0.4, &dy, dx, false));
    assert_close(&dx, &slope(&x, &dy, |x| oracle::dropout(9, 4, 0.4, x)), TOLERANCE);
}

#[test]
fn convolution_gradients_are_slopes() {
    // Two evaluations of the oracle for each value: those of few.
    let few = |shape: &Conv2dShape| shape.x_len() + shape.w_len() < 1000 && shape.flops() < 200_000;
    let shapes: Vec<Conv2dShape> = shapes().into_iter().filter(few).collect();
    assert!(10 <= shapes.len(), "{} shapes are small", shapes.len());
    for shape in shapes {
        let (x, w, dy) =
            (numbers(1, shape.x_len()), numbers(2, shape.w_len()), numbers(3, shape.y_len()));
        let (wide_x, wide_w) = (widened(&x), widened(&w));
        let scratch = || unwritten(conv2d_scratch_len(shape));
        let dx =
            gradient(x.len(), |dx| conv2d_grad_input(shape, &dy, &w, dx, false, &mut scratch()));
        assert_close(&dx, &slope(&x, &dy, |x| oracle::conv2d(shape, x, &wide_w, None)), TOLERANCE);
        let dw =
            gradient(w.len(), |dw| conv2d_grad_weight(shape, &dy, &x, dw, false, &mut scratch()));
        assert_close(&dw, &slope(&w, &dy, |w| oracle::conv2d(shape, &wide_x, w, None)), 1e-5);
    }
}

#[test]
fn cross_entropy_gradients_are_slopes_of_the_mean_loss() {
    for (rows, classes) in [(1, 2), (5, 10), (3, 17), (2, 33)] {
        let logits = numbers(1, rows * classes);
        let labels: Vec<u32> = (0..rows).map(|row| (row * 3 % classes) as u32).collect();
        let dlogits = gradient(logits.len(), |dlogits| {
            let mut losses = unwritten(rows);
            softmax_cross_entropy(rows, classes, &logits, &labels, &mut losses, Some(dlogits));
        });
        let want = central_differences(&widened(&logits), |logits| {
            oracle::mean(&oracle::softmax_cross_entropy(classes, logits, &labels))
        });
        assert_close(&dlogits, &want, 1e-7);
        let formula = oracle::softmax_cross_entropy_grad(classes, &widened(&logits), &labels);
        assert_close(&dlogits, &formula, 1e-7);
    }
}

#[test]
fn squared_error_gradients_are_slopes_of_the_mean_loss() {
    for (rows, width) in [(1, 1), (5, 3), (3, 17)] {
        let (prediction, target) = (numbers(1, rows * width), numbers(2, rows * width));
        let dprediction = gradient(prediction.len(), |dprediction| {
            let mut losses = unwritten(rows);
            mean_squared_error(rows, width, &prediction, &target, &mut losses, Some(dprediction));
        });
        let target = widened(&target);
        let formula = oracle::mean_squared_error_grad(&widened(&prediction), &target);
        assert_close(&dprediction, &formula, 1e-6);
        let want = central_differences(&widened(&prediction), |prediction| {
            oracle::mean(&oracle::mean_squared_error(width, prediction, &target))
        });
        assert_close(&dprediction, &want, 1e-6);
    }
}
