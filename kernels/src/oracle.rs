//! What each kernel must compute, in plain loops: every kernel's judge.
//!
//! Generic over [`Real`]: in `f32` a product is bit-equal to its kernel; in `f64` central differences
//! can be taken. Nothing here is meant to be fast, and everything returns what it computes.

mod attention;
mod batch_norm;
mod channel;
mod conv2d;
mod group_norm;
mod pool;
mod sequence;

pub use attention::{attention, attention_backward};
pub use batch_norm::{
    batch_norm, batch_norm_gradients, batch_norm_inference, batch_statistics, channel_values,
    follow_statistics,
};
pub use channel::{
    channel_bias, channel_gate, channel_mean, channel_multiply, channel_scale, channel_sum,
};
pub use conv2d::{conv2d, conv2d_grad_input, conv2d_grad_weight};
pub use group_norm::{group_norm, group_norm_gradients};
pub use pool::{avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient};
pub use sequence::{
    columns_copied, columns_taken, embedding, embedding_grad, mean_positions, mean_positions_grad,
    patches, patches_grad,
};

use crate::cpu::{Activation, AdamConfig, LinearShape, SgdConfig};
use core::fmt::Debug;
use core::ops::{Add, Div, Mul, Neg, Sub};

/// A floating-point type.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The nearest value.
    fn of(value: f64) -> Self;
    /// The value in `f64`.
    fn value(self) -> f64;
    /// `self * b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// `e^self`
    fn exp(self) -> Self {
        Self::of(self.value().exp())
    }
    /// The natural logarithm.
    fn ln(self) -> Self {
        Self::of(self.value().ln())
    }
    /// The hyperbolic tangent.
    fn tanh(self) -> Self {
        Self::of(self.value().tanh())
    }
    /// The square root.
    fn sqrt(self) -> Self {
        Self::of(self.value().sqrt())
    }
    /// The error function.
    fn erf(self) -> Self {
        Self::of(erf(self.value()))
    }
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }
    fn value(self) -> f64 {
        f64::from(self)
    }
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self::mul_add(self, b, c)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self::mul_add(self, b, c)
    }
}

/// `a b`, one chain of multiply-adds per element from zero; `a`: `[m, k]`, `b`: `[k, n]`.
pub fn matmul<T: Real>(m: usize, n: usize, k: usize, a: &[T], b: &[T]) -> Vec<T> {
    assert_eq!([a.len(), b.len()], [m * k, k * n]);
    let element = |i: usize, j: usize| {
        (0..k).fold(T::of(0.0), |sum, l| a[i * k + l].mul_add(b[l * n + j], sum))
    };
    (0..m * n).map(|at| element(at / n, at % n)).collect()
}

/// The transpose of `x`: `[rows, columns]`.
pub fn transpose<T: Real>(rows: usize, columns: usize, x: &[T]) -> Vec<T> {
    assert_eq!(x.len(), rows * columns);
    (0..rows * columns).map(|at| x[at % rows * columns + at / rows]).collect()
}

/// `x w^T + bias`
pub fn linear<T: Real>(shape: LinearShape, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let LinearShape { rows, inputs, outputs } = shape;
    let y = matmul(rows, outputs, inputs, x, &transpose(outputs, inputs, w));
    match bias {
        Some(bias) => y.iter().enumerate().map(|(at, y)| *y + bias[at % outputs]).collect(),
        None => y,
    }
}

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

/// Layer normalization of each row.
pub fn layer_norm<T: Real>(width: usize, eps: f64, x: &[T], gamma: &[T], beta: &[T]) -> Vec<T> {
    let normalize = |row: &[T]| {
        let mean = mean(row);
        let centered: Vec<T> = row.iter().map(|x| *x - mean).collect();
        let rstd = T::of(1.0) / (mean_square(&centered) + T::of(eps)).sqrt();
        let each = centered.iter().zip(gamma.iter().zip(beta));
        each.map(|(x, (gamma, beta))| *x * rstd * *gamma + *beta).collect::<Vec<T>>()
    };
    x.chunks_exact(width).flat_map(normalize).collect()
}

/// Root-mean-square normalization of each row.
pub fn rms_norm<T: Real>(width: usize, eps: f64, x: &[T], gamma: &[T]) -> Vec<T> {
    let normalize = |row: &[T]| {
        let rrms = T::of(1.0) / (mean_square(row) + T::of(eps)).sqrt();
        row.iter().zip(gamma).map(|(x, gamma)| *x * rrms * *gamma).collect::<Vec<T>>()
    };
    x.chunks_exact(width).flat_map(normalize).collect()
}

/// `a + b`
pub fn add<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| *a + *b).collect()
}

/// `a * b`
pub fn multiply<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| *a * *b).collect()
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

/// `x / (1 - p)` where `uniform`, the numbers drawn, is at least `p`; else zero.
pub fn dropout<T: Real>(x: &[T], uniform: &[f32], p: f32) -> Vec<T> {
    let kept = T::of(f64::from(1.0 / (1.0 - p)));
    let each = x.iter().zip(uniform);
    each.map(|(x, uniform)| if *uniform < p { T::of(0.0) } else { *x * kept }).collect()
}

/// Softmax cross-entropy of each example.
pub fn softmax_cross_entropy<T: Real>(classes: usize, logits: &[T], labels: &[u32]) -> Vec<T> {
    let loss = |(row, label): (&[T], &u32)| {
        let max = row.iter().fold(row[0], |max, x| if max < *x { *x } else { max });
        let total = row.iter().fold(T::of(0.0), |sum, x| sum + (*x - max).exp());
        total.ln() - (row[*label as usize] - max)
    };
    logits.chunks_exact(classes).zip(labels).map(loss).collect()
}

/// Mean squared error of each example.
pub fn mean_squared_error<T: Real>(width: usize, prediction: &[T], target: &[T]) -> Vec<T> {
    let errors: Vec<T> = prediction.iter().zip(target).map(|(p, t)| *p - *t).collect();
    errors.chunks_exact(width).map(mean_square).collect()
}

/// The mean.
pub fn mean<T: Real>(x: &[T]) -> T {
    x.iter().fold(T::of(0.0), |sum, x| sum + *x) / T::of(x.len() as f64)
}

/// The mean of the squares.
pub fn mean_square<T: Real>(x: &[T]) -> T {
    x.iter().fold(T::of(0.0), |sum, x| sum + *x * *x) / T::of(x.len() as f64)
}

/// One step of `torch.optim.SGD`: the new parameter and momentum buffer of one parameter.
pub fn sgd<T: Real>(config: SgdConfig, first_step: bool, param: T, grad: T, buffer: T) -> [T; 2] {
    let SgdConfig { lr, momentum, dampening, weight_decay, nesterov } = config;
    let [lr, kept, entering, decay] = [lr, momentum, 1.0 - dampening, weight_decay].map(T::of);
    let grad = grad + decay * param;
    if momentum == 0.0 {
        return [param - lr * grad, buffer];
    }
    let buffer = if first_step { grad } else { kept * buffer + entering * grad };
    let direction = if nesterov { grad + kept * buffer } else { buffer };
    [param - lr * direction, buffer]
}

/// One step of `torch.optim.Adam` or `AdamW`: the new parameter and moments of one parameter.
pub fn adam<T: Real>(config: AdamConfig, step: u64, [param, grad, m, v]: [T; 4]) -> [T; 3] {
    let AdamConfig { lr, beta1, beta2, eps, weight_decay, decoupled } = config;
    let (param, grad) = if decoupled {
        (param * T::of(1.0 - lr * weight_decay), grad)
    } else {
        (param, grad + T::of(weight_decay) * param)
    };
    let m = T::of(beta1) * m + T::of(1.0 - beta1) * grad;
    let v = T::of(beta2) * v + T::of(1.0 - beta2) * grad * grad;
    let corrected = |beta: f64| 1.0 - beta.powf(step as f64);
    let root = v.sqrt() / T::of(corrected(beta2).sqrt());
    [param - T::of(lr / corrected(beta1)) * (m / (root + T::of(eps))), m, v]
}

/// The gradient of `f` at `x` by central differences of width `2e-5`: errors near `1e-9` in `f64`.
pub fn central_differences(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|at| {
            let mut value_at = |value: f64| {
                moved[at] = value;
                f(&moved)
            };
            let slope = (value_at(x[at] + step) - value_at(x[at] - step)) / (2.0 * step);
            moved[at] = x[at];
            slope
        })
        .collect()
}

/// `erf x = 2 / sqrt(pi) e^(-x^2) sum of 2^n x^(2 n + 1) / (2 n + 1)!!` (Abramowitz and Stegun 1964,
/// 7.1.6), whose terms have one sign; one in `f64` from 6 on.
fn erf(x: f64) -> f64 {
    if x.is_nan() || 6.0 <= x.abs() {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    core::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from Abramowitz and Stegun 1964, table 7.1.
    #[test]
    fn the_error_function_agrees_with_its_table() {
        for (x, want) in [(0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
            assert!((erf(x) - want).abs() < 1e-10);
            assert!((erf(-x) + want).abs() < 1e-10);
        }
    }

    #[test]
    fn central_differences_find_the_slope_of_a_cubic() {
        let slope = central_differences(&[2.0, 3.0], |x| x[0].powi(3) + x[1]);
        assert!((slope[0] - 12.0).abs() < 1e-8 && (slope[1] - 1.0).abs() < 1e-8);
    }
}
