//! Mean squared error.

use super::{Real, mean_square};

/// Mean squared error of each example.
pub fn mean_squared_error<T: Real>(width: usize, prediction: &[T], target: &[T]) -> Vec<T> {
    let errors: Vec<T> = prediction.iter().zip(target).map(|(p, t)| *p - *t).collect();
    errors.chunks_exact(width).map(mean_square).collect()
}

/// The gradient of the mean of [`mean_squared_error`]: `2 (prediction - target) / (rows width)`.
pub fn mean_squared_error_grad<T: Real>(prediction: &[T], target: &[T]) -> Vec<T> {
    let factor = T::of(2.0) / T::of(prediction.len() as f64);
    prediction.iter().zip(target).map(|(p, t)| (*p - *t) * factor).collect()
}
