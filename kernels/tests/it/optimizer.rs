//! Optimizer steps.

use super::{LENGTHS, assert_close, numbers, on_every_unit, widened};
use esper_kernels::cpu::{AdamConfig, SgdConfig, adam_step, sgd_step};
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
        let want = widened(&start).into_iter().zip(widened(&grads)).map(|(param, grad)| {
            let each = |[param, buffer]: [f64; 2], step| {
                oracle::sgd(config, step == 0, param, 0.5 * grad, buffer)
            };
            (0..5).fold([param, 0.0], each)[0]
        });
        assert_close(&found, &want.collect::<Vec<f64>>(), 1e-6);
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
        let states = widened(&start).into_iter().zip(widened(&grads)).map(|(param, grad)| {
            (1..=5).fold([param, 0.0, 0.0], |[param, m, v], step| {
                oracle::adam(config, step, [param, 0.5 * grad, m, v])
            })
        });
        let states: Vec<[f64; 3]> = states.collect();
        for (part, found) in found.chunks_exact(len.max(1)).enumerate() {
            let want: Vec<f64> = states.iter().map(|state| state[part]).collect();
            assert_close(found, &want, 1e-6);
        }
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
