//! One head forward: 32 queries at a time, a column each, against their keys.

use super::AttentionShape;
use super::rows::{Rows, row_len, write_panel};
use super::tile::{PANEL, Steps, columns, panel_product};
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::math::{exp2, ln};

pub(super) fn scratch_len(shape: AttentionShape) -> usize {
    2 * shape.panels_len() + shape.rows_len() + shape.len * PANEL + shape.panel_len()
}

/// `y`: rows `heads * head_width` apart; `lse`: `f32[len]`.
#[inline(always)]
pub(super) fn run<L: Lanes>(
    lanes: L,
    shape: AttentionShape,
    [q, k, v]: [Rows<'_>; 3],
    y: &mut [f32],
    lse: &mut [f32],
    scratch: &mut [f32],
) {
    let (queries, scratch) = scratch.split_at_mut(shape.panels_len());
    let (keys, scratch) = scratch.split_at_mut(shape.panels_len());
    let (values, scratch) = scratch.split_at_mut(shape.rows_len());
    let (scores, scratch) = scratch.split_at_mut(shape.len * PANEL);
    let sums = &mut scratch[..shape.panel_len()];
    q.copy_panels(lanes, queries);
    k.copy_panels(lanes, keys);
    v.copy(lanes, values);
    let panels = queries.chunks_exact(shape.panel_len()).zip(lse.chunks_mut(PANEL));
    for (panel, (queries, lse)) in panels.enumerate() {
        let first = panel * PANEL;
        let (n_keys, steps) = if shape.is_causal {
            (first + lse.len(), Steps::UpTo { first })
        } else {
            (shape.len, Steps::All)
        };
        let scores = &mut scores[..n_keys * PANEL];
        let key_panels = keys.chunks_exact(shape.panel_len());
        for (keys, scores) in key_panels.zip(scores.chunks_mut(PANEL * PANEL)) {
            panel_product(lanes, keys, PANEL, queries, scores, Steps::All);
        }
        let shares = softmax(lanes, shape, scores, steps, lse);
        panel_product(lanes, values, row_len(shape.head_width), scores, sums, steps);
        scale_columns(lanes, sums, &shares);
        write_panel(lanes, sums, lse.len(), &mut y[first * shape.width()..], shape.width());
    }
}

/// Turns each column of scores, `f32[keys, 32]`, into powers; gives the reciprocal of each sum.
#[inline(always)]
fn softmax<L: Lanes>(
    lanes: L,
    shape: AttentionShape,
    scores: &mut [f32],
    steps: Steps,
    lse: &mut [f32],
) -> [f32; PANEL] {
    if let Steps::UpTo { first } = steps {
        exclude_later_keys(lanes, &mut scores[first * PANEL..]);
    }
    let (scores, _) = scores.as_chunks_mut::<PANEL>();
    let (scale, scale_log2) = (shape.scale(), Vector::splat(lanes, shape.scale_log2()));
    let mut shares = [0.0; PANEL];
    for column in (0..PANEL).step_by(L::LANES) {
        let max = largest(lanes, scores, column);
        let shift = -(max * scale_log2);
        let mut total = Vector::splat(lanes, 0.0);
        for row in &mut *scores {
            let score = &mut row[column..][..L::LANES];
            let power = exp2(Vector::load(lanes, score).mul_add(scale_log2, shift));
            power.store(score);
            total = total + power;
        }
        (Vector::splat(lanes, 1.0) / total).store(&mut shares[column..][..L::LANES]);
        if column < lse.len() {
            let n_rows = L::LANES.min(lse.len() - column);
            let value = max.mul_add(Vector::splat(lanes, scale), ln(total));
            value.store_first(&mut lse[column..][..n_rows]);
        }
    }
    shares
}

/// Makes the scores of keys after the query, from the key of the first query on, those of no weight.
#[inline(always)]
fn exclude_later_keys<L: Lanes>(lanes: L, scores: &mut [f32]) {
    let excluded = Vector::splat(lanes, f32::NEG_INFINITY);
    for (key, row) in scores.chunks_exact_mut(PANEL).enumerate() {
        let key = Vector::splat(lanes, key as f32);
        for column in (0..PANEL).step_by(L::LANES) {
            let [queries, _] = columns(lanes, column);
            let score = &mut row[column..][..L::LANES];
            let kept = Vector::load(lanes, score).select(key.less_equal(queries), excluded);
            kept.store(score);
        }
    }
}

/// The largest score of each column of a register.
#[inline(always)]
fn largest<L: Lanes>(lanes: L, scores: &[[f32; PANEL]], column: usize) -> Vector<L> {
    // Any order gives the same number; four at a time do not wait for each other.
    let mut parts = [Vector::splat(lanes, f32::NEG_INFINITY); 4];
    let n_parts = parts.len();
    for rows in scores.chunks(n_parts) {
        for (part, row) in parts.iter_mut().zip(rows) {
            *part = part.max(Vector::load(lanes, &row[column..]));
        }
    }
    parts[0].max(parts[1]).max(parts[2].max(parts[3]))
}

#[inline(always)]
fn scale_columns<L: Lanes>(lanes: L, panel: &mut [f32], factors: &[f32; PANEL]) {
    for row in panel.chunks_exact_mut(PANEL) {
        for column in (0..PANEL).step_by(L::LANES) {
            let value = &mut row[column..][..L::LANES];
            let scaled = Vector::load(lanes, value) * Vector::load(lanes, &factors[column..]);
            scaled.store(value);
        }
    }
}
