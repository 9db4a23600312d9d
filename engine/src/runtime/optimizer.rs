//! Parameter groups and their update.

use esper_kernels::cpu::{self, AdamConfig, SgdConfig};
use serde::{Deserialize, Serialize};

use esper_nn::optim::Optimizer;

/// Which learning-rate schedule a group follows.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSchedule {
    /// The host's.
    Host,
    /// A seed's own, counted from its birth.
    Seed {
        /// The host's step at which it began to train.
        birth_step: u64,
    },
}

/// Parameters that share a schedule and an optimizer step count.
///
/// A fossilised module stays a group of its own: its count and its rate go on as they were.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ParamGroup {
    /// What the names of its parameters begin with; empty for the host's own.
    pub prefix: String,
    /// Which schedule it follows.
    pub schedule: GroupSchedule,
    /// Updates so far.
    pub n_updates: u64,
    /// Whether it trains at all; a frozen control does not.
    pub is_trainable: bool,
}

/// Floating-point operations of one parameter's update (a multiply-add counts two, a root or a division one).
pub fn update_flops_per_param(optimizer: &Optimizer) -> u64 {
    match optimizer {
        Optimizer::Sgd(sgd) if sgd.momentum > 0.0 => 6,
        Optimizer::Sgd(_) => 4,
        Optimizer::Adam(_) | Optimizer::AdamW(_) => 14,
    }
}

/// Whether the optimizer keeps a second moment.
pub fn has_second_moment(optimizer: &Optimizer) -> bool {
    !matches!(optimizer, Optimizer::Sgd(_))
}

/// Updates `params` in place: `f32[n]` each; `v` is empty for SGD.
///
/// `n_updates` counts earlier updates of these parameters; `grad_scale` is the factor of clipping.
#[expect(clippy::too_many_arguments, reason = "one kernel call's operands")]
pub fn update(
    optimizer: &Optimizer,
    lr: f64,
    n_updates: u64,
    grad_scale: f32,
    params: &mut [f32],
    grads: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    match optimizer {
        Optimizer::Sgd(sgd) => {
            let config = SgdConfig {
                lr,
                momentum: sgd.momentum,
                dampening: sgd.dampening,
                weight_decay: sgd.weight_decay,
                nesterov: sgd.nesterov,
            };
            cpu::sgd_step(config, n_updates == 0, grad_scale, params, grads, m);
        }
        Optimizer::Adam(adam) | Optimizer::AdamW(adam) => {
            let config = AdamConfig {
                lr,
                beta1: adam.beta1,
                beta2: adam.beta2,
                eps: adam.eps,
                weight_decay: adam.weight_decay,
                decoupled: matches!(optimizer, Optimizer::AdamW(_)),
            };
            cpu::adam_step(config, n_updates + 1, grad_scale, params, grads, m, v);
        }
    }
}
