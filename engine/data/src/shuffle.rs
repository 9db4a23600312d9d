//! A fixed permutation of positions: the same examples without their neighbourhoods.

use std::sync::Arc;

use esper_nn::rng::{Purpose, permutation, stream_key};

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
        let key = stream_key(seed, Purpose::ShufflePositions, 0);
        let order = permutation(key, n_positions);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{DataConfig, dataset::Features, load};

    #[test]
    fn every_example_is_permuted_in_the_same_way_and_keeps_its_values() {
        let config = DataConfig::new("digits");
        let plain = load(&config, Path::new(".")).unwrap();
        let shuffled = DataConfig { shuffle_positions: Some(5), ..config };
        let shuffled = load(&shuffled, Path::new(".")).unwrap();
        let parts = [(&plain.train, &shuffled.train), (&plain.test, &shuffled.test)];
        let columns = parts.map(|(plain, shuffled)| {
            let [Features::Dense(plain), Features::Dense(shuffled)] =
                [&plain.features, &shuffled.features]
            else {
                panic!("images are dense")
            };
            assert_ne!(plain, shuffled);
            // Where each position of the first examples went: a column is told by its values.
            let column = |values: &[f32], at: usize| -> Vec<u32> {
                (0..200).map(|row| values[64 * row + at].to_bits()).collect()
            };
            let sorted = |values: &[f32]| {
                let mut columns: Vec<_> = (0..64).map(|at| column(values, at)).collect();
                columns.sort();
                columns
            };
            assert_eq!(sorted(plain), sorted(shuffled), "columns move whole");
            let find = |to: usize| {
                (0..64).filter(|from| column(plain, *from) == column(shuffled, to)).collect()
            };
            (0..64).map(find).collect::<Vec<Vec<usize>>>()
        });
        let agree =
            columns[0].iter().zip(&columns[1]).all(|(a, b)| a.iter().any(|it| b.contains(it)));
        assert!(agree, "train and test are permuted in the same way");
    }
}
