//! Mean squared error, per example, with the gradient of its mean over the batch.

use super::dispatch::dispatch;
use super::lanes::Vector;
use super::slice_loops::{fold_sums, map};

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
