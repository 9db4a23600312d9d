//! Sums of whole slices, in one fixed order on every machine.
//!
//! Element `i` goes to partial sum `i % 16`; the sixteen are joined by a fixed tree.

use super::dispatch::dispatch;
use super::lanes::Vector;
use super::slice_loops::{fold, fold_sums};

/// The sum of `x`.
pub fn sum(x: &[f32]) -> f32 {
    let [sum] = dispatch!(lanes => {
        fold_sums(lanes, [x], #[inline(always)] |[sum], [x]| [sum + x])
    });
    sum
}

/// The sum of the squares of `x`.
pub fn sum_squares(x: &[f32]) -> f32 {
    let [sum] = dispatch!(lanes => {
        fold_sums(lanes, [x], #[inline(always)] |[sum], [x]| [x.mul_add(x, sum)])
    });
    sum
}

/// The root of the mean square of `x`; zero if `x` is empty.
pub fn rms(x: &[f32]) -> f32 {
    if x.is_empty() { 0.0 } else { (sum_squares(x) / x.len() as f32).sqrt() }
}

/// Whether no value of `x` is infinite or NaN.
pub fn all_finite(x: &[f32]) -> bool {
    // x * 0 is zero for a finite x and NaN for any other; NaN survives every addition.
    let [sum] = dispatch!(lanes => {
        let zero = Vector::splat(lanes, 0.0);
        fold(
            lanes,
            [x],
            0.0,
            #[inline(always)] |[sum], [x]| [x.mul_add(zero, sum)],
            #[inline(always)] |a, b| a + b,
        )
    });
    sum == 0.0
}
