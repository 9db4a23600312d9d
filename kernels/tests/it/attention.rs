//! Attention.

use super::{assert_close, bits, numbers, on_every_unit, unwritten, widened};
use esper_kernels::cpu::{
    AttentionShape, add_assign, attention_backward, attention_forward, attention_scratch_len,
    simd_levels, with_simd_level,
};
use esper_kernels::oracle::{self, central_differences};
use proptest::prelude::*;

fn shape(sizes: [usize; 4], is_causal: bool) -> AttentionShape {
    let [batch, len, heads, head_width] = sizes;
    AttentionShape { batch, len, heads, head_width, is_causal }
}

const SIZES: [[usize; 4]; 11] = [
    [1, 1, 1, 1],
    [2, 7, 1, 3],
    [1, 17, 2, 16],
    [2, 31, 1, 8],
    [1, 32, 2, 4],
    [2, 33, 3, 17],
    [1, 64, 1, 32],
    [1, 65, 1, 33],
    [1, 100, 1, 64],
    [1, 5, 0, 4],
    [0, 9, 2, 8],
];

fn shapes() -> impl Iterator<Item = AttentionShape> {
    SIZES.into_iter().flat_map(|sizes| [shape(sizes, false), shape(sizes, true)])
}

/// Values of `y`, and of `lse`.
fn lengths(shape: AttentionShape) -> [usize; 2] {
    let AttentionShape { batch, len, heads, head_width, .. } = shape;
    [batch * len * heads * head_width, batch * heads * len]
}

fn inputs(shape: AttentionShape) -> [Vec<f32>; 2] {
    let [y_len, _] = lengths(shape);
    [numbers(1, 3 * y_len), numbers(2, y_len)]
}

/// `y`, and `lse`.
fn forward(shape: AttentionShape, qkv: &[f32]) -> [Vec<f32>; 2] {
    let [mut y, mut lse] = lengths(shape).map(unwritten);
    let mut scratch = unwritten(attention_scratch_len(shape));
    attention_forward(shape, qkv, &mut y, &mut lse, &mut scratch);
    [y, lse]
}

fn backward(shape: AttentionShape, dy: &[f32], qkv: &[f32]) -> Vec<f32> {
    let [y, lse] = forward(shape, qkv);
    let mut dqkv = unwritten(qkv.len());
    let mut scratch = unwritten(attention_scratch_len(shape));
    attention_backward(shape, dy, qkv, &y, &lse, &mut dqkv, false, &mut scratch);
    dqkv
}

/// The gradient that the oracle finds.
fn gradient(shape: AttentionShape, dy: &[f64], qkv: &[f64]) -> Vec<f64> {
    let [y, lse] = oracle::attention(shape, qkv);
    oracle::attention_backward(shape, dy, qkv, &y, &lse)
}

#[test]
fn attention_agrees_with_the_oracle_on_every_unit() {
    for shape in shapes() {
        let [qkv, _] = inputs(shape);
        let found = on_every_unit(|| forward(shape, &qkv).concat());
        assert_close(&found, &oracle::attention(shape, &widened(&qkv)).concat(), 3e-6);
    }
}

#[test]
fn attention_gradients_agree_with_the_oracle_on_every_unit() {
    for shape in shapes() {
        let [qkv, dy] = inputs(shape);
        let found = on_every_unit(|| backward(shape, &dy, &qkv));
        let want = gradient(shape, &widened(&dy), &widened(&qkv));
        assert_close(&found, &want, 1e-5);
    }
}

#[test]
fn attention_gradients_are_slopes() {
    for sizes in [[1, 1, 1, 1], [1, 5, 2, 3], [2, 7, 1, 4], [1, 33, 1, 2]] {
        for shape in [shape(sizes, false), shape(sizes, true)] {
            let [qkv, dy] = inputs(shape);
            let dy_wide = widened(&dy);
            let slopes = central_differences(&widened(&qkv), |qkv| {
                let [y, _] = oracle::attention(shape, qkv);
                y.iter().zip(&dy_wide).map(|(y, dy)| y * dy).sum()
            });
            assert_close(&backward(shape, &dy, &qkv), &slopes, 5e-6);
            let oracle = gradient(shape, &dy_wide, &widened(&qkv));
            for (found, slope) in oracle.iter().zip(&slopes) {
                assert!((found - slope).abs() < 1e-8, "{found} for {slope}");
            }
        }
    }
}

#[test]
fn an_accumulated_gradient_is_the_gradient_added_to_what_was_there() {
    for shape in shapes() {
        let [qkv, dy] = inputs(shape);
        let [y, lse] = forward(shape, &qkv);
        let mut want = numbers(3, qkv.len());
        let found = on_every_unit(|| {
            let mut dqkv = want.clone();
            let mut scratch = unwritten(attention_scratch_len(shape));
            attention_backward(shape, &dy, &qkv, &y, &lse, &mut dqkv, true, &mut scratch);
            dqkv
        });
        add_assign(&mut want, &backward(shape, &dy, &qkv));
        assert_eq!(bits(&found), bits(&want), "{shape:?}");
    }
}

#[test]
fn an_example_has_the_same_bits_alone_and_in_a_batch() {
    for is_causal in [false, true] {
        let (one, three) = (shape([1, 37, 2, 12], is_causal), shape([3, 37, 2, 12], is_causal));
        let [qkv, dy] = inputs(three);
        let ([y, lse], dqkv) = (forward(three, &qkv), backward(three, &dy, &qkv));
        let (y_part, lse_part) = (y.len() / 3, lse.len() / 3);
        for example in 0..3 {
            let qkv = &qkv[example * 3 * y_part..][..3 * y_part];
            let dy = &dy[example * y_part..][..y_part];
            let alone = [forward(one, qkv).concat(), backward(one, dy, qkv)].concat();
            let within = [
                &y[example * y_part..][..y_part],
                &lse[example * lse_part..][..lse_part],
                &dqkv[example * 3 * y_part..][..3 * y_part],
            ];
            assert_eq!(bits(&alone), bits(&within.concat()));
        }
    }
}

#[test]
fn no_bit_of_a_causal_output_depends_on_a_later_position() {
    let shape = shape([1, 70, 2, 8], true);
    let [qkv, dy] = inputs(shape);
    let (width, dqkv) = (shape.heads * shape.head_width, backward(shape, &dy, &qkv));
    let [y, _] = forward(shape, &qkv);
    for (at, value) in [(1, -0.0), (20, f32::NAN), (31, 1e30), (32, f32::INFINITY), (69, f32::NAN)]
    {
        for level in simd_levels() {
            let mut changed = qkv.clone();
            changed[3 * width * at..][..3 * width].fill(value);
            let [found, _] = with_simd_level(level, || forward(shape, &changed));
            assert_eq!(bits(&found[..width * at]), bits(&y[..width * at]), "{level:?}, {at}");
            assert!(!value.is_nan() || found[width * at..].iter().all(|y| y.is_nan()));
            // Nor does the gradient of a position depend on the outputs before it.
            let mut changed = dy.clone();
            changed[..width * at].fill(value);
            let found = with_simd_level(level, || backward(shape, &changed, &qkv));
            let after = 3 * width * at..;
            assert_eq!(bits(&found[after.clone()]), bits(&dqkv[after]), "{level:?}, {at}");
        }
    }
}

#[test]
fn what_is_not_a_number_goes_everywhere_its_row_goes() {
    for shape in [shape([2, 40, 1, 8], false), shape([2, 40, 1, 8], true)] {
        let [mut qkv, dy] = inputs(shape);
        let half = qkv.len() / 2;
        qkv[half] = f32::NAN;
        let ([y, lse], dqkv) = (forward(shape, &qkv), backward(shape, &dy, &qkv));
        assert!(lse[..40].iter().chain(&y[..320]).chain(&dqkv[..half]).all(|x| x.is_finite()));
        assert!(lse[40].is_nan() && y[320..328].iter().all(|y| y.is_nan()));
        assert!(dqkv[half..][..8].iter().all(|dq| dq.is_nan()));
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let shape = shape([1, 3, 1, 1], false);
    // Scores of 1e30 and -1e30.
    let qkv = [1e15, 1e15, 1.0, 1e15, -1e15, 2.0, 1e15, -1e15, 3.0];
    let [y, lse] = forward(shape, &qkv);
    assert_eq!((y, lse), (vec![1.0; 3], vec![1e15 * 1e15; 3]));
    let dqkv = backward(shape, &[1.0; 3], &qkv);
    assert!(dqkv.iter().all(|x| x.is_finite()), "{dqkv:?}");
}

#[test]
fn scores_of_any_size_give_numbers_and_gradients_that_are_bounded() {
    for factor in [1e2, 1e4, 3e4, 1e5, 1e6] {
        let shape = shape([1, 16, 1, 4], true);
        let [mut qkv, dy] = inputs(shape);
        let values = qkv.chunks_exact_mut(12).flat_map(|row| &mut row[..8]);
        values.for_each(|x| *x *= factor);
        let [y, _] = forward(shape, &qkv);
        assert!(y.iter().all(|y| y.abs() <= 2.0), "{factor}: means of values in [-2, 2): {y:?}");
        let dqkv = backward(shape, &dy, &qkv);
        // A probability is at most 1, and so is what it passes on of `dy`, a value and a query or key.
        let bound = 16.0 * 64.0 * factor;
        assert!(dqkv.iter().all(|x| x.abs() <= bound), "{factor}: {dqkv:?}");
    }
}

#[test]
fn operations_count_the_pairs_that_attend() {
    let all = shape([2, 10, 3, 8], false);
    let causal = AttentionShape { is_causal: true, ..all };
    let rows = 60;
    assert_eq!(all.flops_forward() - rows * 34, rows * 10 * (32 + 21));
    assert_eq!(causal.flops_forward() - rows * 34, rows * 11 / 2 * (32 + 21));
    assert_eq!(all.flops_backward() - rows * 33, rows * 10 * (80 + 22));
    assert_eq!(causal.flops_backward() - rows * 33, rows * 11 / 2 * (80 + 22));
}

#[test]
#[should_panic(expected = "scratch is too short")]
fn scratch_that_is_too_short_is_refused() {
    let shape = shape([1, 3, 1, 2], false);
    attention_forward(shape, &[0.0; 18], &mut [0.0; 6], &mut [0.0; 3], &mut [0.0; 100]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_shape_agrees_with_the_oracle_on_every_unit(
        batch in 1usize..3,
        len in 1usize..80,
        heads in 1usize..4,
        head_width in 1usize..40,
        is_causal: bool,
    ) {
        let shape = shape([batch, len, heads, head_width], is_causal);
        let [qkv, dy] = inputs(shape);
        let (wide_qkv, wide_dy) = (widened(&qkv), widened(&dy));
        let found = on_every_unit(|| forward(shape, &qkv).concat());
        assert_close(&found, &oracle::attention(shape, &wide_qkv).concat(), 3e-6);
        let found = on_every_unit(|| backward(shape, &dy, &qkv));
        assert_close(&found, &gradient(shape, &wide_dy, &wide_qkv), 1e-5);
    }
}
