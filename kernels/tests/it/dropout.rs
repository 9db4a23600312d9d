//! Dropout.

use super::{LENGTHS, bits, numbers, on_every_unit, unwritten};
use esper_kernels::cpu::{dropout_forward, dropout_grad};
use esper_kernels::oracle;

#[test]
fn dropout_follows_the_drawn_numbers_forward_and_backward() {
    for len in LENGTHS {
        let (x, start) = (numbers(1, len), numbers(2, len));
        let want = oracle::dropout(7, 3, 0.3, &x);
        let found = on_every_unit(|| {
            let mut y = unwritten(len);
            dropout_forward(7, 3, 0.3, &x, &mut y);
            y
        });
        assert_eq!(bits(&found), bits(&want));
        let mut sum = start.clone();
        dropout_grad(7, 3, 0.3, &x, &mut sum, true);
        let mut expected = start;
        oracle::write(&mut expected, &oracle::dropout_grad(7, 3, 0.3, &x), true);
        assert_eq!(bits(&sum), bits(&expected));
    }
}

#[test]
fn dropout_keeps_its_share_and_its_mean() {
    let x = vec![1.0; 100_000];
    let mut y = unwritten(x.len());
    dropout_forward(11, 0, 0.25, &x, &mut y);
    let n_kept = y.iter().filter(|y| **y != 0.0).count();
    // Six standard deviations of a binomial of 100,000 at 3/4 are 822.
    assert!(n_kept.abs_diff(75_000) < 822, "{n_kept}");
    assert!(y.iter().all(|y| *y == 0.0 || *y == 1.0 / 0.75));
}

#[test]
fn dropout_of_nothing_is_the_identity_and_of_everything_is_zero() {
    let x = [1.5, f32::NAN, -2.0];
    let mut y = [0.0; 3];
    dropout_forward(1, 1, 0.0, &x, &mut y);
    assert_eq!(bits(&y), bits(&x));
    assert_eq!(bits(&oracle::dropout(1, 1, 0.0, &x)), bits(&x));
    dropout_forward(1, 1, 1.0, &x, &mut y);
    assert_eq!(y, [0.0; 3]);
    assert_eq!(oracle::dropout(1, 1, 1.0, &x), [0.0; 3]);
}
