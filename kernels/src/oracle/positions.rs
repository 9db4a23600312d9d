//! Means over the positions of a sequence.

use super::Real;

/// The mean of the `len` rows of each example.
pub fn mean_positions<T: Real>(len: usize, width: usize, x: &[T]) -> Vec<T> {
    let mean = |x: &[T], column: usize| {
        let column = x.iter().skip(column).step_by(width);
        column.fold(T::of(0.0), |sum, x| sum + *x) / T::of(len as f64)
    };
    x.chunks_exact(len * width)
        .flat_map(|x| (0..width).map(move |column| mean(x, column)))
        .collect()
}

/// The gradient of [`mean_positions`].
pub fn mean_positions_grad<T: Real>(len: usize, width: usize, dy: &[T]) -> Vec<T> {
    let share = |dy: &T| *dy / T::of(len as f64);
    dy.chunks_exact(width).flat_map(|dy| (0..len).flat_map(move |_| dy.iter().map(share))).collect()
}
