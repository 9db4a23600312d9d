//! Numbers drawn by key and index, with no state in between.

/// The increment of SplitMix64: the golden ratio's fraction in 64 bits, made odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers in which each can be drawn alone.
///
/// Number `i` of the stream is what the `i`-th call of SplitMix64 (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", OOPSLA 2014) returns from a state hashed from the
/// key. Nothing here needs more than a good shuffle; parameters and masks draw from Philox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    state: u64,
}

impl Keyed {
    /// The stream of a key.
    pub(super) fn new(key: [u64; 3]) -> Self {
        Self {
            state: key.into_iter().fold(0, |state, word| mix((state ^ word).wrapping_add(GAMMA))),
        }
    }

    /// The number at `index`.
    fn at(self, index: u64) -> u64 {
        mix(self.state.wrapping_add(GAMMA.wrapping_mul(index.wrapping_add(1))))
    }

    /// A number below `bound` for `index`: the high half of a 128-bit product, whose bias is below
    /// `bound / 2^64` (Lemire, "Fast random integer generation in an interval", 2019, section 3).
    fn below(self, index: u64, bound: u64) -> u64 {
        ((u128::from(self.at(index)) * u128::from(bound)) >> 64) as u64
    }

    /// Shuffles in place: Fisher and Yates, as in Knuth, volume 2, algorithm 3.4.2P.
    pub(super) fn shuffle(self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64, last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// The finalizer of SplitMix64 (variant 13 of Stafford's mixers): a bijection of 64 bits.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_splitmix64() {
        // Vigna's `splitmix64.c` from state 1234567, as used to check its many ports.
        let stream = Keyed { state: 1_234_567 };
        let known = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (index, expected) in (0..).zip(known) {
            assert_eq!(stream.at(index), expected);
        }
    }

    #[test]
    fn every_word_of_the_key_and_its_place_matter() {
        let first = |key| Keyed::new(key).at(0);
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
            Keyed::new([7, 3, key]).shuffle(&mut items);
            (0..4).for_each(|place| counts[place][items[place] as usize] += 1);
        }
        for count in counts.into_iter().flatten() {
            assert!(count.abs_diff(6_000) < 6 * 67, "{counts:?}");
        }
    }
}
