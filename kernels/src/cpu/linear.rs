//! Dense layers: `y = activation(x W^T + b)` and its gradients.

use core::ops::Range;

use super::activation::{Activation, apply, apply_to};
use super::dispatch::dispatch;
use super::gemm::{self, Extent, Finish, Left, Output, Right, finished_product};
use super::slice_loops::{Columns, fold_columns, map};
use serde::{Deserialize, Serialize};

/// A dense layer on a batch.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinearShape {
    /// Examples in the batch.
    pub rows: usize,
    /// Values of an example.
    pub inputs: usize,
    /// Values of its image.
    pub outputs: usize,
}

impl LinearShape {
    /// The shape of `n_examples` times as many examples.
    pub const fn times(self, n_examples: usize) -> Self {
        Self { rows: self.rows * n_examples, ..self }
    }

    /// Floating-point operations of one of the three products: a fused multiply-add counts two.
    pub const fn flops(self) -> u64 {
        2 * self.rows as u64 * self.inputs as u64 * self.outputs as u64
    }
}

/// Scratch, in values, that any of the three products of `shape` needs.
pub fn linear_scratch_len(shape: LinearShape) -> usize {
    let LinearShape { rows, inputs, outputs } = shape;
    gemm::scratch_len(rows.max(outputs), rows.max(inputs).max(outputs))
}

/// `y = activation(x w^T + bias)`
///
/// `x`: `f32[rows, inputs]`; `w`: `f32[outputs, inputs]`; `bias`: `f32[outputs]`; `y` and `pre`:
/// `f32[rows, outputs]`. `pre` receives what the activation was applied to; it is given exactly when
/// [`Activation::saves_input`] says so.
///
/// Bit-equal to the product, [`bias_forward`] and [`activation_forward`](super::activation_forward)
/// done apart.
pub fn linear_forward(
    shape: LinearShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    activation: Option<Activation>,
    pre: Option<&mut [f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    let LinearShape { rows, inputs, outputs } = shape;
    assert_eq!(x.len(), rows * inputs, "x is f32[rows, inputs]");
    assert_eq!(w.len(), outputs * inputs, "w is f32[outputs, inputs]");
    assert_eq!(y.len(), rows * outputs, "y is f32[rows, outputs]");
    let saves_input = activation.is_some_and(Activation::saves_input);
    assert_eq!(pre.is_some(), saves_input, "`pre` is given iff the activation saves its input");
    let extent = Extent { m: rows, n: outputs, k: inputs };
    let left = Left { values: x, row: inputs, column: 1 };
    let finish = Finish { bias, rectify: activation == Some(Activation::Relu) };
    dispatch!(lanes => {
        let right = Right::Transposed(w);
        let mut pre = pre;
        let sums = pre.as_deref_mut().unwrap_or(&mut *y);
        finished_product(lanes, extent, left, right, sums, Output::Replace, finish, scratch);
        match (pre, activation.filter(|_| !finish.rectify)) {
            (Some(pre), Some(activation)) => apply_to(lanes, activation, pre, y),
            (None, Some(activation)) => apply(lanes, activation, y),
            (_, None) => {}
        }
    });
}

/// `dx = dy w`, added to `dx` where `accumulate`.
///
/// `dy`: `f32[rows, outputs]`; `w`: `f32[outputs, inputs]`; `dx`: `f32[rows, inputs]`.
pub fn linear_grad_input(
    shape: LinearShape,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    let LinearShape { rows, inputs, outputs } = shape;
    assert_eq!(dy.len(), rows * outputs, "dy is f32[rows, outputs]");
    let extent = Extent { m: rows, n: inputs, k: outputs };
    let left = Left { values: dy, row: outputs, column: 1 };
    let output = if accumulate { Output::Add } else { Output::Replace };
    dispatch!(lanes => {
        gemm::product(lanes, extent, left, Right::Plain(w), dx, output, scratch)
    });
}

/// `dw = dy^T x`, added to `dw` where `accumulate`.
///
/// `dy`: `f32[rows, outputs]`; `x`: `f32[rows, inputs]`; `dw`: `f32[outputs, inputs]`.
pub fn linear_grad_weight(
    shape: LinearShape,
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    linear_grad_weight_outputs(shape, 0..shape.outputs, dy, x, dw, accumulate, scratch);
}

/// [`linear_grad_weight`] for some of the outputs, with the same bits; `dw`: `f32[outputs.len(), inputs]`.
///
/// # Panics
///
/// Panics if `outputs` are not among those of `shape`.
pub fn linear_grad_weight_outputs(
    shape: LinearShape,
    outputs: Range<usize>,
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    let LinearShape { rows, inputs, .. } = shape;
    assert_eq!(dy.len(), rows * shape.outputs, "dy is f32[rows, outputs]");
    assert!(outputs.start <= outputs.end && outputs.end <= shape.outputs, "outputs exist");
    let extent = Extent { m: outputs.len(), n: inputs, k: rows };
    let first = outputs.start.min(dy.len());
    let left = Left { values: &dy[first..], row: 1, column: shape.outputs };
    let output = if accumulate { Output::Add } else { Output::Replace };
    dispatch!(lanes => {
        gemm::product(lanes, extent, left, Right::Plain(x), dw, output, scratch)
    });
}

/// `y = x + bias`, the bias added to each row; `x`, `y`: `f32[rows, width]`, `bias`: `f32[width]`.
pub fn bias_forward(x: &[f32], bias: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "x and y have one shape");
    assert!(x.is_empty() || x.len().is_multiple_of(bias.len()), "x is f32[rows, width]");
    if x.is_empty() {
        return;
    }
    let rows = x.chunks_exact(bias.len()).zip(y.chunks_exact_mut(bias.len()));
    dispatch!(lanes => {
        for (x, y) in rows {
            map(lanes, [x, bias], [y], #[inline(always)] |[x, bias], _| [x + bias]);
        }
    });
}

/// `db = sum of dy over its rows`, in order; `dy`: `f32[rows, width]`, `db`: `f32[width]`.
///
/// Added to `db` where `accumulate`.
pub fn bias_grad(rows: usize, width: usize, dy: &[f32], db: &mut [f32], accumulate: bool) {
    dispatch!(lanes => {
        let columns = Columns { rows, width, reads: [dy], scalars: [], writes: [] };
        fold_columns(lanes, columns, [db], accumulate, #[inline(always)] |[sum], [dy], [], []| {
            ([sum + dy], [])
        });
    });
}
