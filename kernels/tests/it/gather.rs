//! Batches of rows and of windows of a text.

use super::{bits, numbers, unwritten};
use esper_kernels::cpu::{gather_rows, gather_windows};
use esper_kernels::oracle;
use proptest::prelude::*;

proptest! {
    #[test]
    fn rows_are_those_that_the_indices_name(
        rows in 1_usize..9, width in 0_usize..40, picks in prop::collection::vec(any::<u32>(), 0..9),
    ) {
        let x = numbers(1, rows * width);
        let indices: Vec<u32> = picks.iter().map(|pick| pick % rows as u32).collect();
        let mut y = unwritten(indices.len() * width);
        gather_rows(width, &x, &indices, &mut y);
        prop_assert_eq!(bits(&y), bits(&oracle::gather_rows(width, &x, &indices)));
    }

    #[test]
    fn windows_lie_end_to_end_and_are_shifted_alike(
        n_windows in 1_usize..9, context in 1_usize..9, shift in 0_usize..9,
        picks in prop::collection::vec(any::<u32>(), 0..9),
    ) {
        let tokens: Vec<u32> = (0..(n_windows * context + shift) as u32).collect();
        let indices: Vec<u32> = picks.iter().map(|pick| pick % n_windows as u32).collect();
        let mut y = vec![u32::MAX; indices.len() * context];
        gather_windows(context, shift, &tokens, &indices, &mut y);
        prop_assert_eq!(&y, &oracle::gather_windows(context, shift, &tokens, &indices));
        for (window, index) in y.chunks_exact(context).zip(&indices) {
            prop_assert_eq!(window[0] as usize, *index as usize * context + shift);
        }
    }
}

#[test]
#[should_panic(expected = "out of range")]
fn a_row_that_is_not_there_is_refused() {
    gather_rows(2, &[0.0; 6], &[0, 3], &mut [0.0; 4]);
}

#[test]
#[should_panic(expected = "one row for each index")]
fn a_batch_of_another_length_is_refused() {
    gather_windows(2, 0, &[0; 6], &[0, 2], &mut [0; 5]);
}
