//! Runs of columns of a matrix: concatenation, and its gradient.

use super::Real;

/// `y` with `x` in the columns from `at` on.
pub fn copy_columns<T: Real>(
    x_width: usize,
    y_width: usize,
    at: usize,
    x: &[T],
    y: &[T],
) -> Vec<T> {
    let source = |i: usize| {
        let (row, column) = (i / y_width, i % y_width);
        let inside = (at..at + x_width).contains(&column);
        if inside { x[row * x_width + column - at] } else { y[i] }
    };
    (0..y.len()).map(source).collect()
}

/// The columns of `y` from `at` on: the gradient of [`copy_columns`].
pub fn take_columns<T: Real>(y_width: usize, at: usize, x_width: usize, y: &[T]) -> Vec<T> {
    y.chunks_exact(y_width).flat_map(|y| y[at..at + x_width].to_vec()).collect()
}
