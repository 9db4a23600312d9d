//! Sums and means of whole slices.

use super::Real;

/// The sum of `x` in the order of every kernel: element `i` goes to partial sum `i % 16`, and the
/// sixteen are joined by one tree.
pub fn sum<T: Real>(x: &[T]) -> T {
    joined(partial_sums(x, |sum, x| sum + x))
}

/// The sum of the squares of `x`, in the order of [`sum()`].
pub fn sum_squares<T: Real>(x: &[T]) -> T {
    joined(partial_sums(x, |sum, x| x.mul_add(x, sum)))
}

/// The root of the mean square of `x`; zero if `x` is empty.
pub fn rms<T: Real>(x: &[T]) -> T {
    if x.is_empty() { T::of(0.0) } else { (sum_squares(x) / T::of(x.len() as f64)).sqrt() }
}

/// Whether no value of `x` is infinite or NaN.
pub fn all_finite<T: Real>(x: &[T]) -> bool {
    x.iter().all(|x| x.value().is_finite())
}

/// The mean.
pub fn mean<T: Real>(x: &[T]) -> T {
    x.iter().fold(T::of(0.0), |sum, x| sum + *x) / T::of(x.len() as f64)
}

/// The mean of the squares.
pub fn mean_square<T: Real>(x: &[T]) -> T {
    x.iter().fold(T::of(0.0), |sum, x| sum + *x * *x) / T::of(x.len() as f64)
}

/// Sixteen chains over `x`, element `i` in number `i % 16`.
pub(super) fn partial_sums<T: Real>(x: &[T], add: impl Fn(T, T) -> T) -> [T; 16] {
    let mut parts = [T::of(0.0); 16];
    x.iter().enumerate().for_each(|(at, x)| parts[at % 16] = add(parts[at % 16], *x));
    parts
}

/// The sum of sixteen, by halves.
pub(super) fn joined<T: Real>(mut parts: [T; 16]) -> T {
    for half in [8, 4, 2, 1] {
        for part in 0..half {
            parts[part] = parts[part] + parts[part + half];
        }
    }
    parts[0]
}
