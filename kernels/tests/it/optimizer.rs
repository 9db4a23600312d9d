//! Optimizer steps.

use super::{LENGTHS, assert_close, numbers, on_every_unit, widened};
use esper_kernels::cpu::{AdamConfig, SgdConfig, adam_step, clip_scale, sgd_step};
use esper_kernels::oracle;

const SGD: SgdConfig =
    SgdConfig { lr: 0.1, momentum: 0.9, dampening: 0.0, weight_decay: 0.01, nesterov: false };
const ADAM: AdamConfig = AdamConfig {
    lr: 1e-2,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.1,
    decoupled: false,
};

#[test]
fn stochastic_gradient_descent_agrees_with_the_oracle_over_five_steps() {
    let configs = [
        SgdConfig { momentum: 0.0, ..SGD },
        SGD,
        SgdConfig { dampening: 0.5, ..SGD },
        SgdConfig { nesterov: true, ..SGD },
    ];
    for (config, len) in configs.into_iter().flat_map(|config| LENGTHS.map(|len| (config, len))) {
        let (start, grads) = (numbers(1, len), numbers(2, len));
        let found = on_every_unit(|| {
            let (mut params, mut buffer) = (start.clone(), vec![0.0; len]);
            for step in 0..5 {
                sgd_step(config, step == 0, 0.5, &mut params, &grads, &mut buffer);
            }
            params
        });
        let (mut want, grads, mut buffer) = (widened(&start), widened(&grads), vec![0.0; len]);
        for step in 0..5 {
            oracle::sgd_step(config, step == 0, 0.5, &mut want, &grads, &mut buffer);
        }
        assert_close(&found, &want, 1e-6);
    }
}

#[test]
fn adam_and_adamw_agree_with_the_oracle_over_five_steps() {
    let configs = [ADAM, AdamConfig { decoupled: true, ..ADAM }];
    for (config, len) in configs.into_iter().flat_map(|config| LENGTHS.map(|len| (config, len))) {
        let (start, grads) = (numbers(3, len), numbers(4, len));
        let found = on_every_unit(|| {
            let (mut params, mut m, mut v) = (start.clone(), vec![0.0; len], vec![0.0; len]);
            for step in 1..=5 {
                adam_step(config, step, 0.5, &mut params, &grads, &mut m, &mut v);
            }
            [params, m, v].concat()
        });
        let (mut want, grads) = (widened(&start), widened(&grads));
        let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
        for step in 1..=5 {
            oracle::adam_step(config, step, 0.5, &mut want, &grads, &mut m, &mut v);
        }
        assert_close(&found, &[want, m, v].concat(), 1e-6);
    }
}

#[test]
fn gradients_are_clipped_to_their_norm_and_never_grown() {
    for (norm, clip_norm, want) in [
        (4.0, None, 1.0),
        (4.0, Some(1.0), 1.0 / (4.0 + 1e-6)),
        (0.5, Some(1.0), 1.0),
        (0.0, Some(0.5), 1.0),
        (f64::INFINITY, Some(1.0), 0.0),
    ] {
        assert_eq!(clip_scale(norm, clip_norm), want as f32);
        assert_eq!(oracle::clip_scale::<f64>(norm, clip_norm), want);
        assert_eq!(oracle::clip_scale::<f32>(norm, clip_norm), clip_scale(norm, clip_norm));
    }
}

/// By hand: g = 2 + 0.01 * 1 = 2.01; the buffer is 2.01, then 0.9 * 2.01 + 2.00799 = 3.81699.
#[test]
fn momentum_matches_two_steps_worked_by_hand() {
    let (mut params, mut buffer) = ([1.0f32], [0.0f32]);
    sgd_step(SGD, true, 1.0, &mut params, &[2.0], &mut buffer);
    assert_close(&params, &[0.799], 1e-7);
    sgd_step(SGD, false, 1.0, &mut params, &[2.0], &mut buffer);
    assert_close(&[params[0], buffer[0]], &[0.799 - 0.381_699, 3.816_99], 1e-6);
}

/// By hand: both moments corrected are g and g^2, so the first step is the learning rate, whatever g.
#[test]
fn the_first_step_of_adam_is_the_learning_rate_against_the_gradient() {
    let config = AdamConfig { weight_decay: 0.0, ..ADAM };
    let (mut params, mut m, mut v) = ([1.0f32, 1.0], [0.0; 2], [0.0; 2]);
    adam_step(config, 1, 1.0, &mut params, &[3.0, -0.02], &mut m, &mut v);
    assert_close(&params, &[0.99, 1.01], 1e-6);
    assert_close(&m, &[0.3, -0.002], 1e-7);
    assert_close(&v, &[0.009, 4e-7], 1e-7);
}

/// By hand: 1 * (1 - 0.01 * 0.1) - 0.01.
#[test]
fn decoupled_weight_decay_shrinks_the_parameter_and_not_the_gradient() {
    let config = AdamConfig { decoupled: true, ..ADAM };
    let (mut params, mut m, mut v) = ([1.0f32], [0.0], [0.0]);
    adam_step(config, 1, 1.0, &mut params, &[3.0], &mut m, &mut v);
    assert_close(&params, &[0.989], 1e-6);
    assert_close(&m, &[0.3], 1e-7);
}
