//! Softplus and its gradient.

use super::{Real, activate};
use crate::cpu::Activation;

/// `ln(1 + e^(beta x)) / beta` of each value.
pub fn softplus<T: Real>(beta: f32, x: &[T]) -> Vec<T> {
    let (zero, one, beta) = (T::of(0.0), T::of(1.0), T::of(f64::from(beta)));
    let value = |x: &T| {
        let (rectified, magnitude) = if *x < zero { (zero, -*x) } else { (*x, *x) };
        let power = (-(beta * magnitude)).exp();
        rectified + T::of(power.value().ln_1p()) * (one / beta)
    };
    x.iter().map(value).collect()
}

/// The gradient of [`softplus`]: `dy * sigmoid(beta x)`.
pub fn softplus_grad<T: Real>(beta: f32, x: &[T], dy: &[T]) -> Vec<T> {
    let beta = T::of(f64::from(beta));
    let slope = |x: T| activate(Activation::Sigmoid, beta * x);
    x.iter().zip(dy).map(|(x, dy)| *dy * slope(*x)).collect()
}
