//! Losses, per example, with the gradient of their mean over the batch.

use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use super::math::{exp, ln};
use super::sweep::{fold, fold_sums, map};

/// Softmax cross-entropy of class labels; gives the number of examples that are right.
///
/// `losses[r] = ln(sum_j e^(logits[r, j])) - logits[r, labels[r]]`, by way of the row's largest logit.
/// `dlogits = (softmax(logits) - one_hot(labels)) / rows`. `logits`, `dlogits`: `f32[rows, classes]`;
/// `labels`: below `classes`, and `losses`: `f32[rows]`.
///
/// An example is right if its label's logit is larger than those before it and no smaller than those
/// after it: PyTorch's `argmax`, the first on ties; a NaN in the row is never right.
pub fn softmax_cross_entropy(
    rows: usize,
    classes: usize,
    logits: &[f32],
    labels: &[u32],
    losses: &mut [f32],
    dlogits: Option<&mut [f32]>,
) -> usize {
    assert!(0 < classes, "there is a class");
    assert_eq!(logits.len(), rows * classes, "logits are f32[rows, classes]");
    assert_eq!([labels.len(), losses.len()], [rows; 2], "labels and losses are [rows]");
    assert!(labels.iter().all(|label| (*label as usize) < classes), "labels are below `classes`");
    let inverse_rows = 1.0 / rows as f32;
    let right = logits
        .chunks_exact(classes)
        .zip(labels)
        .filter(|(row, label)| is_first_largest(row, **label as usize));
    let n_right = right.count();
    dispatch!(lanes => match dlogits {
        Some(dlogits) => {
            assert_eq!(dlogits.len(), logits.len(), "dlogits are f32[rows, classes]");
            let rows = logits.chunks_exact(classes).zip(dlogits.chunks_exact_mut(classes));
            for ((row, dlogits), (label, loss)) in rows.zip(labels.iter().zip(losses)) {
                let label = *label as usize;
                let max = largest(lanes, row);
                let shift = Vector::splat(lanes, max);
                map(lanes, [row], [&mut *dlogits], #[inline(always)] |[x], _| [exp(x - shift)]);
                let total = total(lanes, dlogits);
                let share = Vector::splat(lanes, inverse_rows / total);
                map(lanes, [], [&mut *dlogits], #[inline(always)] |[], [e]| [e * share]);
                dlogits[label] -= inverse_rows;
                *loss = ln(Vector::splat(crate::cpu::lanes::Portable, total)).raw - (row[label] - max);
            }
        }
        None => {
            for (row, (label, loss)) in logits.chunks_exact(classes).zip(labels.iter().zip(losses)) {
                let max = largest(lanes, row);
                let shift = Vector::splat(lanes, max);
                let [total] = fold_sums(lanes, [row], #[inline(always)] |[sum], [x]| {
                    [sum + exp(x - shift)]
                });
                let log = ln(Vector::splat(crate::cpu::lanes::Portable, total)).raw;
                *loss = log - (row[*label as usize] - max);
            }
        }
    });
    n_right
}

/// Mean squared error: the mean over `width` for each example.
///
/// `losses[r] = mean_j (prediction[r, j] - target[r, j])^2` and
/// `dprediction = 2 (prediction - target) / (rows width)`. `prediction`, `target`, `dprediction`:
/// `f32[rows, width]`; `losses`: `f32[rows]`.
pub fn mean_squared_error(
    rows: usize,
    width: usize,
    prediction: &[f32],
    target: &[f32],
    losses: &mut [f32],
    dprediction: Option<&mut [f32]>,
) {
    assert!(0 < width, "there is something to predict");
    assert_eq!(prediction.len(), rows * width, "predictions are f32[rows, width]");
    assert_eq!(target.len(), rows * width, "targets are f32[rows, width]");
    assert_eq!(losses.len(), rows, "losses are f32[rows]");
    dispatch!(lanes => {
        let rows_of = prediction.chunks_exact(width).zip(target.chunks_exact(width));
        for ((prediction, target), loss) in rows_of.zip(losses) {
            let [squares] = fold_sums(lanes, [prediction, target], #[inline(always)] |[sum], [p, t]| {
                let error = p - t;
                [error.mul_add(error, sum)]
            });
            *loss = squares / width as f32;
        }
        if let Some(dprediction) = dprediction {
            let factor = Vector::splat(lanes, 2.0 / (rows as f32 * width as f32));
            map(lanes, [prediction, target], [dprediction], #[inline(always)] |[p, t], _| {
                [(p - t) * factor]
            });
        }
    });
}

#[inline(always)]
fn largest<L: Lanes>(lanes: L, row: &[f32]) -> f32 {
    let [max] = fold(
        lanes,
        [row],
        f32::NEG_INFINITY,
        #[inline(always)]
        |[max], [x]| [max.max(x)],
        #[inline(always)]
        |a, b| a.max(b),
    );
    max
}

#[inline(always)]
fn total<L: Lanes>(lanes: L, row: &[f32]) -> f32 {
    let [total] = fold_sums(
        lanes,
        [row],
        #[inline(always)]
        |[sum], [x]| [sum + x],
    );
    total
}

fn is_first_largest(row: &[f32], label: usize) -> bool {
    let value = row[label];
    row[..label].iter().all(|x| *x < value) && row[label..].iter().all(|x| *x <= value)
}
