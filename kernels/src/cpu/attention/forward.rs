//! One head forward: 32 queries at a time, a column each, against their keys.

use super::AttentionShape;
use super::rows::{PANEL, Rows, write_panel};
use super::tile::{Steps, Wanted, panel_product, score_product};
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::math::{exp2, ln};

pub(super) fn scratch_len(shape: AttentionShape) -> usize {
    shape.len * PANEL + 2 * shape.panel_len()
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
    let (scores, scratch) = scratch.split_at_mut(shape.len * PANEL);
    let (queries, scratch) = scratch.split_at_mut(shape.panel_len());
    let sums = &mut scratch[..shape.panel_len()];
    for (panel, lse) in lse.chunks_mut(PANEL).enumerate() {
        let first = panel * PANEL;
        let (n_keys, steps) = if shape.is_causal {
            (first + lse.len(), Steps::UpTo { first })
        } else {
            (shape.len, Steps::All)
        };
        let scores = &mut scores[..n_keys * PANEL];
        q.part(first, lse.len()).copy_panel(lanes, queries);
        for (at, scores) in scores.chunks_mut(PANEL * PANEL).enumerate() {
            let diagonal = shape.is_causal && at == panel;
            let wanted = if diagonal { Wanted::FromRow } else { Wanted::All };
            let keys = k.part(at * PANEL, scores.len() / PANEL);
            score_product(lanes, keys, queries, scores, wanted);
        }
        let shares = softmax(lanes, shape, scores, steps, lse);
        panel_product(lanes, v.part(0, n_keys), scores, sums, steps);
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
    let (scores, _) = scores.as_chunks_mut::<PANEL>();
    let (scale, scale_log2) = (shape.scale(), Vector::splat(lanes, shape.scale_log2()));
    let mut shares = [0.0; PANEL];
    for column in (0..lse.len()).step_by(L::LANES) {
        let scores = match steps {
            Steps::UpTo { first } => exclude_later_keys(lanes, scores, first + column, column),
            _ => &mut *scores,
        };
        let max = largest(lanes, scores, column);
        let mut total = Vector::splat(lanes, 0.0);
        for row in scores {
            let score = &mut row[column..][..L::LANES];
            // The difference first: it is zero for the largest, however large that is.
            let power = exp2((Vector::load(lanes, score) - max) * scale_log2);
            power.store(score);
            total = total + power;
        }
        (Vector::splat(lanes, 1.0) / total).store(&mut shares[column..][..L::LANES]);
        let n_rows = L::LANES.min(lse.len() - column);
        let value = max.mul_add(Vector::splat(lanes, scale), ln(total));
        value.store_first(&mut lse[column..][..n_rows]);
    }
    shares
}

/// Makes the scores of keys after the query those of no weight, in a register of queries whose first is
/// number `first`; gives the scores of the keys that one of them attends to.
#[inline(always)]
fn exclude_later_keys<L: Lanes>(
    lanes: L,
    scores: &mut [[f32; PANEL]],
    first: usize,
    column: usize,
) -> &mut [[f32; PANEL]] {
    let n_keys = scores.len().min(first + L::LANES);
    let scores = &mut scores[..n_keys];
    let excluded = Vector::splat(lanes, f32::NEG_INFINITY);
    for (key, row) in scores[first..].iter_mut().enumerate() {
        let score = &mut row[column..][..L::LANES];
        excluded.select(lanes.first(key), Vector::load(lanes, score)).store(score);
    }
    scores
}

/// The largest score of each column of a register.
#[inline(always)]
fn largest<L: Lanes>(lanes: L, scores: &[[f32; PANEL]], column: usize) -> Vector<L> {
    let none = Vector::splat(lanes, f32::NEG_INFINITY);
    let of = |row: &[f32; PANEL]| Vector::load(lanes, &row[column..]);
    // Any order gives the same number; four at a time do not wait for each other.
    let (mut a, mut b, mut c, mut d) = (none, none, none, none);
    let (fours, rest) = scores.as_chunks::<4>();
    for [w, x, y, z] in fours {
        (a, b, c, d) = (a.max(of(w)), b.max(of(x)), c.max(of(y)), d.max(of(z)));
    }
    for row in rest {
        a = a.max(of(row));
    }
    a.max(b).max(c.max(d))
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
