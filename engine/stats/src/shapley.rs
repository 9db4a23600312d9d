//! What each player of a game is worth: Shapley values, exact and sampled, and pairwise interaction.
//!
//! A game of `n` players is a value for each subset of them. A subset is a mask: bit `i` is set if player `i` takes part.
//! The value of the empty subset is what there is without anyone; shares of the players add up to the rest.

use std::collections::BTreeMap;

use esper_nn::rng::{Purpose, draw_below, stream_key};

use crate::{
    error::{StatsError, check_count, check_finite, check_share},
    interval::Interval,
};

/// Players of a game that is solved exactly, at most: a table has `2^n` values.
pub const EXACT_PLAYERS_MAX: usize = 16;

/// Players of a game that is sampled, at most: a mask has 64 bits.
pub const SAMPLED_PLAYERS_MAX: usize = 64;

/// How a game is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Orders in which players join; each is followed by its reverse, so that twice as many are walked.
    pub n_orders: usize,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Seed of the orders.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { n_orders: 64, confidence: 0.95, seed: 0 }
    }
}

/// Why a game has no sampled values.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError<E> {
    /// The game or the sampling is not sound.
    #[error(transparent)]
    Input(#[from] StatsError),
    /// The value of a subset can not be had.
    #[error("the value of the subset {mask:#b} can not be had: {source}")]
    Value {
        /// The subset.
        mask: u64,
        /// Why not.
        source: E,
    },
    /// The value of a subset is not a number.
    #[error("the value of the subset {mask:#b} is {value}")]
    NotFinite {
        /// The subset.
        mask: u64,
        /// The value.
        value: f64,
    },
}

/// The values of all `2^n_players` subsets in the order of their masks, as [`exact`] and [`interaction`] take them.
///
/// # Errors
///
/// Fails if there are more than [`EXACT_PLAYERS_MAX`] players.
pub fn table(n_players: usize, value: impl FnMut(u64) -> f64) -> Result<Vec<f64>, StatsError> {
    check_players(n_players, EXACT_PLAYERS_MAX, "solved exactly")?;
    Ok((0..1_u64 << n_players).map(value).collect())
}

/// The Shapley value of each player, from the values of all subsets in the order of their masks.
///
/// `phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))` (Shapley 1953, "A value for n-person
/// games"). They add up to the value of all less that of none.
///
/// # Errors
///
/// Fails if there is no value for each subset, if one is not finite, or if there are more than [`EXACT_PLAYERS_MAX`]
/// players.
pub fn exact(values: &[f64]) -> Result<Vec<f64>, StatsError> {
    let n_players = players_of(values)?;
    // |S|! (n - |S| - 1)! / n! = 1 / (n C(n - 1, |S|))
    let weight = |len: usize| 1.0 / (n_players as f64 * choose(n_players - 1, len));
    let share = |player: usize| {
        let bit = 1_usize << player;
        let gain =
            |mask: usize| weight(mask.count_ones() as usize) * (values[mask | bit] - values[mask]);
        (0..values.len()).filter(|mask| mask & bit == 0).map(gain).sum()
    };
    Ok((0..n_players).map(share).collect())
}

/// The Shapley interaction index of two players: above zero they are worth more together than apart.
///
/// `I_ij = sum over S without i and j of |S|! (n - |S| - 2)! / (n - 1)! (v(S + i + j) - v(S + i) - v(S + j) + v(S))`
/// (Grabisch and Roubens 1999, "An axiomatic approach to the concept of interaction among players in cooperative games").
///
/// # Errors
///
/// As [`exact`], and if the two are no pair of its players.
pub fn interaction(values: &[f64], first: usize, second: usize) -> Result<f64, StatsError> {
    let n_players = players_of(values)?;
    if first == second || first.max(second) >= n_players {
        return Err(StatsError::NoPair { first, second, n_players });
    }
    // |S|! (n - |S| - 2)! / (n - 1)! = 1 / ((n - 1) C(n - 2, |S|))
    let weight = |len: usize| 1.0 / ((n_players - 1) as f64 * choose(n_players - 2, len));
    let [a, b] = [first, second].map(|player| 1_usize << player);
    let gain = |mask: usize| {
        let together = values[mask | a | b] - values[mask | a] - values[mask | b] + values[mask];
        weight(mask.count_ones() as usize) * together
    };
    Ok((0..values.len()).filter(|mask| mask & (a | b) == 0).map(gain).sum())
}

/// The Shapley value of each player and its interval, from orders that are drawn: a player's gain as it joins, on average
/// over orders.
///
/// Sampling is that of Castro, Gómez and Tejada 2009, "Polynomial calculation of the Shapley value based on sampling";
/// each order is followed by its reverse, whose gains are negatively correlated with its own (Mitchell, Cooper, Frank and
/// Holmes 2022, "Sampling permutations for Shapley value estimation", section 3.1). Intervals are Student's, over pairs
/// of orders; estimates add up to the value of all less that of none. `value` is asked once a subset.
///
/// # Errors
///
/// Fails if there are more than [`SAMPLED_PLAYERS_MAX`] players, fewer than two orders, or a confidence that is none, and
/// at the first subset whose value can not be had.
pub fn sampled<E>(
    n_players: usize,
    sampling: Sampling,
    mut value: impl FnMut(u64) -> Result<f64, E>,
) -> Result<Vec<Interval>, SampleError<E>> {
    check_players(n_players, SAMPLED_PLAYERS_MAX, "sampled")?;
    check_count("a sampled Shapley value", "orders", sampling.n_orders, 2)?;
    check_share("confidence", sampling.confidence)?;
    let mut known = BTreeMap::new();
    let mut value_of = |mask: u64| match known.get(&mask) {
        Some(&value) => Ok(value),
        None => {
            let found = value(mask).map_err(|source| SampleError::Value { mask, source })?;
            if !found.is_finite() {
                return Err(SampleError::NotFinite { mask, value: found });
            }
            known.insert(mask, found);
            Ok(found)
        }
    };
    let mut gains = vec![Vec::with_capacity(sampling.n_orders); n_players];
    for at in 0..sampling.n_orders as u64 {
        let mut order: Vec<usize> = (0..n_players).collect();
        shuffle(&mut order, stream_key(sampling.seed, Purpose::Resample, at));
        let mut of_order = vec![0.0; n_players];
        for _ in 0..2 {
            let (mut mask, mut before) = (0, value_of(0)?);
            for &player in &order {
                mask |= 1 << player;
                let after = value_of(mask)?;
                of_order[player] += (after - before) / 2.0;
                before = after;
            }
            order.reverse();
        }
        gains.iter_mut().zip(of_order).for_each(|(all, gain)| all.push(gain));
    }
    Ok(gains.iter().map(|of| Interval::of_mean(of, sampling.confidence)).collect())
}

/// Shuffles: Fisher and Yates, as in Knuth, volume 2, algorithm 3.4.2P.
fn shuffle(items: &mut [usize], key: u64) {
    for last in (1..items.len()).rev() {
        items.swap(last, draw_below(key, last as u64, last as u64 + 1) as usize);
    }
}

/// The number of players of a table.
fn players_of(values: &[f64]) -> Result<usize, StatsError> {
    let len = values.len();
    if !len.is_power_of_two() {
        return Err(StatsError::TableLength { len });
    }
    let n_players = len.trailing_zeros() as usize;
    check_players(n_players, EXACT_PLAYERS_MAX, "solved exactly")?;
    check_finite("the table's", values)?;
    Ok(n_players)
}

fn check_players(found: usize, max: usize, how: &'static str) -> Result<(), StatsError> {
    if found > max { Err(StatsError::Players { found, max, how }) } else { Ok(()) }
}

/// Binomial coefficient, exact in `f64` for what is asked here.
fn choose(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}
