//! Random streams: counter-based, keyed by what they are for, so no draw depends on another's order.

use esper_kernels::{
    philox::Philox,
    random::{below_u64, hash_words},
};
use serde::{Deserialize, Serialize};

/// What a random stream is for; part of its key.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u64)]
pub enum Purpose {
    /// Initial parameters of a host.
    HostInit = 1,
    /// Initial parameters of a seed's module.
    SeedInit = 2,
    /// The order of training examples.
    Order = 3,
    /// Dropout masks of a host.
    Dropout = 4,
    /// Dropout masks of a seed's module.
    SeedDropout = 5,
    /// A policy's choices.
    Policy = 6,
    /// Inputs and perturbations of validation.
    Probe = 7,
    /// How training images are flipped, cropped and cut out.
    Augment = 8,
    /// Where the windows of a text begin.
    Cut = 9,
    /// How the positions of examples are permuted.
    ShufflePositions = 10,
    /// Draws of statistics: resampled pairs, flipped signs, orders of players.
    Resample = 11,
    /// Noise added to examples.
    Noise = 12,
}

/// The key of the stream (`run_seed`, `purpose`, `id`).
pub const fn stream_key(run_seed: u64, purpose: Purpose, id: u64) -> u64 {
    hash_words(&[run_seed, purpose as u64, id])
}

/// Draw number `step` of the stream `key`: a uniform integer below `bound`.
pub fn draw_below(key: u64, step: u64, bound: u64) -> u64 {
    let block = Philox::new(key).block([step as u32, (step >> 32) as u32, 0, 0]);
    let word = u64::from(block[0]) | (u64::from(block[1]) << 32);
    below_u64(word, bound)
}

/// Draw number `step` of the stream `key`: a uniform number in `[0, 1)`.
pub fn draw_unit(key: u64, step: u64) -> f64 {
    draw_below(key, step, 1 << 53) as f64 / (1_u64 << 53) as f64
}

/// The permutation of `0..n` of the stream `key` (Fisher and Yates 1938).
pub fn permutation(key: u64, n: usize) -> Vec<usize> {
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
    fn every_part_of_a_key_matters() {
        let key = stream_key(1, Purpose::Order, 2);
        assert_ne!(key, stream_key(2, Purpose::Order, 2));
        assert_ne!(key, stream_key(1, Purpose::Dropout, 2));
        assert_ne!(key, stream_key(1, Purpose::Order, 3));
        assert_eq!(key, stream_key(1, Purpose::Order, 2));
    }

    #[test]
    fn a_permutation_has_every_place_once_and_hangs_on_its_key() {
        let order = permutation(3, 40);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
        assert_ne!(order, sorted, "it moves something");
        assert_eq!(order, permutation(3, 40));
        assert_ne!(order, permutation(4, 40));
    }

    #[test]
    fn draws_stay_below_their_bound_and_reach_all_of_it() {
        let mut seen = [0_u32; 7];
        (0..7000).for_each(|step| seen[draw_below(9, step, 7) as usize] += 1);
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert!((0..1000).all(|step| (0.0..1.0).contains(&draw_unit(9, step))));
    }
}
