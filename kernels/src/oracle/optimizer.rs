//! Optimizer steps.

use super::Real;
use crate::cpu::{AdamConfig, SgdConfig};

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

/// One step of [`sgd`] for each parameter; `momentum_buf` is empty without momentum.
pub fn sgd_step<T: Real>(
    config: SgdConfig,
    first_step: bool,
    grad_scale: T,
    params: &mut [T],
    grads: &[T],
    momentum_buf: &mut [T],
) {
    for (at, (param, grad)) in params.iter_mut().zip(grads).enumerate() {
        let buffer = momentum_buf.get(at).copied().unwrap_or(T::of(0.0));
        let [new, buffer] = sgd(config, first_step, *param, grad_scale * *grad, buffer);
        *param = new;
        if let Some(old) = momentum_buf.get_mut(at) {
            *old = buffer;
        }
    }
}

/// One step of [`adam`] for each parameter; `step` counts from 1.
pub fn adam_step<T: Real>(
    config: AdamConfig,
    step: u64,
    grad_scale: T,
    params: &mut [T],
    grads: &[T],
    m: &mut [T],
    v: &mut [T],
) {
    let moments = m.iter_mut().zip(v);
    for ((param, grad), (m, v)) in params.iter_mut().zip(grads).zip(moments) {
        [*param, *m, *v] = adam(config, step, [*param, grad_scale * *grad, *m, *v]);
    }
}

/// The factor that brings gradients of `norm` down to `clip_norm`, as `torch.nn.utils.clip_grad_norm_`.
pub fn clip_scale<T: Real>(norm: f64, clip_norm: Option<f64>) -> T {
    let factor = clip_norm.map_or(1.0, |clip_norm| clip_norm / (norm + 1e-6));
    T::of(if factor < 1.0 { factor } else { 1.0 })
}
