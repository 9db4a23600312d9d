//! Softmax cross-entropy, per example, with the gradient of its mean over the batch.

use super::dispatch::dispatch;
use super::lanes::{Lanes, REDUCTION_LANES, Vector};
use super::math::{exp, ln};
use super::place::{Dst, Src};
use super::slice_loops::{fold, fold_sums, map};

/// Softmax cross-entropy of class labels; gives the number of examples that are right.
///
/// `losses[r] = ln(sum_j e^(logits[r, j])) - logits[r, labels[r]]`, by way of the row's largest logit.
/// `dlogits = (softmax(logits) - one_hot(labels)) / rows`. `logits`, `dlogits`: `f32[rows, classes]`;
/// `labels`: below `classes`, and `losses`: `f32[rows]`.
///
/// An example is right if its label's logit is larger than those before it and no smaller than those
/// after it: PyTorch's `argmax`, the first on ties. One whose loss is NaN is never right.
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
    if let Some(dlogits) = &dlogits {
        assert_eq!(dlogits.len(), logits.len(), "dlogits are f32[rows, classes]");
    }
    let batch = Batch { rows, classes, logits, labels };
    dispatch!(lanes => if classes <= REDUCTION_LANES {
        batch.narrow(lanes, losses, dlogits)
    } else {
        batch.wide(lanes, losses, dlogits)
    })
}

#[derive(Clone, Copy)]
struct Batch<'a> {
    rows: usize,
    classes: usize,
    logits: &'a [f32],
    labels: &'a [u32],
}

/// A number for each class of a register of examples.
type ByClass<L> = [Vector<L>; REDUCTION_LANES];

impl Batch<'_> {
    /// Row after row, vectors along the classes.
    #[inline(always)]
    fn wide<L: Lanes>(
        self,
        lanes: L,
        losses: &mut [f32],
        mut dlogits: Option<&mut [f32]>,
    ) -> usize {
        let mut n_right = 0;
        for (group, losses) in losses.chunks_mut(REDUCTION_LANES).enumerate() {
            // Logarithms are taken of many sums at once.
            let (mut totals, mut margins) = ([1.0; REDUCTION_LANES], [0.0; REDUCTION_LANES]);
            for at in 0..losses.len() {
                let row = group * REDUCTION_LANES + at;
                let dlogits =
                    dlogits.as_mut().map(|all| &mut all[row * self.classes..][..self.classes]);
                (totals[at], margins[at]) = self.row(lanes, row, dlogits);
            }
            let (totals, margins) = (&totals[..losses.len()], &margins[..losses.len()]);
            map(
                lanes,
                [totals, margins],
                [&mut *losses],
                #[inline(always)]
                |[total, margin], _| [ln(total) - margin],
            );
            for (at, (loss, margin)) in losses.iter().zip(margins).enumerate() {
                n_right += usize::from(
                    !loss.is_nan() && self.is_right(group * REDUCTION_LANES + at, *margin),
                );
            }
        }
        n_right
    }

    /// The sum of a row's powers, and by how much its label's logit is above the largest, which is zero
    /// at most.
    #[inline(always)]
    fn row<L: Lanes>(self, lanes: L, row: usize, dlogits: Option<&mut [f32]>) -> (f32, f32) {
        let label = self.labels[row] as usize;
        let row = &self.logits[row * self.classes..][..self.classes];
        let max = largest(lanes, row);
        let shift = Vector::splat(lanes, max);
        let total = match dlogits {
            None => {
                let [total] = fold_sums(
                    lanes,
                    [row],
                    #[inline(always)]
                    |[sum], [x]| [sum + exp(x - shift)],
                );
                total
            }
            Some(dlogits) => {
                map(
                    lanes,
                    [row],
                    [&mut *dlogits],
                    #[inline(always)]
                    |[x], _| [exp(x - shift)],
                );
                let [total] = fold_sums(
                    lanes,
                    [&*dlogits],
                    #[inline(always)]
                    |[sum], [power]| [sum + power],
                );
                let inverse_rows = 1.0 / self.rows as f32;
                let share = Vector::splat(lanes, inverse_rows / total);
                map(
                    lanes,
                    [],
                    [&mut *dlogits],
                    #[inline(always)]
                    |[], [power]| [power * share],
                );
                dlogits[label] -= inverse_rows;
                total
            }
        };
        (total, row[label] - max)
    }

    /// Whether the logit of a row's label, `margin` above the largest, is the first of those as large. No
    /// logit is NaN.
    #[inline(always)]
    fn is_right(self, row: usize, margin: f32) -> bool {
        let label = self.labels[row] as usize;
        let row = &self.logits[row * self.classes..][..self.classes];
        // Without an early end, so that it becomes vectors.
        margin == 0.0 && !row[..label].iter().fold(false, |found, x| found | (*x == row[label]))
    }

    /// A register of rows at a time, vectors along the rows: for classes no more than the partial sums
    /// of a reduction, so that sums have the order they have in [`Self::wide`].
    #[inline(always)]
    fn narrow<L: Lanes>(
        self,
        lanes: L,
        losses: &mut [f32],
        mut dlogits: Option<&mut [f32]>,
    ) -> usize {
        let (zero, one) = (Vector::splat(lanes, 0.0), Vector::splat(lanes, 1.0));
        let one_row = Vector::splat(lanes, 1.0 / self.rows as f32);
        let mut n_right = zero;
        for first in (0..self.rows).step_by(L::LANES) {
            let n_rows = L::LANES.min(self.rows - first);
            let labels = self.labels(lanes, first, n_rows);
            let logits = self.columns(lanes, first, n_rows);
            let class_bits =
                |class: usize| Vector::new(lanes, lanes.of_bits(lanes.splat_u32(class as u32)));
            let (mut max, mut largest, mut chosen) = (logits[0], class_bits(0), logits[0]);
            for (class, x) in logits[..self.classes].iter().enumerate().skip(1) {
                let above = max.less(*x);
                max = x.select(above, max);
                largest = class_bits(class).select(above, largest);
                chosen = x.select(lanes.equal_u32(labels, lanes.splat_u32(class as u32)), chosen);
            }
            let mut powers = [zero; REDUCTION_LANES];
            for (power, x) in powers[..self.classes].iter_mut().zip(&logits) {
                *power = exp(*x - max);
            }
            let total = tree_sum(powers);
            let loss = ln(total) - (chosen - max);
            loss.store_first(&mut losses[first..][..n_rows]);
            let right = one.select(lanes.equal_u32(lanes.bits_of(largest.raw), labels), zero);
            let right = right.select(loss.less_equal(loss), zero);
            n_right = n_right + right.select(lanes.first(n_rows), zero);
            if let Some(dlogits) = &mut dlogits {
                let share = one_row / total;
                for (class, power) in powers[..self.classes].iter_mut().enumerate() {
                    let hit = lanes.equal_u32(labels, lanes.splat_u32(class as u32));
                    *power = *power * share - one_row.select(hit, zero);
                }
                let at = first * self.classes..(first + n_rows) * self.classes;
                self.write_rows(&powers, n_rows, &mut dlogits[at]);
            }
        }
        let mut flags = [0.0; REDUCTION_LANES];
        n_right.store(&mut flags);
        flags.iter().map(|n_right| *n_right as usize).sum()
    }

    /// The labels of a register of rows, zero where there are fewer.
    #[inline(always)]
    fn labels<L: Lanes>(self, lanes: L, first: usize, n_rows: usize) -> L::U32 {
        let labels = &self.labels[first..][..n_rows];
        // SAFETY: the mask ends where the slice does; a load moves bits, whatever they stand for.
        lanes.bits_of(unsafe { lanes.load_masked(lanes.first(n_rows), Src::of(labels).as_f32()) })
    }

    /// The logits of a register of rows, class by class; where there are fewer rows, copies of the last.
    #[inline(always)]
    fn columns<L: Lanes>(self, lanes: L, first: usize, n_rows: usize) -> ByClass<L> {
        let mut columns = [0.0; REDUCTION_LANES * REDUCTION_LANES];
        let rows = &self.logits[first * self.classes..][..n_rows * self.classes];
        // SAFETY: there are `n_rows` rows of `classes` values, at least one; `columns` holds a register
        // for each of up to sixteen classes.
        unsafe {
            let dst = Dst::of(&mut columns);
            lanes.pack_rows(
                Src::of(rows),
                self.classes,
                n_rows,
                self.classes,
                dst,
                REDUCTION_LANES,
            );
        }
        let mut logits = [Vector::splat(lanes, 0.0); REDUCTION_LANES];
        for (x, column) in logits.iter_mut().zip(columns.chunks_exact(REDUCTION_LANES)) {
            *x = Vector::load(lanes, column);
        }
        logits
    }

    /// Writes numbers by class as rows.
    #[inline(always)]
    fn write_rows<L: Lanes>(self, by_class: &ByClass<L>, n_rows: usize, rows: &mut [f32]) {
        let lanes = by_class[0].lanes;
        assert_eq!(rows.len(), n_rows * self.classes);
        let mut columns = [0.0; REDUCTION_LANES * REDUCTION_LANES];
        for (value, column) in by_class.iter().zip(columns.chunks_exact_mut(REDUCTION_LANES)) {
            value.store(column);
        }
        // SAFETY: `columns` holds a register for each of up to sixteen classes; there are `n_rows` rows
        // of `classes` values.
        unsafe {
            let (src, dst) = (Src::of(&columns), Dst::of(rows));
            lanes.unpack_rows(src, REDUCTION_LANES, n_rows, self.classes, dst, self.classes);
        }
    }
}

/// The tree by which sixteen partial sums are joined, here along the array.
#[inline(always)]
fn tree_sum<L: Lanes>(mut parts: ByClass<L>) -> Vector<L> {
    let mut half = REDUCTION_LANES / 2;
    while 0 < half {
        for part in 0..half {
            parts[part] = parts[part] + parts[part + half];
        }
        half /= 2;
    }
    parts[0]
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
