//! Softplus and its gradient.

use super::{LENGTHS, assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::{add, softplus_forward, softplus_grad};
use esper_kernels::oracle;

const BETAS: [f32; 3] = [0.5, 1.0, 20.0];

#[test]
fn softplus_is_the_oracles_on_every_unit() {
    for len in LENGTHS {
        for beta in BETAS {
            let (x, dy) = (numbers(1, len), numbers(2, len));
            let y = on_every_unit(|| {
                let mut y = unwritten(len);
                softplus_forward(beta, &x, &mut y);
                y
            });
            assert_close(&y, &oracle::softplus(beta, &widened(&x)), 3e-7);
            let dx = on_every_unit(|| {
                let mut dx = unwritten(len);
                softplus_grad(beta, &x, &dy, &mut dx, false);
                dx
            });
            let want = oracle::softplus_grad(beta, &widened(&x), &widened(&dy));
            assert_close(&dx, &want, 5e-7);
        }
    }
}

#[test]
fn the_gradient_is_the_slope() {
    let (x, dy) = (widened(&numbers(3, 50)), vec![1.0; 50]);
    for beta in BETAS {
        let gradient = oracle::softplus_grad(beta, &x, &dy);
        let value = |x: f64| oracle::softplus(beta, &[x])[0];
        for (x, gradient) in x.iter().zip(gradient) {
            let slope = (value(x + 1e-5) - value(x - 1e-5)) / 2e-5;
            assert!((slope - gradient).abs() < 1e-7, "{slope} for {gradient} at {x}");
        }
    }
}

#[test]
fn accumulation_adds_the_finished_gradient() {
    let (x, dy, was) = (numbers(4, 65), numbers(5, 65), numbers(6, 65));
    let (mut apart, mut sum, mut found) = (unwritten(65), unwritten(65), was.clone());
    softplus_grad(1.5, &x, &dy, &mut apart, false);
    add(&was, &apart, &mut sum);
    softplus_grad(1.5, &x, &dy, &mut found, true);
    assert_eq!(bits(&found), bits(&sum));
}

#[test]
fn far_from_zero_it_is_a_rectifier_with_a_tail() {
    // ln(1 + t) = t where t is far below the precision of one.
    let x = [-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 3e38, f32::INFINITY, f32::NAN];
    let found = on_every_unit(|| {
        let mut y = unwritten(x.len());
        softplus_forward(1.0, &x, &mut y);
        y
    });
    assert_eq!(&found[..2], &[0.0, 0.0]);
    assert!((found[2] / 2.061_153_6e-9 - 1.0).abs() < 1e-6, "{}", found[2]);
    assert!((found[3] - std::f32::consts::LN_2).abs() < 1e-7);
    assert_eq!(&found[4..8], &[20.0, 100.0, 3e38, f32::INFINITY]);
    assert!(found[8].is_nan());
}
