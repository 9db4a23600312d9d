//! Activations and their gradients.

use super::{Real, bias_grad};
use crate::cpu::Activation;

/// The activation of one value.
pub fn activate<T: Real>(activation: Activation, x: T) -> T {
    let [half, one] = [0.5, 1.0].map(T::of);
    let sigmoid = |x: T| one / (one + (-x).exp());
    match activation {
        Activation::Relu if x < T::of(0.0) => T::of(0.0),
        Activation::Relu => x,
        Activation::Gelu => x * half * (one + (x / T::of(2.0).sqrt()).erf()),
        Activation::GeluTanh => {
            let slope = T::of((2.0 / core::f64::consts::PI).sqrt());
            x * half * (one + (slope * (x + T::of(0.044_715) * x * x * x)).tanh())
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
    }
}

/// The activation of each value.
pub fn activation<T: Real>(activation: Activation, x: &[T]) -> Vec<T> {
    x.iter().map(|x| activate(activation, *x)).collect()
}

/// `dy` times the derivative; `saved` is the input where [`Activation::saves_input`], else the output.
pub fn activation_grad<T: Real>(activation: Activation, saved: &[T], dy: &[T]) -> Vec<T> {
    let (zero, one) = (T::of(0.0), T::of(1.0));
    let gradient = |(saved, dy): (&T, &T)| match activation {
        // Chosen, not multiplied: what does not pass is zero even where `dy` is infinite.
        Activation::Relu if zero < *saved => *dy,
        Activation::Relu => zero,
        Activation::Tanh => *dy * (one - *saved * *saved),
        Activation::Sigmoid => *dy * (*saved * (one - *saved)),
        Activation::Gelu => *dy * gelu_slope(*saved),
        Activation::GeluTanh => *dy * gelu_tanh_slope(*saved),
        Activation::Silu => {
            let gate = activate(Activation::Sigmoid, *saved);
            *dy * (gate * (one + *saved * (one - gate)))
        }
    };
    saved.iter().zip(dy).map(gradient).collect()
}

/// [`activation_grad`], and the [`bias_grad`] of what it returns.
pub fn activation_bias_grad<T: Real>(
    activation: Activation,
    width: usize,
    saved: &[T],
    dy: &[T],
) -> [Vec<T>; 2] {
    let dz = activation_grad(activation, saved, dy);
    let db = bias_grad(width, &dz);
    [dz, db]
}

/// `P(x) + x p(x)`, of the standard normal distribution and its density.
fn gelu_slope<T: Real>(x: T) -> T {
    let [half, one, two] = [0.5, 1.0, 2.0].map(T::of);
    let distribution = half * (one + (x / two.sqrt()).erf());
    let density = (-(x * x) * half).exp() / T::of((2.0 * core::f64::consts::PI).sqrt());
    distribution + x * density
}

/// `(1 + t) / 2 + x (1 - t^2) u' / 2`, with `t = tanh u` and `u` as in [`activate`].
fn gelu_tanh_slope<T: Real>(x: T) -> T {
    let [half, one] = [0.5, 1.0].map(T::of);
    let (slope, cubic) = (T::of((2.0 / core::f64::consts::PI).sqrt()), T::of(0.044_715));
    let t = (slope * (x + cubic * x * x * x)).tanh();
    let inner = slope * (one + T::of(3.0) * cubic * x * x);
    half * (one + t) + half * x * (one - t * t) * inner
}
