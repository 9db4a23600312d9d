//! Dropout.

use super::{Real, uniform};

/// `x / (1 - p)` where the uniform number drawn for the value, [`uniform`] of stream `step` under `key`,
/// is at least `p`; else zero, whatever `x` is.
pub fn dropout<T: Real>(key: u64, step: u64, p: f32, x: &[T]) -> Vec<T> {
    let kept = T::of(f64::from(1.0 / (1.0 - p)));
    let drawn = uniform::<f32>(key, step, 0.0, 1.0, x.len());
    x.iter().zip(drawn).map(|(x, drawn)| if drawn < p { T::of(0.0) } else { *x * kept }).collect()
}

/// The gradient of [`dropout`], which keeps what that kept.
pub fn dropout_grad<T: Real>(key: u64, step: u64, p: f32, dy: &[T]) -> Vec<T> {
    dropout(key, step, p, dy)
}
