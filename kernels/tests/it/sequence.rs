//! Embeddings, patches, means over positions and runs of columns.

use super::{bits, numbers, on_every_unit, unwritten};
use esper_kernels::cpu::{
    PatchShape, add_assign, copy_columns, embedding_forward, embedding_grad, mean_positions,
    mean_positions_grad, patches_forward, patches_grad, take_columns,
};
use esper_kernels::oracle;

/// Runs a gradient of `len` values anew and on top of others, and asserts that the second is the first
/// added to them; gives the first.
fn both_ways(len: usize, gradient: impl Fn(&mut [f32], bool)) -> Vec<f32> {
    let run = |start: &[f32], accumulate: bool| {
        on_every_unit(|| {
            let mut out = start.to_vec();
            gradient(&mut out, accumulate);
            out
        })
    };
    let (fresh, mut want) = (run(&unwritten(len), false), numbers(9, len));
    let added = run(&want, true);
    add_assign(&mut want, &fresh);
    assert_eq!(bits(&added), bits(&want));
    fresh
}

fn tokens(rows: usize, vocab: usize) -> Vec<u32> {
    (0..rows).map(|row| (row * row % vocab) as u32).collect()
}

#[test]
fn an_embedding_reads_the_row_of_each_token() {
    for (rows, vocab, width) in [(0, 3, 4), (1, 1, 1), (5, 3, 7), (40, 11, 33), (9, 5, 64)] {
        let (tokens, w) = (tokens(rows, vocab), numbers(1, vocab * width));
        let found = on_every_unit(|| {
            let mut y = unwritten(rows * width);
            embedding_forward(width, &tokens, &w, &mut y);
            y
        });
        assert_eq!(bits(&found), bits(&oracle::embedding(width, &tokens, &w)));
    }
}

#[test]
fn the_gradient_of_an_embedding_is_one_chain_a_row_which_may_go_on() {
    for (rows, vocab, width) in [(0, 3, 4), (1, 1, 1), (5, 3, 7), (40, 11, 33), (9, 5, 64)] {
        let (tokens, dy) = (tokens(rows, vocab), numbers(2, rows * width));
        let before = numbers(3, vocab * width);
        for (start, accumulate) in [(vec![0.0; before.len()], false), (before, true)] {
            let found = on_every_unit(|| {
                let mut dw = if accumulate { start.clone() } else { unwritten(start.len()) };
                embedding_grad(width, &tokens, &dy, &mut dw, accumulate);
                dw
            });
            let want = oracle::embedding_grad(width, &tokens, &dy, &start);
            assert_eq!(bits(&found), bits(&want));
        }
    }
}

#[test]
fn tokens_that_name_no_row_are_refused() {
    for token in [2, 3, 0x4000_0000, u32::MAX] {
        let read = || embedding_forward(1, &[token], &[1.0, 2.0], &mut [0.0]);
        assert!(std::panic::catch_unwind(read).is_err(), "{token}");
        let write = || embedding_grad(1, &[token], &[1.0], &mut [0.0; 2], false);
        assert!(std::panic::catch_unwind(write).is_err(), "{token}");
    }
}

#[test]
fn patches_are_cut_row_after_row_and_their_gradient_put_back() {
    for [batch, channels, height, width, patch] in [
        [0, 3, 8, 8, 4],
        [1, 1, 1, 1, 1],
        [2, 3, 8, 8, 4],
        [2, 1, 6, 9, 3],
        [1, 2, 7, 5, 2],
        [1, 1, 34, 17, 17],
        [1, 2, 3, 3, 4],
    ] {
        let shape = PatchShape { batch, channels, height, width, patch };
        let x = numbers(1, batch * channels * height * width);
        let y_len = batch * shape.n_patches() * shape.patch_len();
        let found = on_every_unit(|| {
            let mut y = unwritten(y_len);
            patches_forward(shape, &x, &mut y);
            y
        });
        assert_eq!(bits(&found), bits(&oracle::patches(shape, &x)), "{shape:?}");
        let dy = numbers(2, y_len);
        let dx = both_ways(x.len(), |dx, accumulate| patches_grad(shape, &dy, dx, accumulate));
        assert_eq!(bits(&dx), bits(&oracle::patches_grad(shape, &dy)), "{shape:?}");
    }
}

#[test]
fn a_patch_embedding_is_a_strided_convolution() {
    let shape = PatchShape { batch: 1, channels: 2, height: 4, width: 6, patch: 2 };
    let (x, w) = (numbers(1, 48), numbers(2, 8));
    let mut rows = unwritten(48);
    patches_forward(shape, &x, &mut rows);
    let convolved = |top: usize, left: usize| {
        let mut sum = 0.0f32;
        for channel in 0..2 {
            for row in 0..2 {
                for column in 0..2 {
                    let x = x[(channel * 4 + 2 * top + row) * 6 + 2 * left + column];
                    sum = w[(channel * 2 + row) * 2 + column].mul_add(x, sum);
                }
            }
        }
        sum
    };
    let want: Vec<f32> = (0..6).map(|at| convolved(at / 3, at % 3)).collect();
    assert_eq!(oracle::matmul(6, 1, 8, &rows, &w), want);
}

#[test]
fn a_mean_over_positions_and_its_gradient_are_bit_equal_to_the_plain_loop() {
    for (batch, len, width) in [(0, 4, 3), (1, 1, 1), (2, 7, 5), (3, 17, 33), (2, 64, 16)] {
        let x = numbers(1, batch * len * width);
        let found = on_every_unit(|| {
            let mut y = unwritten(batch * width);
            mean_positions(batch, len, width, &x, &mut y);
            y
        });
        assert_eq!(bits(&found), bits(&oracle::mean_positions(len, width, &x)));
        let dy = numbers(2, batch * width);
        let dx = both_ways(x.len(), |dx, accumulate| {
            mean_positions_grad(batch, len, width, &dy, dx, accumulate);
        });
        assert_eq!(bits(&dx), bits(&oracle::mean_positions_grad(len, width, &dy)));
    }
}

#[test]
fn columns_are_copied_into_their_place_and_taken_from_it() {
    for [rows, narrow, wide, at] in
        [[0, 2, 3, 1], [1, 1, 1, 0], [3, 7, 20, 13], [5, 33, 64, 0], [2, 0, 4, 4], [2, 16, 33, 8]]
    {
        let (x, y) = (numbers(1, rows * narrow), numbers(2, rows * wide));
        let found = on_every_unit(|| {
            let mut y = y.clone();
            copy_columns(rows, narrow, wide, at, &x, &mut y);
            y
        });
        assert_eq!(bits(&found), bits(&oracle::copy_columns(narrow, wide, at, &x, &y)));
        let dx = both_ways(x.len(), |dx, accumulate| {
            take_columns(rows, wide, at, narrow, &y, dx, accumulate);
        });
        assert_eq!(bits(&dx), bits(&oracle::take_columns(wide, at, narrow, &y)));
    }
}
