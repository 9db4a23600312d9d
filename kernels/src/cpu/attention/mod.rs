//! Scaled dot-product attention of many heads, and its gradients.
//!
//! Scores are computed for 32 queries, or keys, at a time against all of the other: what does not fit in
//! a cache is never written (Dao, Fu, Ermon, Rudra and Re 2022, "FlashAttention"). The backward pass
//! computes the probabilities again from `lse`, and goes over the keys outside of the queries (Dao 2023,
//! "FlashAttention-2", section 3.1).

mod backward;
mod forward;
mod rows;
mod tile;

use super::dispatch::dispatch;
use super::lanes::REDUCTION_LANES;
use core::f32::consts::LOG2_E;
use rows::{Rows, row_len};
use serde::{Deserialize, Serialize};
use tile::PANEL;

/// Attention of a batch to itself.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttentionShape {
    /// Examples in the batch.
    pub batch: usize,
    /// Positions of an example.
    pub len: usize,
    /// Heads, each with its own queries, keys and values.
    pub heads: usize,
    /// Values of a query, a key or a value.
    pub head_width: usize,
    /// Whether a position attends to itself and those before it, not to those after it.
    pub is_causal: bool,
}

impl AttentionShape {
    /// The shape of `n_examples` times as many examples.
    pub const fn times(self, n_examples: usize) -> Self {
        Self { batch: self.batch * n_examples, ..self }
    }

    /// Floating-point operations of [`attention_forward`], counted in its kernel.
    ///
    /// A fused multiply-add counts two; comparisons count one, bit operations nothing. A pair of
    /// positions that do not attend to each other counts nothing.
    pub fn flops_forward(self) -> u64 {
        // A pair: two products of `head_width`, the largest score, the power, their sum. A row: the
        // reciprocal, the logarithm and what it is added to, and the scaled output.
        let width = self.head_width as u64;
        self.n_pairs() * (4 * width + POWER_FLOPS + 2) + self.n_rows() * (width + 26)
    }

    /// Floating-point operations of [`attention_backward`], counted likewise.
    pub fn flops_backward(self) -> u64 {
        // A pair: five products of `head_width`, the power and what bounds it, the gradient of the score. A row: its
        // shift, the product of `y` and `dy`, two scaled gradients.
        let width = self.head_width as u64;
        self.n_pairs() * (10 * width + POWER_FLOPS + 3) + self.n_rows() * (4 * width + 1)
    }

    /// Pairs of a query and a key it attends to.
    fn n_pairs(self) -> u64 {
        let keys_twice = if self.is_causal { self.len + 1 } else { 2 * self.len };
        self.n_rows() * keys_twice as u64 / 2
    }

    /// Rows of scores.
    fn n_rows(self) -> u64 {
        (self.batch * self.heads * self.len) as u64
    }

    /// Values of a position, all heads.
    fn width(self) -> usize {
        self.heads * self.head_width
    }

    /// `1 / sqrt(head_width)`
    fn scale(self) -> f32 {
        1.0 / (self.head_width as f32).sqrt()
    }

    /// The scale of scores whose softmax is taken with powers of two.
    fn scale_log2(self) -> f32 {
        self.scale() * LOG2_E
    }

    /// Values of a copy of the rows of a head.
    fn rows_len(self) -> usize {
        self.len * row_len(self.head_width)
    }

    /// Values of a panel of queries or keys.
    fn panel_len(self) -> usize {
        self.head_width * PANEL
    }

    /// Queries, keys and values of a head of an example.
    #[inline(always)]
    fn head(self, qkv: &[f32], head: usize) -> [Rows<'_>; 3] {
        let (width, column) = (self.width(), head * self.head_width);
        let part = |part| Rows::new(qkv, 3 * width, part * width + column, self.head_width);
        [part(0), part(1), part(2)]
    }

    fn assert_lengths(self, qkv: &[f32], y: &[f32], lse: &[f32], scratch: &[f32]) {
        assert!(0 < self.head_width, "a head has a width");
        let len = self.batch * self.len * self.width();
        assert_eq!(qkv.len(), 3 * len, "qkv is f32[batch, len, 3 * heads * head_width]");
        assert_eq!(y.len(), len, "y is f32[batch, len, heads * head_width]");
        assert_eq!(lse.len() as u64, self.n_rows(), "lse is f32[batch, heads, len]");
        assert!(attention_scratch_len(self) <= scratch.len(), "scratch is too short");
    }
}

/// Operations of `2^(scale score - shift)`.
const POWER_FLOPS: u64 = 2 + 17;

/// Scratch, in values, that either pass of `shape` needs; it does not depend on the batch.
pub fn attention_scratch_len(shape: AttentionShape) -> usize {
    forward::scratch_len(shape).max(backward::scratch_len(shape)) + ALIGNMENT_ELEMS
}

/// `y = softmax(q k^T / sqrt(head_width)) v`, each head apart.
///
/// Vaswani et al. 2017, "Attention Is All You Need", eq. 1. `qkv`: `f32[batch, len, 3 * heads *
/// head_width]`, at each position the queries of all heads, then the keys, then the values; `y`:
/// `f32[batch, len, heads * head_width]`; `lse`: `f32[batch, heads, len]`, the natural logarithm of the
/// sum of the exponentials of each row of scores, for [`attention_backward`].
///
/// A score is one chain over `head_width`, a row's sum of powers and each `y` one chain over the keys
/// that the query attends to, in order; the others do not reach it, not even where they are NaN.
pub fn attention_forward(
    shape: AttentionShape,
    qkv: &[f32],
    y: &mut [f32],
    lse: &mut [f32],
    scratch: &mut [f32],
) {
    shape.assert_lengths(qkv, y, lse, scratch);
    if y.is_empty() {
        return;
    }
    let example = shape.len * shape.width();
    let examples = qkv.chunks_exact(3 * example).zip(y.chunks_exact_mut(example));
    let lse = lse.chunks_exact_mut(shape.heads * shape.len);
    let scratch = aligned(scratch);
    dispatch!(lanes => {
        for ((qkv, y), lse) in examples.zip(lse) {
            for (head, lse) in lse.chunks_exact_mut(shape.len).enumerate() {
                let y = &mut y[head * shape.head_width..];
                forward::run(lanes, shape, shape.head(qkv, head), y, lse, scratch);
            }
        }
    });
}

/// The gradient of [`attention_forward`] for `qkv`, added to `dqkv` where `accumulate`.
///
/// `dv = p^T dy`, and with `ds = p (dy v^T - sum of dy y)`, the sum over a row: `dq = ds k /
/// sqrt(head_width)`, `dk = ds^T q / sqrt(head_width)` (Dao et al. 2022, appendix B.2). `p` are the
/// probabilities, `e^(score - lse)`. Shapes as in the forward pass, whose `y` and `lse` are read.
///
/// Each gradient is one chain: over the keys that a query attends to, or the queries that attend to a
/// key, in order.
pub fn attention_backward(
    shape: AttentionShape,
    dy: &[f32],
    qkv: &[f32],
    y: &[f32],
    lse: &[f32],
    dqkv: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    shape.assert_lengths(qkv, y, lse, scratch);
    assert_eq!(dy.len(), y.len(), "dy is f32[batch, len, heads * head_width]");
    assert_eq!(dqkv.len(), qkv.len(), "dqkv is f32[batch, len, 3 * heads * head_width]");
    if y.is_empty() {
        return;
    }
    let (width, example) = (shape.width(), shape.len * shape.width());
    let inputs = qkv.chunks_exact(3 * example).zip(lse.chunks_exact(shape.heads * shape.len));
    let outputs = dy.chunks_exact(example).zip(y.chunks_exact(example));
    let scratch = aligned(scratch);
    dispatch!(lanes => {
        let examples = dqkv.chunks_exact_mut(3 * example).zip(inputs.zip(outputs));
        for (dqkv, ((qkv, lse), (dy, y))) in examples {
            for (head, lse) in lse.chunks_exact(shape.len).enumerate() {
                let column = head * shape.head_width;
                let head = backward::Head {
                    qkv: shape.head(qkv, head),
                    dy: Rows::new(dy, width, column, shape.head_width),
                    y: Rows::new(y, width, column, shape.head_width),
                    lse,
                };
                let dqkv = &mut dqkv[column..];
                backward::run(lanes, shape, head, dqkv, accumulate, scratch);
            }
        }
    });
}

/// Slack to begin at a cache line of 64 bytes.
const ALIGNMENT_ELEMS: usize = REDUCTION_LANES;

fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let skip = scratch.as_ptr().align_offset(64).min(ALIGNMENT_ELEMS);
    &mut scratch[skip..]
}
