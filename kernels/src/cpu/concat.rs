//! Runs of columns of a matrix: concatenation, and its gradient.

use super::dispatch::dispatch;
use super::slice_loops::map;

/// `y[:, at..at + x_width] = x`; the other columns of `y` are left as they are.
///
/// `x`: `f32[rows, x_width]`; `y`: `f32[rows, y_width]`. A concatenation is one of these for each part.
pub fn copy_columns(
    rows: usize,
    x_width: usize,
    y_width: usize,
    at: usize,
    x: &[f32],
    y: &mut [f32],
) {
    assert_lengths(rows, x_width, y_width, at, x, y);
    if x.is_empty() {
        return;
    }
    dispatch!(lanes => {
        for (x, y) in x.chunks_exact(x_width).zip(y.chunks_exact_mut(y_width)) {
            map(lanes, [x], [&mut y[at..][..x_width]], #[inline(always)] |[x], _| [x]);
        }
    });
}

/// The gradient of [`copy_columns`]: `dx = dy[:, at..at + dx_width]`, added to `dx` where `accumulate`.
///
/// `dy`: `f32[rows, y_width]`; `dx`: `f32[rows, dx_width]`.
pub fn take_columns(
    rows: usize,
    y_width: usize,
    at: usize,
    dx_width: usize,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_lengths(rows, dx_width, y_width, at, dx, dy);
    if dx.is_empty() {
        return;
    }
    dispatch!(lanes => {
        for (dx, dy) in dx.chunks_exact_mut(dx_width).zip(dy.chunks_exact(y_width)) {
            let dy = &dy[at..][..dx_width];
            if accumulate {
                map(lanes, [dy], [dx], #[inline(always)] |[dy], [dx]| [dx + dy]);
            } else {
                map(lanes, [dy], [dx], #[inline(always)] |[dy], _| [dy]);
            }
        }
    });
}

fn assert_lengths(rows: usize, x_width: usize, y_width: usize, at: usize, x: &[f32], y: &[f32]) {
    assert!(at + x_width <= y_width, "columns exist");
    assert_eq!(x.len(), rows * x_width, "the narrow matrix is f32[rows, x_width]");
    assert_eq!(y.len(), rows * y_width, "the wide matrix is f32[rows, y_width]");
}
