//! What is known of drift before a run begins: the prior of G5.

use esper_nn::{graph::NetworkGraph, op::Op, optim::Optimizer};

use super::verdict::Drift;

/// What kind of network drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Perceptron,
    Convolutional,
    Attention,
}

/// The prior of one kind of network under one kind of update rule, at three looks.
struct Row {
    family: Family,
    is_adaptive: bool,
    /// Standard deviation of the gain of A/A pairs over the twin's loss, at 140, 240 and 340 steps from the fork.
    sd_ratios: [f64; 3],
    /// Degrees of freedom; 12 at most, since tasks differ.
    df: f64,
}

/// Measured on A/A pairs: `cargo run --release --example verdicts -- prior`.
const ROWS: [Row; 6] = [
    Row { family: Family::Perceptron, is_adaptive: true, sd_ratios: [0.02, 0.02, 0.02], df: 8.0 },
    Row { family: Family::Perceptron, is_adaptive: false, sd_ratios: [0.02, 0.02, 0.02], df: 8.0 },
    Row { family: Family::Convolutional, is_adaptive: true, sd_ratios: [0.05; 3], df: 8.0 },
    Row { family: Family::Convolutional, is_adaptive: false, sd_ratios: [0.05; 3], df: 8.0 },
    Row { family: Family::Attention, is_adaptive: true, sd_ratios: [0.02; 3], df: 8.0 },
    Row { family: Family::Attention, is_adaptive: false, sd_ratios: [0.02; 3], df: 8.0 },
];

/// Steps from the fork up to which a row's first and second ratio hold: half way to the next look.
const LOOKS_UNTIL_STEPS: [u64; 2] = [190, 290];

/// The prior for a host of `graph` under `optimizer`, `steps_since_graft` steps after the fork, where its twin's loss is
/// `twin_loss`.
pub fn shipped_prior(
    graph: &NetworkGraph,
    optimizer: &Optimizer,
    steps_since_graft: u64,
    twin_loss: f64,
) -> Drift {
    let (family, is_adaptive) = (family_of(graph), !matches!(optimizer, Optimizer::Sgd(_)));
    let row = ROWS.iter().find(|row| row.family == family && row.is_adaptive == is_adaptive);
    let row = row.expect("there is a row for each kind");
    let look = LOOKS_UNTIL_STEPS.iter().filter(|until| **until < steps_since_graft).count();
    Drift { sd: row.sd_ratios[look] * twin_loss, df: row.df }
}

fn family_of(graph: &NetworkGraph) -> Family {
    let has = |of: fn(&Op) -> bool| graph.nodes().any(|(_, node)| of(&node.op));
    if has(|op| matches!(op, Op::Attention(_))) {
        Family::Attention
    } else if has(|op| matches!(op, Op::Conv2d(_))) {
        Family::Convolutional
    } else {
        Family::Perceptron
    }
}
