//! Means over the positions of a sequence.

use super::dispatch::dispatch;
use super::lanes::Vector;
use super::slice_loops::{Columns, fold_columns, map};

/// `y[b] = mean over t of x[b, t]`
///
/// `x`: `f32[batch, len, width]`; `y`: `f32[batch, width]`. Each sum is one chain over positions, in
/// order, then divided by `len`.
pub fn mean_positions(batch: usize, len: usize, width: usize, x: &[f32], y: &mut [f32]) {
    assert_lengths(batch, len, width, x, y);
    if y.is_empty() {
        return;
    }
    dispatch!(lanes => {
        let count = Vector::splat(lanes, len as f32);
        for (x, y) in x.chunks_exact(len * width).zip(y.chunks_exact_mut(width)) {
            let columns = Columns { rows: len, width, reads: [x], scalars: [], writes: [] };
            fold_columns(lanes, columns, [&mut *y], false, #[inline(always)] |[sum], [x], [], []| {
                ([sum + x], [])
            });
            map(lanes, [], [y], #[inline(always)] |[], [y]| [y / count]);
        }
    });
}

/// The gradient of [`mean_positions`]: `dx[b, t] = dy[b] / len`, added to `dx` where `accumulate`.
pub fn mean_positions_grad(
    batch: usize,
    len: usize,
    width: usize,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_lengths(batch, len, width, dx, dy);
    if dy.is_empty() {
        return;
    }
    dispatch!(lanes => {
        let count = Vector::splat(lanes, len as f32);
        for (dy, dx) in dy.chunks_exact(width).zip(dx.chunks_exact_mut(len * width)) {
            if accumulate {
                for dx in dx.chunks_exact_mut(width) {
                    map(lanes, [dy], [dx], #[inline(always)] |[dy], [dx]| [dx + dy / count]);
                }
            } else {
                // One division for all positions.
                let (first, others) = dx.split_at_mut(width);
                map(lanes, [dy], [&mut *first], #[inline(always)] |[dy], _| [dy / count]);
                others.chunks_exact_mut(width).for_each(|dx| dx.copy_from_slice(first));
            }
        }
    });
}

fn assert_lengths(batch: usize, len: usize, width: usize, x: &[f32], y: &[f32]) {
    assert!(0 < len, "there is a position");
    assert_eq!(x.len(), batch * len * width, "x is f32[batch, len, width]");
    assert_eq!(y.len(), batch * width, "y is f32[batch, width]");
}
