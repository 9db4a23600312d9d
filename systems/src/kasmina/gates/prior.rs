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

/// Measured on 160 A/A pairs a cell: `cargo run --release --example verdicts -- prior 160`.
const ROWS: [Row; 6] = [
    row(Family::Perceptron, true, [0.0012, 0.0029, 0.0037], 6.0),
    row(Family::Perceptron, false, [0.0045, 0.0061, 0.0082], 10.0),
    row(Family::Convolutional, true, [0.0172, 0.0192, 0.0245], 5.0),
    row(Family::Convolutional, false, [0.0285, 0.0319, 0.0350], 12.0),
    row(Family::Attention, true, [0.0015, 0.0020, 0.0022], 4.0),
    row(Family::Attention, false, [0.0023, 0.0037, 0.0026], 3.0),
];

const fn row(family: Family, is_adaptive: bool, sd_ratios: [f64; 3], df: f64) -> Row {
    Row { family, is_adaptive, sd_ratios, df }
}

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
