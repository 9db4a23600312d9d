//! Counter-based random numbers: any block of a stream, in any order, on any thread.
//!
//! Philox 4x32 with 10 rounds (Salmon, Moraes, Dror and Shaw 2011, "Parallel Random Numbers: As Easy
//! as 1, 2, 3", section 3.3 and table 2): a block is a keyed bijection of its counter.

/// Philox4x32-10 under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The generator of a key, whose low word comes first.
    pub const fn new(key: u64) -> Self {
        Self { key: [key as u32, (key >> 32) as u32] }
    }

    /// The four random words of a counter.
    pub const fn block(self, counter: [u32; 4]) -> [u32; 4] {
        let (mut words, mut key) = (counter, self.key);
        let mut round = 0;
        while round < ROUNDS {
            let even = MULTIPLIERS[0] as u64 * words[0] as u64;
            let odd = MULTIPLIERS[1] as u64 * words[2] as u64;
            words = [
                (odd >> 32) as u32 ^ words[1] ^ key[0],
                odd as u32,
                (even >> 32) as u32 ^ words[3] ^ key[1],
                even as u32,
            ];
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
            round += 1;
        }
        words
    }
}

/// A number in `[0, 1)` of 24 random bits, the highest of `bits`: every value is exact in `f32`.
pub const fn uniform_f32(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

pub(crate) const ROUNDS: u32 = 10;
/// Philox multipliers for words 0 and 2.
pub(crate) const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Key increments: the golden ratio and `sqrt(3) - 1`.
pub(crate) const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

#[cfg(test)]
mod tests {
    use super::*;

    /// `kat_vectors` of Random123 1.14, lines `philox 4x32 10`.
    #[test]
    fn philox_reproduces_the_known_answers_of_random123() {
        let key = |low: u64, high: u64| low | high << 32;
        let cases = [
            (key(0, 0), [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (u64::MAX, [u32::MAX; 4], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                key(0xa409_3822, 0x299f_31d0),
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (key, counter, words) in cases {
            assert_eq!(Philox::new(key).block(counter), words);
        }
    }

    #[test]
    fn uniform_numbers_span_zero_to_below_one() {
        assert_eq!(uniform_f32(0), 0.0);
        assert_eq!(uniform_f32(u32::MAX), 1.0 - f32::EPSILON / 2.0);
    }
}
