//! A bias added to each row, and its gradient.

use super::dispatch::dispatch;
use super::slice_loops::{Columns, fold_columns, map};

/// `y = x + bias`, the bias added to each row; `x`, `y`: `f32[rows, width]`, `bias`: `f32[width]`.
pub fn bias_forward(x: &[f32], bias: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "x and y have one shape");
    assert!(x.is_empty() || x.len().is_multiple_of(bias.len()), "x is f32[rows, width]");
    if x.is_empty() {
        return;
    }
    let rows = x.chunks_exact(bias.len()).zip(y.chunks_exact_mut(bias.len()));
    dispatch!(lanes => {
        for (x, y) in rows {
            map(lanes, [x, bias], [y], #[inline(always)] |[x, bias], _| [x + bias]);
        }
    });
}

/// `db = sum of dy over its rows`, in order; `dy`: `f32[rows, width]`, `db`: `f32[width]`.
///
/// Added to `db` where `accumulate`.
pub fn bias_grad(rows: usize, width: usize, dy: &[f32], db: &mut [f32], accumulate: bool) {
    dispatch!(lanes => {
        let columns = Columns { rows, width, reads: [dy], scalars: [], writes: [] };
        fold_columns(lanes, columns, [db], accumulate, #[inline(always)] |[sum], [dy], [], []| {
            ([sum + dy], [])
        });
    });
}
