//! Sums, products, blends and residual connections.

use super::dispatch::dispatch;
use super::lanes::Vector;
use super::slice_loops::map;

/// `y = a + b`
pub fn add(a: &[f32], b: &[f32], y: &mut [f32]) {
    dispatch!(lanes => map(lanes, [a, b], [y], #[inline(always)] |[a, b], _| [a + b]));
}

/// `x = x + y`
pub fn add_assign(x: &mut [f32], y: &[f32]) {
    dispatch!(lanes => map(lanes, [y], [x], #[inline(always)] |[y], [x]| [x + y]));
}

/// `y = a * b`
pub fn multiply(a: &[f32], b: &[f32], y: &mut [f32]) {
    dispatch!(lanes => map(lanes, [a, b], [y], #[inline(always)] |[a, b], _| [a * b]));
}

/// `dx = dy * other`, added to `dx` where `accumulate`: the gradient of [`multiply`] for either factor.
pub fn multiply_grad(dy: &[f32], other: &[f32], dx: &mut [f32], accumulate: bool) {
    if accumulate {
        dispatch!(lanes => {
            map(lanes, [dy, other], [dx], #[inline(always)] |[dy, other], [dx]| [dx + dy * other])
        });
    } else {
        multiply(dy, other, dx);
    }
}

/// `y = factor * x`
pub fn scale(x: &[f32], factor: f32, y: &mut [f32]) {
    dispatch!(lanes => {
        let factor = Vector::splat(lanes, factor);
        map(lanes, [x], [y], #[inline(always)] |[x], _| [factor * x])
    });
}

/// `x = factor * x`
pub fn scale_assign(x: &mut [f32], factor: f32) {
    dispatch!(lanes => {
        let factor = Vector::splat(lanes, factor);
        map(lanes, [], [x], #[inline(always)] |[], [x]| [factor * x])
    });
}

/// `y = x + alpha f`, rounded once.
pub fn residual_forward(x: &[f32], f: &[f32], alpha: f32, y: &mut [f32]) {
    dispatch!(lanes => {
        let alpha = Vector::splat(lanes, alpha);
        map(lanes, [x, f], [y], #[inline(always)] |[x, f], _| [alpha.mul_add(f, x)])
    });
}

/// `x = x + alpha f`, rounded once.
pub fn residual_assign(x: &mut [f32], f: &[f32], alpha: f32) {
    dispatch!(lanes => {
        let alpha = Vector::splat(lanes, alpha);
        map(lanes, [f], [x], #[inline(always)] |[f], [x]| [alpha.mul_add(f, x)])
    });
}

/// `x = (1 - alpha) x + alpha m`: `x` at `alpha = 0` and `m` at `alpha = 1`, bit for bit where finite.
///
/// The two-multiply-add form of NVIDIA's "Lerp faster in CUDA".
pub fn blend_assign(x: &mut [f32], m: &[f32], alpha: f32) {
    dispatch!(lanes => {
        let alpha = Vector::splat(lanes, alpha);
        map(lanes, [m], [x], #[inline(always)] |[m], [x]| {
            [alpha.mul_add(m, (-alpha).mul_add(x, x))]
        })
    });
}
