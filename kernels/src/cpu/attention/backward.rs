//! One head backward: 32 keys at a time, a column each, against the queries that attend to them.

use super::AttentionShape;
use super::rows::{Rows, row_len, write_panel};
use super::tile::{PANEL, Steps, panel_product, row_product};
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::math::exp2;
use crate::cpu::sweep::{fold_sums, map};
use core::f32::consts::LOG2_E;

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
    let panels = 2 * shape.panels_len() + 3 * shape.panel_len();
    let rows = 4 * shape.rows_len() + PANEL * row_len(shape.head_width);
    panels + rows + 2 * shape.len * PANEL + 2 * shape.len
}

/// Copies of a head as tiles read them, and room for what is computed.
struct Scratch<'a> {
    /// Panels of queries and of `dy`.
    query_panels: [&'a mut [f32]; 2],
    /// Rows of queries and of `dy`.
    query_rows: [&'a mut [f32]; 2],
    key_rows: &'a mut [f32],
    /// One panel of keys and one of values.
    key_panels: [&'a mut [f32]; 2],
    /// `f32[len, 32]`: scores, then probabilities; and the gradients of either.
    scores: &'a mut [f32],
    dscores: &'a mut [f32],
    /// `f32[head_width, 32]`, and the same as rows.
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
            query_panels: [take(shape.panels_len()), take(shape.panels_len())],
            query_rows: [take(shape.rows_len()), take(shape.rows_len())],
            key_rows: take(shape.rows_len()),
            key_panels: [take(shape.panel_len()), take(shape.panel_len())],
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
    let [q, k, _] = head.qkv;
    for (from, (panels, rows)) in
        [q, head.dy].iter().zip(scratch.query_panels.iter_mut().zip(&mut scratch.query_rows))
    {
        from.copy_panels(lanes, panels);
        from.copy(lanes, rows);
    }
    k.copy(lanes, scratch.key_rows);
    prepare_rows(lanes, head, &mut scratch);
    scratch.dq.fill(0.0);
    let output = Output { stride: 3 * shape.width(), width: shape.head_width, accumulate };
    for panel in 0..shape.n_panels() {
        run_panel(lanes, shape, head, panel, output, dqkv, &mut scratch);
    }
    output.write(lanes, scratch.dq, shape.scale(), dqkv);
}

/// What is the same for all keys of a query.
#[inline(always)]
fn prepare_rows<L: Lanes>(lanes: L, head: Head<'_>, scratch: &mut Scratch<'_>) {
    let rows = scratch.shifts.iter_mut().zip(&mut *scratch.sums).zip(head.lse);
    for (row, ((shift, sum), lse)) in rows.enumerate() {
        *shift = -(lse * LOG2_E);
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
    panel: usize,
    output: Output,
    dqkv: &mut [f32],
    scratch: &mut Scratch<'_>,
) {
    let Scratch { query_panels, query_rows, key_panels, scores, dscores, .. } = scratch;
    let first_key = panel * PANEL;
    let n_keys = PANEL.min(shape.len - first_key);
    let (first, steps) = if shape.is_causal { (first_key, Steps::From) } else { (0, Steps::All) };
    let row_len = row_len(shape.head_width);
    let scores = &mut scores[..(shape.len - first) * PANEL];
    let dscores = &mut dscores[..scores.len()];
    for (from, to) in head.qkv[1..].iter().zip(&mut *key_panels) {
        from.copy_panel(lanes, panel, to);
    }
    for (queries, (keys, scores)) in
        query_panels.iter().zip(key_panels.iter().zip([&mut *scores, &mut *dscores]))
    {
        let queries = queries.chunks_exact(shape.panel_len()).skip(first / PANEL);
        for (queries, scores) in queries.zip(scores.chunks_mut(PANEL * PANEL)) {
            panel_product(lanes, queries, PANEL, keys, scores, Steps::All);
        }
    }
    let row_numbers = [&scratch.shifts[first..], &scratch.sums[first..]];
    differentiate(lanes, shape.scale_log2(), row_numbers, scores, dscores);
    let key_rows = &scratch.key_rows[first_key * row_len..][..n_keys * row_len];
    let dq = &mut scratch.dq[first * row_len..];
    row_product(lanes, row_len, dscores, key_rows, dq, shape.is_causal);
    let [q, dy] = query_rows.each_ref().map(|rows| &rows[first * row_len..]);
    for (part, rows, weights, scale) in [(1, q, &*dscores, shape.scale()), (2, dy, &*scores, 1.0)] {
        panel_product(lanes, rows, row_len, weights, scratch.panel, steps);
        let gradients = &mut scratch.rows[..n_keys * row_len];
        write_panel(lanes, scratch.panel, n_keys, gradients, row_len);
        let at = first_key * output.stride + part * shape.width();
        output.write(lanes, gradients, scale, &mut dqkv[at..]);
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
    let scale_log2 = Vector::splat(lanes, scale_log2);
    let rows = scores.chunks_exact_mut(PANEL).zip(dscores.chunks_exact_mut(PANEL));
    for ((scores, dscores), (shift, sum)) in rows.zip(shifts.iter().zip(sums)) {
        let (shift, sum) = (Vector::splat(lanes, *shift), Vector::splat(lanes, *sum));
        map(
            lanes,
            [],
            [scores, dscores],
            #[inline(always)]
            |[], [score, dprobability]| {
                let probability = exp2(score.mul_add(scale_log2, shift));
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
