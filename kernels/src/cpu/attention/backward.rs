//! One head backward: 32 keys at a time, a column each, against the queries that attend to them.

use super::AttentionShape;
use super::rows::{Rows, row_len, write_panel};
use super::tile::{PANEL, Steps, Wanted, panel_product, row_product, score_product};
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::math::exp2;
use crate::cpu::slice_loops::{fold_sums, map};

/// What the gradients of a head are computed from.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) qkv: [Rows<'a>; 3],
    pub(super) dy: Rows<'a>,
    pub(super) y: Rows<'a>,
    /// `f32[len]`
    pub(super) lse: &'a [f32],
}

pub(super) fn scratch_len(shape: AttentionShape) -> usize {
    let key_rows = 2 * PANEL * row_len(shape.head_width);
    3 * shape.panel_len() + key_rows + 2 * shape.len * (PANEL + 1) + shape.rows_len()
}

/// Room for copies of keys, and for what is computed.
struct Scratch<'a> {
    /// One panel of keys and one of values.
    key_panels: [&'a mut [f32]; 2],
    /// The same keys as rows.
    key_rows: &'a mut [f32],
    /// `f32[len, 32]`: scores, then probabilities; and the gradients of either.
    scores: &'a mut [f32],
    dscores: &'a mut [f32],
    /// Gradients for one panel of keys or values, `f32[head_width, 32]`, and the same as rows.
    panel: &'a mut [f32],
    rows: &'a mut [f32],
    dq: &'a mut [f32],
    /// Of each query, the shift of its scores and the sum of `dy y`.
    shifts: &'a mut [f32],
    sums: &'a mut [f32],
}

impl<'a> Scratch<'a> {
    fn new(shape: AttentionShape, mut scratch: &'a mut [f32]) -> Self {
        let mut take = |len: usize| {
            let (taken, rest) = core::mem::take(&mut scratch).split_at_mut(len);
            scratch = rest;
            taken
        };
        let AttentionShape { len, head_width, .. } = shape;
        Self {
            key_panels: [take(shape.panel_len()), take(shape.panel_len())],
            key_rows: take(PANEL * row_len(head_width)),
            scores: take(len * PANEL),
            dscores: take(len * PANEL),
            panel: take(shape.panel_len()),
            rows: take(PANEL * row_len(head_width)),
            dq: take(shape.rows_len()),
            shifts: take(len),
            sums: take(len),
        }
    }
}

/// `dqkv`: rows `3 * heads * head_width` apart.
#[inline(always)]
pub(super) fn run<L: Lanes>(
    lanes: L,
    shape: AttentionShape,
    head: Head<'_>,
    dqkv: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    let mut scratch = Scratch::new(shape, scratch);
    prepare_rows(lanes, shape, head, &mut scratch);
    scratch.dq.fill(0.0);
    let output = Output { stride: 3 * shape.width(), width: shape.head_width, accumulate };
    for first_key in (0..shape.len).step_by(PANEL) {
        run_panel(lanes, shape, head, first_key, output, dqkv, &mut scratch);
    }
    output.write(lanes, scratch.dq, shape.scale(), dqkv);
}

/// What is the same for all keys of a query.
#[inline(always)]
fn prepare_rows<L: Lanes>(
    lanes: L,
    shape: AttentionShape,
    head: Head<'_>,
    scratch: &mut Scratch<'_>,
) {
    let rows = scratch.shifts.iter_mut().zip(&mut *scratch.sums).zip(head.lse);
    for (row, ((shift, sum), lse)) in rows.enumerate() {
        *shift = lse / shape.scale();
        let (dy, y) = (head.dy.row(row), head.y.row(row));
        [*sum] = fold_sums(
            lanes,
            [dy, y],
            #[inline(always)]
            |[sum], [dy, y]| [dy.mul_add(y, sum)],
        );
    }
}

/// The gradients for the keys and values of one panel, and what they add to those for the queries.
#[inline(always)]
fn run_panel<L: Lanes>(
    lanes: L,
    shape: AttentionShape,
    head: Head<'_>,
    first_key: usize,
    output: Output,
    dqkv: &mut [f32],
    scratch: &mut Scratch<'_>,
) {
    let [q, k, v] = head.qkv;
    let n_keys = PANEL.min(shape.len - first_key);
    let (first, steps) = if shape.is_causal { (first_key, Steps::From) } else { (0, Steps::All) };
    let n_queries = shape.len - first;
    let row_len = row_len(shape.head_width);
    let scores = &mut scratch.scores[..n_queries * PANEL];
    let dscores = &mut scratch.dscores[..n_queries * PANEL];
    let key_rows = &mut scratch.key_rows[..n_keys * row_len];
    let [key_panel, value_panel] = &mut scratch.key_panels;
    let (keys, queries) = (k.part(first_key, n_keys), q.part(first, n_queries));
    let (values, dy) = (v.part(first_key, n_keys), head.dy.part(first, n_queries));
    keys.copy(lanes, key_rows);
    keys.copy_panel(lanes, key_panel);
    values.copy_panel(lanes, value_panel);
    scores_of(lanes, shape, queries, key_panel, scores);
    scores_of(lanes, shape, dy, value_panel, dscores);
    let row_numbers = [&scratch.shifts[first..], &scratch.sums[first..]];
    differentiate(lanes, shape.scale_log2(), row_numbers, scores, dscores);
    row_product(
        lanes,
        row_len,
        dscores,
        key_rows,
        &mut scratch.dq[first * row_len..],
        shape.is_causal,
    );
    for (part, rows, weights, scale) in [(1, queries, dscores, shape.scale()), (2, dy, scores, 1.0)]
    {
        panel_product(lanes, rows, weights, scratch.panel, steps);
        let gradients = &mut scratch.rows[..n_keys * row_len];
        write_panel(lanes, scratch.panel, n_keys, gradients, row_len);
        let at = first_key * output.stride + part * shape.width();
        output.write(lanes, gradients, scale, &mut dqkv[at..]);
    }
}

/// The products of rows, of queries or of `dy`, with the columns of a panel.
#[inline(always)]
fn scores_of<L: Lanes>(
    lanes: L,
    shape: AttentionShape,
    rows: Rows<'_>,
    panel: &[f32],
    scores: &mut [f32],
) {
    for (at, scores) in scores.chunks_mut(PANEL * PANEL).enumerate() {
        let diagonal = shape.is_causal && at == 0;
        let wanted = if diagonal { Wanted::UpToRow } else { Wanted::All };
        let rows = rows.part(at * PANEL, scores.len() / PANEL);
        score_product(lanes, rows, panel, scores, wanted);
    }
}

/// Turns scores into probabilities, and the gradients of probabilities into those of scores.
#[inline(always)]
fn differentiate<L: Lanes>(
    lanes: L,
    scale_log2: f32,
    [shifts, sums]: [&[f32]; 2],
    scores: &mut [f32],
    dscores: &mut [f32],
) {
    let (scale_log2, zero) = (Vector::splat(lanes, scale_log2), Vector::splat(lanes, 0.0));
    let rows = scores.chunks_exact_mut(PANEL).zip(dscores.chunks_exact_mut(PANEL));
    for ((scores, dscores), (shift, sum)) in rows.zip(shifts.iter().zip(sums)) {
        let (shift, sum) = (Vector::splat(lanes, *shift), Vector::splat(lanes, *sum));
        map(
            lanes,
            [],
            [scores, dscores],
            #[inline(always)]
            |[], [score, dprobability]| {
                // No score is above the logarithm of the sum; rounding may put a large one there.
                let below = (score - shift) * scale_log2;
                let probability = exp2(zero.select(zero.less(below), below));
                [probability, probability * (dprobability - sum)]
            },
        );
    }
}

/// Where a head's gradients are written.
#[derive(Clone, Copy)]
struct Output {
    /// How far apart rows lie.
    stride: usize,
    width: usize,
    accumulate: bool,
}

impl Output {
    /// Writes, or adds, `scale` times the rows of a copy.
    #[inline(always)]
    fn write<L: Lanes>(self, lanes: L, rows: &[f32], scale: f32, out: &mut [f32]) {
        let scale = Vector::splat(lanes, scale);
        let rows = rows.chunks_exact(row_len(self.width)).zip(out.chunks_mut(self.stride));
        for (row, out) in rows {
            let (row, out) = (&row[..self.width], &mut out[..self.width]);
            if self.accumulate {
                map(
                    lanes,
                    [row],
                    [out],
                    #[inline(always)]
                    |[x], [out]| [out + x * scale],
                );
            } else {
                map(
                    lanes,
                    [row],
                    [out],
                    #[inline(always)]
                    |[x], _| [x * scale],
                );
            }
        }
    }
}
