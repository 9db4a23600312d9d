//! Integers drawn by key and index, with no state in between: SplitMix64, and bounded draws.
//!
//! Good for shuffles and for keys; parameters and masks draw from [`philox`](crate::philox).

/// The increment of SplitMix64: the golden ratio's fraction in 64 bits, made odd.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64, a bijection of 64 bits: variant 13 of Stafford's mixers.
pub const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A hash of `words`, in their order: each is mixed into what came before.
pub const fn hash_words(words: &[u64]) -> u64 {
    let (mut state, mut at) = (0_u64, 0);
    while at < words.len() {
        state = mix((state ^ words[at]).wrapping_add(GAMMA));
        at += 1;
    }
    state
}

/// A sequence of random numbers in which each can be drawn alone.
///
/// Number `i` is what the `i`-th call of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
/// pseudorandom number generators", figure 16) returns, from zero on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The sequence that begins in `state`.
    pub const fn new(state: u64) -> Self {
        Self { state }
    }

    /// The sequence of a key, by [`hash_words`].
    pub const fn keyed(key: &[u64]) -> Self {
        Self { state: hash_words(key) }
    }

    /// The number at `index`.
    pub const fn at(self, index: u64) -> u64 {
        mix(self.state.wrapping_add(GAMMA.wrapping_mul(index.wrapping_add(1))))
    }

    /// Shuffles in place: Fisher and Yates, as in Knuth, volume 2, algorithm 3.4.2P.
    pub fn shuffle<T>(self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = below_u64(self.at(last as u64), last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// A number below `bound` from 64 random bits: the high half of a product, whose bias is below
/// `bound / 2^64` (Lemire 2019, "Fast random integer generation in an interval", section 3).
pub const fn below_u64(word: u64, bound: u64) -> u64 {
    ((word as u128 * bound as u128) >> 64) as u64
}

/// A number below `bound` from 32 random bits, as [`below_u64`]; its bias is below `bound / 2^32`.
pub const fn below_u32(word: u32, bound: u32) -> u32 {
    ((word as u64 * bound as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64() {
        // Vigna's `splitmix64.c` from state 1234567, as used to check its many ports.
        let sequence = SplitMix64::new(1_234_567);
        let known = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (index, expected) in (0..).zip(known) {
            assert_eq!(sequence.at(index), expected);
        }
    }

    #[test]
    fn every_word_of_a_key_and_its_place_matter() {
        let first = |key: [u64; 3]| SplitMix64::keyed(&key).at(0);
        let mut all = vec![first([0, 0, 0]), first([1, 0, 0]), first([0, 1, 0]), first([0, 0, 1])];
        all.extend([first([1, 1, 0]), first([2, 1, 0]), first([1, 2, 0]), first([GAMMA, 0, 0])]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn every_item_is_as_likely_at_every_place() {
        // 24,000 shuffles of 4: 6,000 expected in each of 16 cells, standard deviation 67.
        let mut counts = [[0_u32; 4]; 4];
        for key in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            SplitMix64::keyed(&[7, 3, key]).shuffle(&mut items);
            (0..4).for_each(|place| counts[place][items[place]] += 1);
        }
        for count in counts.into_iter().flatten() {
            assert!(count.abs_diff(6_000) < 6 * 67, "{counts:?}");
        }
    }

    #[test]
    fn bounded_draws_divide_the_words_evenly() {
        for (word, want) in [(0, 0), (0x3fff_ffff, 0), (0x4000_0000, 1), (u32::MAX, 3)] {
            assert_eq!(below_u32(word, 4), want);
            assert_eq!(below_u64(u64::from(word) << 32, 4), u64::from(want));
        }
        assert_eq!(below_u64(u64::MAX, u64::MAX), u64::MAX - 1);
        assert_eq!(below_u32(u32::MAX, u32::MAX), u32::MAX - 1);
    }
}
