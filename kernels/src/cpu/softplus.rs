//! Softplus: a smooth rectifier.

use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use super::math::{exp, ln, sigmoid};
use super::slice_loops::map;

/// Floating-point operations of [`softplus_forward`], per element, counted in its kernel as an
/// [`Activation`](super::Activation)'s are: `exp` has 22, `ln` 24, what is around them 9.
pub const SOFTPLUS_FLOPS_PER_ELEM: u64 = 55;

/// Floating-point operations of [`softplus_grad`], per element: a sigmoid's 24 and two products.
pub const SOFTPLUS_GRAD_FLOPS_PER_ELEM: u64 = 26;

/// `y = ln(1 + e^(beta x)) / beta`, computed as `max(x, 0) + ln(1 + e^(-beta |x|)) / beta`, which can not overflow.
pub fn softplus_forward(beta: f32, x: &[f32], y: &mut [f32]) {
    dispatch!(lanes => {
        let (minus_beta, share) = (Vector::splat(lanes, -beta), Vector::splat(lanes, 1.0 / beta));
        map(lanes, [x], [y], #[inline(always)] |[x], _| {
            let tail = ln_one_plus(exp(minus_beta * x.abs()));
            let zero = x.constant(0.0);
            [share.mul_add(tail, zero.select(x.less(zero), x))]
        });
    });
}

/// `dx = dy * sigmoid(beta x)`, added to `dx` where `accumulate`.
pub fn softplus_grad(beta: f32, x: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool) {
    dispatch!(lanes => {
        let beta = Vector::splat(lanes, beta);
        if accumulate {
            map(lanes, [x, dy], [dx], #[inline(always)] |[x, dy], [dx]| {
                [dx + dy * sigmoid(beta * x)]
            });
        } else {
            map(lanes, [x, dy], [dx], #[inline(always)] |[x, dy], _| [dy * sigmoid(beta * x)]);
        }
    });
}

/// `ln(1 + t)` for `0 <= t <= 1`: the logarithm of the rounded sum, times what rounding made of `t`
/// (Goldberg 1991, "What every computer scientist should know about floating-point arithmetic", theorem 4).
#[inline(always)]
fn ln_one_plus<L: Lanes>(t: Vector<L>) -> Vector<L> {
    let one = t.constant(1.0);
    let sum = one + t;
    let rounded = sum - one;
    // Where nothing of `t` is left in the sum, its logarithm is `t`; the quotient is then not looked at.
    let corrected = ln(sum) * (t / rounded);
    corrected.select(t.constant(0.0).less(rounded), t)
}
