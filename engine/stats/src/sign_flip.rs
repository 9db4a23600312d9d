//! Whether differences of pairs could as well have had the other sign.

use esper_nn::rng::{Purpose, draw_below, stream_key};
use serde::{Deserialize, Serialize};

use crate::{
    error::{StatsError, check_count},
    strata::{Stratum, check_strata, estimate_of},
};

/// Pairs up to which every choice of signs is tried.
const EXACT_PAIRS_MAX: usize = 14;

/// The stream of signs; strata of a bootstrap count from zero.
const SIGNS: u64 = u64::MAX;

/// Estimates that differ by rounding are equal: relative to the sum of what they are made of.
const ROUNDING: f64 = 1e-12;

/// The paired sign-flip test.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct SignFlip {
    /// Choices of signs that are drawn where there are too many to try all.
    pub n_draws: usize,
    /// Seed of what is drawn.
    pub seed: u64,
}

impl Default for SignFlip {
    fn default() -> Self {
        Self { n_draws: 10_000, seed: 0 }
    }
}

impl SignFlip {
    /// The two-sided p-value of the weighted mean difference, if under the null each difference is symmetric around zero.
    ///
    /// Fisher 1935, "The design of experiments", section 21: the share of choices of signs that give an estimate at least
    /// as far from zero. Exact with up to 14 differences; with more, `(1 + hits) / (1 + draws)` (Phipson and Smyth 2010,
    /// "Permutation p-values should never be zero"). Unlike Student's test it does not take a few differences that happen
    /// to be equal for certainty: `n` pairs give no less than `2^(1 - n)`.
    ///
    /// # Errors
    ///
    /// Fails without differences, if one is not finite, and if nothing would be drawn.
    pub fn p_value(&self, differences: &[Stratum]) -> Result<f64, StatsError> {
        check_strata("a sign-flip test", differences, 1)?;
        check_count("a sign-flip test", "draws", self.n_draws, 1)?;
        let share = |it: &Stratum| it.weight / it.values.len() as f64;
        let parts: Vec<f64> = differences
            .iter()
            .flat_map(|it| it.values.iter().map(move |value| value * share(it)))
            .collect();
        let room = ROUNDING * parts.iter().map(|it| it.abs()).sum::<f64>();
        let observed = estimate_of(differences).abs() - room;
        if parts.len() <= EXACT_PAIRS_MAX {
            let n_choices = 1_u64 << parts.len();
            let hits = (0..n_choices).filter(|signs| flipped(&parts, *signs).abs() >= observed);
            return Ok(hits.count() as f64 / n_choices as f64);
        }
        let key = stream_key(self.seed, Purpose::Resample, SIGNS);
        let n_words = parts.len().div_ceil(SIGNS_PER_WORD) as u64;
        let drawn = |draw: u64| -> f64 {
            let words = (draw * n_words..).map(|step| draw_below(key, step, 1 << SIGNS_PER_WORD));
            parts
                .chunks(SIGNS_PER_WORD)
                .zip(words)
                .map(|(parts, signs)| flipped(parts, signs))
                .sum()
        };
        let hits = (0..self.n_draws as u64).filter(|draw| drawn(*draw).abs() >= observed).count();
        Ok((1 + hits) as f64 / (1 + self.n_draws) as f64)
    }
}

/// Signs that one draw gives.
const SIGNS_PER_WORD: usize = 32;

/// The sum of `parts`, those negated whose bit is set.
fn flipped(parts: &[f64], signs: u64) -> f64 {
    parts.iter().enumerate().map(|(i, it)| if signs >> i & 1 == 1 { -it } else { *it }).sum()
}
