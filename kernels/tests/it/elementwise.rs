//! Elementwise kernels and whole-slice reductions.

use super::{LENGTHS, assert_close, bits, numbers, on_every_unit, widened};
use esper_kernels::cpu::{
    add, add_assign, all_finite, blend_assign, multiply, multiply_grad, residual_assign,
    residual_forward, rms, scale, scale_assign, sum, sum_squares,
};
use esper_kernels::oracle;

#[test]
fn elementwise_kernels_are_bit_equal_to_the_oracle() {
    for len in LENGTHS {
        let (a, b) = (numbers(1, len), numbers(2, len));
        let check = |want: Vec<f32>, kernel: &dyn Fn(&mut Vec<f32>)| {
            let found = on_every_unit(|| {
                let mut y = a.clone();
                kernel(&mut y);
                y
            });
            assert_eq!(bits(&found), bits(&want), "length {len}");
        };
        check(oracle::add(&a, &b), &|y| add(&a, &b, y));
        check(oracle::add(&a, &b), &|y| add_assign(y, &b));
        check(oracle::multiply(&a, &b), &|y| multiply(&a, &b, y));
        check(oracle::multiply_grad(&a, &b), &|y| multiply_grad(&a, &b, y, false));
        check(oracle::add(&a, &oracle::multiply(&a, &b)), &|y| multiply_grad(&a, &b, y, true));
        check(oracle::scale(&a, 0.3), &|y| scale(&a, 0.3, y));
        check(oracle::scale(&a, 0.3), &|y| scale_assign(y, 0.3));
        check(oracle::residual(&a, &b, 0.7), &|y| residual_forward(&a, &b, 0.7, y));
        check(oracle::residual(&a, &b, 0.7), &|y| residual_assign(y, &b, 0.7));
        check(oracle::blend(&a, &b, 0.2), &|y| blend_assign(y, &b, 0.2));
    }
}

#[test]
fn blending_and_residuals_are_exact_at_their_ends() {
    let (x, m) = ([1e8, -3.0, 0.1, 0.7], [1.0, 7.0, 0.3, -1e-9]);
    let mut y = x;
    blend_assign(&mut y, &m, 0.0);
    assert_eq!(y, x);
    blend_assign(&mut y, &m, 1.0);
    assert_eq!(y, m);
    let mut y = x;
    residual_assign(&mut y, &m, 0.0);
    assert_eq!(y, x);
}

#[test]
fn sums_have_one_order_on_every_unit() {
    for len in LENGTHS {
        let x = numbers(5, len);
        let found = on_every_unit(|| vec![sum(&x), sum_squares(&x), rms(&x)]);
        let want = [oracle::sum(&x), oracle::sum_squares(&x), oracle::rms(&x)];
        assert_eq!(bits(&found), bits(&want), "length {len}");
        let squares: f64 = widened(&x).iter().map(|x| x * x).sum();
        let mean = if len == 0 { 0.0 } else { squares / len as f64 };
        assert_close(&found[1..], &[squares, mean.sqrt()], 1e-6);
    }
}

#[test]
fn a_single_value_that_is_not_finite_is_found_anywhere() {
    for len in [1, 8, 15, 16, 17, 65] {
        let mut x = numbers(6, len);
        x[0] = f32::MAX;
        assert!(all_finite(&x) && oracle::all_finite(&x), "length {len}");
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..len {
                let good = core::mem::replace(&mut x[at], bad);
                let found = on_every_unit(|| vec![f32::from(all_finite(&x))]);
                assert_eq!(found, [0.0], "{bad} at {at} of {len}");
                assert!(!oracle::all_finite(&x));
                x[at] = good;
            }
        }
    }
    assert!(all_finite(&[]));
}

#[test]
#[should_panic(expected = "operands differ in length")]
fn operands_of_different_lengths_are_refused() {
    add(&[1.0, 2.0], &[1.0], &mut [0.0; 2]);
}
