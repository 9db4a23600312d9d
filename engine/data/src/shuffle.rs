//! A fixed permutation of positions: the same examples without their neighbourhoods.

use std::sync::Arc;

use esper_nn::rng::{Purpose, draw_below, stream_key};

use super::{Dataset, dataset::Features};

/// `part` with the positions of every example permuted as `seed` says, the channels of a position together; text and
/// anything else without dense features stays as it is.
///
/// An example of shape `[channels, height, width]` has `height * width` positions, a vector as many as elements.
pub(super) fn shuffle_positions(mut part: Dataset, seed: u64) -> Dataset {
    let n_positions = match part.example_shape[..] {
        [_, height, width] => height * width,
        _ => part.elems(),
    };
    if let Features::Dense(features) = &mut part.features {
        let order = permutation(n_positions, seed);
        let mut before = vec![0.0; n_positions];
        for positions in Arc::make_mut(features).chunks_exact_mut(n_positions) {
            before.copy_from_slice(positions);
            for (to, from) in positions.iter_mut().zip(&order) {
                *to = before[*from];
            }
        }
    }
    part
}

/// A permutation of `0..n` (Fisher and Yates 1938).
fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let key = stream_key(seed, Purpose::ShufflePositions, 0);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, draw_below(key, last as u64, last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_has_every_position_once_and_hangs_on_its_seed() {
        let order = permutation(40, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
        assert_ne!(order, sorted, "it moves something");
        assert_eq!(order, permutation(40, 3));
        assert_ne!(order, permutation(40, 4));
    }
}
