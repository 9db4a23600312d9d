//! Sums, products, blends and residual connections.

use super::Real;

/// Writes `values` to `out`, or, where `accumulate`, adds them to it: what kernels do with results.
///
/// # Panics
///
/// Panics if they differ in number.
pub fn write<T: Real>(out: &mut [T], values: &[T], accumulate: bool) {
    assert_eq!(out.len(), values.len(), "operands differ in length");
    for (out, value) in out.iter_mut().zip(values) {
        *out = if accumulate { *out + *value } else { *value };
    }
}

/// `a + b`
pub fn add<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| *a + *b).collect()
}

/// `a * b`
pub fn multiply<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| *a * *b).collect()
}

/// The gradient of [`multiply`] for either factor: `dy * other`.
pub fn multiply_grad<T: Real>(dy: &[T], other: &[T]) -> Vec<T> {
    multiply(dy, other)
}

/// `factor * x`
pub fn scale<T: Real>(x: &[T], factor: T) -> Vec<T> {
    x.iter().map(|x| factor * *x).collect()
}

/// `x + alpha f`, rounded once.
pub fn residual<T: Real>(x: &[T], f: &[T], alpha: T) -> Vec<T> {
    x.iter().zip(f).map(|(x, f)| alpha.mul_add(*f, *x)).collect()
}

/// `(1 - alpha) x + alpha m` in two multiply-adds.
pub fn blend<T: Real>(x: &[T], m: &[T], alpha: T) -> Vec<T> {
    x.iter().zip(m).map(|(x, m)| alpha.mul_add(*m, (-alpha).mul_add(*x, *x))).collect()
}
