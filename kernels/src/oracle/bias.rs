//! A bias added to each row.

use super::Real;

/// `x + bias`, the bias added to each row of `x`: `[rows, width]`.
pub fn add_bias<T: Real>(x: &[T], bias: &[T]) -> Vec<T> {
    x.iter().enumerate().map(|(at, x)| *x + bias[at % bias.len()]).collect()
}

/// The gradient of [`add_bias`] for `bias`: the sum of the rows of `dy`, in order.
pub fn bias_grad<T: Real>(width: usize, dy: &[T]) -> Vec<T> {
    let mut db = vec![T::of(0.0); width];
    dy.iter().enumerate().for_each(|(at, dy)| db[at % width] = db[at % width] + *dy);
    db
}
