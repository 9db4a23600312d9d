//! Normalization.

use super::{assert_close, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::{layer_norm_forward, rms_norm_forward};
use esper_kernels::oracle;

const SHAPES: [(usize, usize); 7] = [(0, 3), (1, 1), (2, 7), (3, 16), (5, 33), (4, 64), (2, 200)];
const EPS: f32 = 1e-5;

#[test]
fn layer_norm_agrees_with_the_oracle_on_every_unit() {
    for (rows, width) in SHAPES {
        let x = numbers(1, rows * width);
        let (gamma, beta) = (numbers(2, width), numbers(3, width));
        let found = on_every_unit(|| {
            let (mut mean, mut rstd) = (unwritten(rows), unwritten(rows));
            let mut y = unwritten(x.len());
            layer_norm_forward(rows, width, EPS, &x, &gamma, &beta, &mut mean, &mut rstd, &mut y);
            [y, mean, rstd].concat()
        });
        let (gamma, beta) = (widened(&gamma), widened(&beta));
        let want = oracle::layer_norm(width, f64::from(EPS), &widened(&x), &gamma, &beta);
        // One value is its own mean: what is left of it is rounding, times 1 / sqrt(eps).
        assert_close(&found[..x.len()], &want, 1e-5);
    }
}

#[test]
fn rms_norm_agrees_with_the_oracle_on_every_unit() {
    for (rows, width) in SHAPES {
        let (x, gamma) = (numbers(4, rows * width), numbers(5, width));
        let found = on_every_unit(|| {
            let (mut rrms, mut y) = (unwritten(rows), unwritten(x.len()));
            rms_norm_forward(rows, width, EPS, &x, &gamma, &mut rrms, &mut y);
            [y, rrms].concat()
        });
        let want = oracle::rms_norm(width, f64::from(EPS), &widened(&x), &widened(&gamma));
        assert_close(&found[..x.len()], &want, 2e-6);
    }
}
