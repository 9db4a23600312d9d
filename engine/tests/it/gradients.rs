//! Every parameter of whole hosts, against central differences of the reference interpreter.

use std::sync::Arc;

use esper_engine::{
    graph::NetworkGraph,
    nn::tensor::DType,
    program::{
        CompileOptions, Program,
        reference::{ReferenceParams, forward_training, widen_params},
    },
};
use esper_kernels::cpu::fill_normal;
use esper_nn::{
    device::Cpu,
    optim::{Optimizer, Sgd},
    rng::{Purpose, draw_below},
    session::Session,
};

use crate::support::Family;

const ROWS: usize = 3;
/// Coordinates of each parameter that are compared.
const N_COORDINATES: usize = 6;
const STEP: f64 = 1e-5;

/// A batch that fits the family's host: features, and a label for each position.
fn batch(family: Family, program: &Program) -> (Vec<f32>, Vec<u32>) {
    let elems: usize = program.input_shape.iter().product();
    let mut x = vec![0.0; ROWS * elems];
    if family == Family::Transformer {
        let token = |at| f32::from_bits(draw_below(1, at as u64, 64) as u32);
        x.iter_mut().enumerate().for_each(|(at, x)| *x = token(at));
    } else {
        fill_normal(1, 0, 0.0, 1.0, &mut x);
    }
    let (positions, classes) = match *program.output_shape {
        [positions, classes] => (positions, classes),
        [classes] => (1, classes),
        _ => unreachable!("hosts say classes"),
    };
    let label = |at| draw_below(2, at as u64, classes as u64) as u32;
    (x, (0..ROWS * positions).map(label).collect())
}

/// Mean cross-entropy in `f64`.
fn loss(graph: &NetworkGraph, params: &ReferenceParams, x: &[f64], labels: &[u32]) -> f64 {
    let logits = forward_training(graph, params, x, ROWS).unwrap();
    let classes = logits.len() / labels.len();
    let each = logits.chunks_exact(classes).zip(labels).map(|(logits, label)| {
        let max = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
        max + sum.ln() - logits[*label as usize]
    });
    each.sum::<f64>() / labels.len() as f64
}

/// The gradient block of one training pass over the batch.
fn gradients(program: &Program, params: &[f32], x: &[f32], labels: &[u32]) -> Vec<f32> {
    let program = Arc::new(program.clone());
    let sgd = Optimizer::Sgd(Sgd::default());
    let mut session = Session::new(Arc::new(Cpu), program, params, ROWS, sgd).unwrap();
    session.set_targets(labels);
    session.forward(x).unwrap();
    session.backward_loss(ROWS).unwrap();
    session.gradients()
}

#[test]
fn the_gradient_of_every_parameter_of_a_whole_host_is_its_central_difference() {
    for family in Family::ALL {
        let graph = family.graph(0.0);
        for options in [CompileOptions::HOST, CompileOptions::REFERENCE] {
            let options = CompileOptions { input_gradient: false, ..options };
            let program = Program::compile(&graph, options).unwrap();
            let block = program.draw_params(3, Purpose::HostInit, 0);
            let (x, labels) = batch(family, &program);
            let found = gradients(&program, &block, &x, &labels);
            let widen = |x: &f32| match program.input_dtype {
                DType::F32 => f64::from(*x),
                DType::U32 => f64::from(x.to_bits()),
            };
            let x: Vec<f64> = x.iter().map(widen).collect();
            let mut params = widen_params(&program, &block);
            for param in &program.params {
                let found = &found[param.range()];
                let scale = found.iter().fold(1e-3_f64, |most, it| most.max(f64::from(it.abs())));
                for turn in 0..N_COORDINATES {
                    let at = draw_below(5, turn as u64, found.len() as u64) as usize;
                    let mut at_shift = |by: f64| {
                        let values = params.get_mut(&param.spec.name).unwrap();
                        values[at] += by;
                        let loss = loss(&graph, &params, &x, &labels);
                        params.get_mut(&param.spec.name).unwrap()[at] -= by;
                        loss
                    };
                    let expected = (at_shift(STEP) - at_shift(-STEP)) / (2.0 * STEP);
                    let error = (f64::from(found[at]) - expected).abs() / scale;
                    let name = &param.spec.name;
                    assert!(
                        error < 2e-3,
                        "{family:?} `{name}`[{at}]: {} for {expected}",
                        found[at]
                    );
                }
            }
        }
    }
}
