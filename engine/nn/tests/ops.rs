//! Every op's instructions against the interpreter, and their gradients against central differences of it.

use std::{collections::BTreeSet, sync::Arc};

use esper_kernels::cpu::fill_normal;
use esper_nn::{
    device::{Cpu, Device, Oracle},
    graph::NetworkGraph,
    op::*,
    optim::{Optimizer, Sgd},
    program::{
        CompileOptions, Program,
        reference::{ReferenceParams, forward, forward_training, widen_params},
    },
    rng::Purpose,
    session::Session,
    tensor::Init,
};

const ROWS: usize = 3;
const STEP: f64 = 1e-5;

const VECTOR: &[usize] = &[6];
const SEQUENCE: &[usize] = &[4, 6];
const IMAGE: &[usize] = &[4, 5, 6];

/// An op between `x` and the output; where it takes two inputs, the second is computed from `x`.
struct Case {
    op: Op,
    shape: &'static [usize],
    /// What comes before the op's second input, if it has one.
    second: Option<Op>,
}

fn case(op: impl Into<Op>, shape: &'static [usize]) -> Case {
    Case { op: op.into(), shape, second: None }
}

fn pair(op: impl Into<Op>, shape: &'static [usize], second: impl Into<Op>) -> Case {
    Case { op: op.into(), shape, second: Some(second.into()) }
}

fn cases() -> Vec<Case> {
    let init = Init::Normal(0.7);
    let windows = Windows { kernel: [2, 3], stride: [1, 2], padding: [1, 1] };
    let conv = Conv2d {
        outputs: 6,
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 0],
        groups: 2,
        bias: true,
        init: Init::FanIn,
    };
    let scale = Scale { factor: -0.7 };
    let mut cases = vec![
        case(Linear::new(5), VECTOR),
        case(Linear { outputs: 5, bias: false, init }, SEQUENCE),
        case(Positions { init }, SEQUENCE),
        case(PatchEmbed { outputs: 5, patch: 2 }, &[3, 4, 6]),
        case(Attention { heads: 2, is_causal: false }, &[4, 12]),
        case(Attention { heads: 1, is_causal: true }, SEQUENCE),
        case(LayerNorm { eps: 1e-3, weight: 0.8 }, SEQUENCE),
        case(RmsNorm { eps: 1e-3, weight: 0.8 }, VECTOR),
        case(BatchNorm { eps: 1e-3, momentum: 0.1, weight: 0.8 }, IMAGE),
        case(GroupNorm { groups: 2, eps: 1e-3, weight: 0.8 }, IMAGE),
        pair(Add, SEQUENCE, scale.clone()),
        pair(Multiply, VECTOR, scale.clone()),
        pair(Residual { alpha: 0.3 }, IMAGE, scale.clone()),
        pair(Blend { alpha: 0.3 }, SEQUENCE, scale.clone()),
        pair(ChannelMultiply, IMAGE, GlobalAvgPool),
        pair(Concat, SEQUENCE, Linear::new(3)),
        case(scale, VECTOR),
        case(Dropout { p: 0.0 }, VECTOR),
        case(conv, IMAGE),
        case(MaxPool2d(windows), IMAGE),
        case(AvgPool2d(windows), IMAGE),
        case(GlobalAvgPool, IMAGE),
        case(MeanPositions, SEQUENCE),
        case(Flatten, IMAGE),
        case(Reshape { shape: vec![3, 2] }, VECTOR),
        case(Branch, SEQUENCE),
        case(Softplus { beta: 1.7 }, VECTOR),
    ];
    cases.extend(Activation::ALL.map(|kind| case(kind, VECTOR)));
    for shape in [VECTOR, SEQUENCE, IMAGE] {
        cases.push(case(Bias, shape));
        cases.push(case(Gate, shape));
        cases.push(case(LayerScale { weight: 0.6 }, shape));
    }
    cases
}

impl Case {
    fn graph(&self) -> NetworkGraph {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Input { shape: self.shape.to_vec() }, &[]).unwrap();
        match &self.second {
            Some(second) => {
                let other = graph.add("second", second.clone(), &[x]).unwrap();
                graph.add("op", self.op.clone(), &[x, other]).unwrap();
            }
            None => {
                graph.add("op", self.op.clone(), &[x]).unwrap();
            }
        }
        graph
    }
}

fn normal(stream: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    fill_normal(7, stream, 0.0, 1.0, &mut values);
    values
}

/// What one training pass of a module gives: its output, and the gradients of its input and parameters.
fn pass(
    device: Arc<dyn Device>,
    program: &Program,
    params: &[f32],
    x: &[f32],
    dy: &[f32],
) -> [Vec<f32>; 3] {
    let shared = Arc::new(program.clone());
    let sgd = Optimizer::Sgd(Sgd::default());
    let mut session = Session::new(device, shared, params, ROWS, sgd).unwrap();
    let y = session.forward(x).unwrap();
    let dx = session.backward(&dy[..y.len()]).unwrap();
    [y, dx, session.gradients()]
}

fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-2_f64, |most, it| most.max(it.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / scale;
        assert!(error < tolerance, "{what}[{at}]: {found} for {expected}");
    }
}

#[test]
fn every_op_is_what_the_interpreter_says_and_so_is_its_gradient() {
    check_every_op(&(Arc::new(Cpu) as Arc<dyn Device>));
}

#[test]
fn every_op_is_what_the_interpreter_says_on_the_oracle_too() {
    check_every_op(&(Arc::new(Oracle) as Arc<dyn Device>));
}

fn check_every_op(device: &Arc<dyn Device>) {
    for case in cases() {
        let graph = case.graph();
        for options in [CompileOptions::MODULE, CompileOptions::REFERENCE] {
            let program = Program::compile(&graph, options).unwrap();
            // At birth some parameters are zero: moved, every term of a gradient is there to see.
            let mut block = program.draw_params(3, Purpose::Probe, 0);
            block.iter_mut().zip(normal(2, program.params_len_elems)).for_each(|(w, by)| {
                *w += 0.3 * by;
            });
            let x = normal(0, ROWS * case.shape.iter().product::<usize>());
            let dy = normal(1, ROWS * program.output_shape.iter().product::<usize>());
            let [y, dx, dw] = pass(device.clone(), &program, &block, &x, &dy);

            let what = format!("{:?} of {:?}", case.op, case.shape);
            let mut wide_x: Vec<f64> = x.iter().copied().map(f64::from).collect();
            let mut params = widen_params(&program, &block);
            let expected = forward_training(&graph, &params, &wide_x, ROWS).unwrap();
            assert_close(&what, &y, &expected, 1e-5);

            let objective = |params: &ReferenceParams, x: &[f64]| -> f64 {
                let y = forward_training(&graph, params, x, ROWS).unwrap();
                y.iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum()
            };
            let expected: Vec<f64> = (0..x.len())
                .map(|at| {
                    let mut at_shift = |by: f64| {
                        wide_x[at] += by;
                        let value = objective(&params, &wide_x);
                        wide_x[at] -= by;
                        value
                    };
                    (at_shift(STEP) - at_shift(-STEP)) / (2.0 * STEP)
                })
                .collect();
            assert_close(&format!("{what}: x"), &dx, &expected, 1e-4);
            for param in &program.params {
                let name = &param.spec.name;
                let expected: Vec<f64> = (0..param.spec.len_elems())
                    .map(|at| {
                        let mut at_shift = |by: f64| {
                            params.get_mut(name).unwrap()[at] += by;
                            let value = objective(&params, &wide_x);
                            params.get_mut(name).unwrap()[at] -= by;
                            value
                        };
                        (at_shift(STEP) - at_shift(-STEP)) / (2.0 * STEP)
                    })
                    .collect();
                assert_close(&format!("{what}: {name}"), &dw[param.range()], &expected, 1e-4);
            }
        }
    }
}

/// Those left out read tokens, have no gradient of their own, or are tested with them.
#[test]
fn every_op_has_a_case() {
    let tried: BTreeSet<&str> = cases().iter().map(|case| case.op.word()).collect();
    let all: BTreeSet<&str> = Op::WORDS.iter().copied().collect();
    let left_out: Vec<&str> = all.difference(&tried).copied().collect();
    assert_eq!(left_out, ["embedding", "input", "loss", "site", "tied_linear"]);
}

#[test]
fn a_tied_head_and_its_embedding_by_hand() {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![2] }, &[]).unwrap();
    let table = Embedding { vocabulary: 3, width: 2, init: Init::Normal(1.0) };
    let features = graph.add("embed", table, &[x]).unwrap();
    graph.add("head", TiedLinear { embedding: "embed".into() }, &[features]).unwrap();
    let weight = vec![1.0, 2.0, -1.0, 0.5, 3.0, 0.0];
    let params = ReferenceParams::from([("embed.weight".to_owned(), weight)]);
    let logits = forward(&graph, &params, &[2.0, 0.0], 1).unwrap();
    assert_eq!(logits, [3.0, -3.0, 9.0, 5.0, 0.0, 3.0]);
}
