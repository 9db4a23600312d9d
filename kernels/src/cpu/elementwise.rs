//! Sums, products, residual connections and gates.

use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use super::math::sigmoid;
use super::sweep::{Columns, fold_columns, map};

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

/// `y = gamma * x`, a factor a column; `x`, `y`: `f32[rows, width]`, `gamma`: `f32[width]`.
pub fn layer_scale_forward(rows: usize, width: usize, x: &[f32], gamma: &[f32], y: &mut [f32]) {
    dispatch!(lanes => {
        each_row(lanes, [rows, width], x, gamma, y, #[inline(always)] |x, gamma, _| gamma * x);
    });
}

/// The gradient of [`layer_scale_forward`].
///
/// `dx = gamma * dy`, added to `dx` where `accumulate_dx`. Where `want_params`, `dgamma`, `f32[width]`, is
/// overwritten with the sums over rows, in order, of `dy * x`; otherwise it is not touched and may be
/// empty.
pub fn layer_scale_backward(
    rows: usize,
    width: usize,
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    dispatch!(lanes => {
        if want_params {
            product_sums(lanes, [rows, width], dy, x, dgamma);
        }
        if accumulate_dx {
            each_row(lanes, [rows, width], dy, gamma, dx, #[inline(always)] |dy, gamma, dx| {
                dx + gamma * dy
            });
        } else {
            each_row(lanes, [rows, width], dy, gamma, dx, #[inline(always)] |dy, gamma, _| {
                gamma * dy
            });
        }
    });
}

/// `y = sigmoid(w) * x`, a gate a column; `x`, `y`: `f32[rows, width]`, `w`: `f32[width]`.
pub fn gate_forward(rows: usize, width: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    dispatch!(lanes => {
        each_row(lanes, [rows, width], x, w, y, #[inline(always)] |x, w, _| sigmoid(w) * x);
    });
}

/// The gradient of [`gate_forward`].
///
/// `dx = sigmoid(w) * dy`, added to `dx` where `accumulate_dx`. Where `want_params`, `dw`, `f32[width]`, is
/// overwritten with `s (1 - s)`, `s = sigmoid(w)`, times the sums over rows, in order, of `dy * x`;
/// otherwise it is not touched and may be empty.
pub fn gate_backward(
    rows: usize,
    width: usize,
    dy: &[f32],
    x: &[f32],
    w: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
    accumulate_dx: bool,
    want_params: bool,
) {
    dispatch!(lanes => {
        if want_params {
            product_sums(lanes, [rows, width], dy, x, dw);
            map(lanes, [w], [dw], #[inline(always)] |[w], [sum]| {
                let gate = sigmoid(w);
                [(-gate).mul_add(gate, gate) * sum]
            });
        }
        if accumulate_dx {
            each_row(lanes, [rows, width], dy, w, dx, #[inline(always)] |dy, w, dx| {
                dx + sigmoid(w) * dy
            });
        } else {
            each_row(lanes, [rows, width], dy, w, dx, #[inline(always)] |dy, w, _| {
                sigmoid(w) * dy
            });
        }
    });
}

/// `y = f(x, param, y)` in every row of `f32[rows, width]`, with `param`: `f32[width]`.
#[inline(always)]
fn each_row<L: Lanes>(
    lanes: L,
    [rows, width]: [usize; 2],
    x: &[f32],
    param: &[f32],
    y: &mut [f32],
    f: impl Fn(Vector<L>, Vector<L>, Vector<L>) -> Vector<L>,
) {
    assert_eq!(x.len(), rows * width, "x is f32[rows, width]");
    assert_eq!(y.len(), rows * width, "y is f32[rows, width]");
    if width == 0 {
        return;
    }
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        map(
            lanes,
            [x, param],
            [y],
            #[inline(always)]
            |[x, param], [y]| [f(x, param, y)],
        );
    }
}

/// `sums = sum over rows of a * b`
#[inline(always)]
fn product_sums<L: Lanes>(
    lanes: L,
    [rows, width]: [usize; 2],
    a: &[f32],
    b: &[f32],
    sums: &mut [f32],
) {
    let columns = Columns { rows, width, reads: [a, b], scalars: [], writes: [] };
    fold_columns(
        lanes,
        columns,
        [sums],
        false,
        #[inline(always)]
        |[sum], [a, b], [], []| ([a.mul_add(b, sum)], []),
    );
}
