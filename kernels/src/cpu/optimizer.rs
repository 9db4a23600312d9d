//! Optimizer steps: one pass over parameters, gradients and moments.

use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use super::slice_loops::map;
use serde::{Deserialize, Serialize};

/// Stochastic gradient descent, as `torch.optim.SGD`.
///
/// Hyperparameters are `f64`, as in PyTorch, and rounded to `f32` where they meet a parameter.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Learning rate.
    pub lr: f64,
    /// Momentum; zero keeps no buffer.
    pub momentum: f64,
    /// Dampening of the gradient that enters the buffer.
    pub dampening: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
}

/// One step of stochastic gradient descent.
///
/// With `g = grad_scale * grads + weight_decay * params`: the buffer becomes `g` on `first_step`, else
/// `momentum * buffer + (1 - dampening) g`; `params -= lr * d` with `d` the buffer, or
/// `g + momentum * buffer` with Nesterov, or `g` without momentum. `momentum_buf` is as long as
/// `params`, or empty without momentum.
pub fn sgd_step(
    config: SgdConfig,
    first_step: bool,
    grad_scale: f32,
    params: &mut [f32],
    grads: &[f32],
    momentum_buf: &mut [f32],
) {
    let SgdConfig { lr, momentum, dampening, weight_decay, nesterov } = config;
    dispatch!(lanes => {
        let constant = |value: f64| Vector::splat(lanes, value as f32);
        let (step, decay) = (constant(-lr), constant(weight_decay));
        let grad_scale = Vector::splat(lanes, grad_scale);
        let kept = constant(momentum);
        let entering = constant(1.0 - dampening);
        if momentum == 0.0 {
            map(lanes, [grads], [params], #[inline(always)] |[grad], [param]| {
                let grad = decay.mul_add(param, grad_scale * grad);
                [step.mul_add(grad, param)]
            });
        } else {
            map(lanes, [grads], [params, momentum_buf], #[inline(always)] |[grad], [param, buffer]| {
                let grad = decay.mul_add(param, grad_scale * grad);
                let buffer = if first_step { grad } else { kept.mul_add(buffer, entering * grad) };
                let direction = if nesterov { kept.mul_add(buffer, grad) } else { buffer };
                [step.mul_add(direction, param), buffer]
            });
        }
    });
}

/// Adam and AdamW, as `torch.optim.Adam` and `torch.optim.AdamW`.
///
/// Kingma and Ba 2015, "Adam", algorithm 1; Loshchilov and Hutter 2019, "Decoupled Weight Decay
/// Regularization", algorithm 2. Hyperparameters are `f64`, as in PyTorch.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether weight decay acts on the parameters (AdamW) or on the gradient (Adam).
    pub decoupled: bool,
}

/// One step of Adam or AdamW; `step` counts from 1.
///
/// With `g = grad_scale * grads` (`+ weight_decay * params` unless decoupled):
/// `m += (1 - beta1) (g - m)`, `v = beta2 v + (1 - beta2) g^2`, and
/// `params -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)`, after
/// `params *= 1 - lr * weight_decay` if decoupled. All slices have one length.
pub fn adam_step(
    config: AdamConfig,
    step: u64,
    grad_scale: f32,
    params: &mut [f32],
    grads: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    assert!(1 <= step, "steps count from 1");
    dispatch!(lanes => adam(lanes, config, step, grad_scale, grads, [params, m, v]));
}

#[inline(always)]
fn adam<L: Lanes>(
    lanes: L,
    config: AdamConfig,
    step: u64,
    grad_scale: f32,
    grads: &[f32],
    state: [&mut [f32]; 3],
) {
    let AdamConfig { lr, beta1, beta2, eps, weight_decay, decoupled } = config;
    let constant = |value: f64| Vector::splat(lanes, value as f32);
    let grad_scale = Vector::splat(lanes, grad_scale);
    let (shrink, decay) =
        if decoupled { (1.0 - lr * weight_decay, 0.0) } else { (1.0, weight_decay) };
    let (shrink, decay) = (constant(shrink), constant(decay));
    let [rate1, kept2, rate2] = [1.0 - beta1, beta2, 1.0 - beta2].map(constant);
    let step_size = constant(-lr / (1.0 - power(beta1, step)));
    let correction2 = constant(1.0 / (1.0 - power(beta2, step)).sqrt());
    let eps = constant(eps);
    map(
        lanes,
        [grads],
        state,
        #[inline(always)]
        |[grad], [param, m, v]| {
            let grad = decay.mul_add(param, grad_scale * grad);
            let param = param * shrink;
            let m = rate1.mul_add(grad - m, m);
            let v = kept2.mul_add(v, rate2 * grad * grad);
            let denominator = v.sqrt().mul_add(correction2, eps);
            [step_size.mul_add(m / denominator, param), m, v]
        },
    );
}

/// The factor that brings gradients of `norm` down to `clip_norm`, as `torch.nn.utils.clip_grad_norm_`.
pub fn clip_scale(norm: f64, clip_norm: Option<f64>) -> f32 {
    clip_norm.map_or(1.0, |clip_norm| (clip_norm / (norm + 1e-6)).min(1.0) as f32)
}

/// `base^exponent` by repeated squaring: the library's may differ between machines.
fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, exponent);
    while 0 < left {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    result
}
