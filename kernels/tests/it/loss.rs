//! Losses and counts of what is right.

use super::{assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::{mean_squared_error, softmax_cross_entropy};
use esper_kernels::oracle;

fn labels(rows: usize, classes: usize) -> Vec<u32> {
    (0..rows).map(|row| (row * 7 % classes) as u32).collect()
}

#[test]
fn cross_entropy_agrees_with_the_oracle_with_and_without_its_gradient() {
    for (rows, classes) in [(1, 1), (3, 2), (64, 10), (17, 16), (16, 17), (5, 33), (2, 100)] {
        let logits: Vec<f32> = numbers(1, rows * classes).iter().map(|x| x * 10.0).collect();
        let labels = labels(rows, classes);
        let run = |want_gradient: bool| {
            let (mut losses, mut dlogits) = (unwritten(rows), unwritten(logits.len()));
            let n_right = softmax_cross_entropy(
                rows,
                classes,
                &logits,
                &labels,
                &mut losses,
                want_gradient.then_some(&mut dlogits),
            );
            losses.push(n_right as f32);
            (losses, dlogits)
        };
        let found = on_every_unit(|| run(true).0);
        on_every_unit(|| run(true).1);
        assert_eq!(bits(&found), bits(&on_every_unit(|| run(false).0)));
        let want = oracle::softmax_cross_entropy(classes, &widened(&logits), &labels);
        assert_close(&found[..rows], &want, 1e-6);
        assert_eq!(found[rows], oracle::n_right(classes, &logits, &labels) as f32);
    }
}

#[test]
fn classes_that_can_not_be_change_no_bit() {
    let (rows, classes, padded) = (37, 10, 23);
    let labels = labels(rows, classes);
    let run = |width: usize| {
        let mut logits = vec![f32::NEG_INFINITY; rows * width];
        for (row, numbers) in
            logits.chunks_exact_mut(width).zip(numbers(4, rows * classes).chunks_exact(classes))
        {
            row[..classes].copy_from_slice(numbers);
        }
        let (mut losses, mut dlogits) = (unwritten(rows), unwritten(rows * width));
        let dlogits_out = Some(&mut dlogits[..]);
        let n_right =
            softmax_cross_entropy(rows, width, &logits, &labels, &mut losses, dlogits_out);
        losses.push(n_right as f32);
        losses.extend(dlogits.chunks_exact(width).flat_map(|row| &row[..classes]));
        losses
    };
    assert_eq!(bits(&on_every_unit(|| run(classes))), bits(&on_every_unit(|| run(padded))));
}

#[test]
fn the_first_largest_logit_is_the_answer_and_nan_is_never_right() {
    let n_right = |row: &[f32], label: u32| {
        let n_right = softmax_cross_entropy(1, row.len(), row, &[label], &mut [0.0], None);
        assert_eq!(oracle::n_right(row.len(), row, &[label]), n_right);
        n_right
    };
    assert_eq!([n_right(&[1.0, 3.0, 2.0], 1), n_right(&[1.0, 3.0, 2.0], 2)], [1, 0]);
    assert_eq!([n_right(&[2.0, 2.0], 0), n_right(&[2.0, 2.0], 1)], [1, 0]);
    assert_eq!([n_right(&[f32::NAN, 1.0], 0), n_right(&[f32::NAN, 1.0], 1)], [0, 0]);
    let wide = |at: usize, value: f32, label: u32| {
        let mut row = [0.0; 40];
        row[at] = value;
        n_right(&row, label)
    };
    assert_eq!([wide(30, 1.0, 30), wide(30, 1.0, 0), wide(30, 0.0, 0)], [1, 0, 1]);
    assert_eq!([wide(0, f32::NAN, 0), wide(3, f32::NAN, 0)], [0, 0]);
}

#[test]
fn a_logit_that_is_not_finite_makes_its_own_loss_not_finite() {
    for bad in [f32::NAN, f32::INFINITY] {
        let logits = [0.0, bad, 1.0, 0.5, 0.0, 1.0];
        let mut losses = [0.0; 2];
        softmax_cross_entropy(2, 3, &logits, &[0, 1], &mut losses, None);
        assert!(!losses[0].is_finite() && losses[1].is_finite(), "{bad}: {losses:?}");
    }
}

#[test]
fn large_logits_do_not_overflow() {
    let (mut losses, mut dlogits) = ([0.0; 1], [0.0; 3]);
    softmax_cross_entropy(1, 3, &[1e30, -1e30, 0.0], &[0], &mut losses, Some(&mut dlogits));
    assert_eq!((losses, dlogits), ([0.0], [0.0; 3]));
}

#[test]
fn mean_squared_error_agrees_with_the_oracle() {
    for (rows, width) in [(1, 1), (3, 7), (16, 16), (5, 33)] {
        let (prediction, target) = (numbers(2, rows * width), numbers(3, rows * width));
        let found = on_every_unit(|| {
            let mut losses = unwritten(rows);
            mean_squared_error(rows, width, &prediction, &target, &mut losses, None);
            losses
        });
        let want = oracle::mean_squared_error(width, &widened(&prediction), &widened(&target));
        assert_close(&found, &want, 1e-6);
    }
}

#[test]
#[should_panic(expected = "labels are below `classes`")]
fn a_label_out_of_range_is_refused() {
    softmax_cross_entropy(1, 2, &[0.0, 1.0], &[2], &mut [0.0], None);
}
