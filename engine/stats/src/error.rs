//! Why there is no figure.

/// Why there is no figure.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// Too few numbers.
    #[error("{what} needs at least {needed} {of}, and there are {found}; run more")]
    TooFew {
        /// What was asked for.
        what: &'static str,
        /// How many it takes.
        needed: usize,
        /// Of what.
        of: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A number is not one.
    #[error("{what} number {index} is {value}; leave out what failed")]
    NotFinite {
        /// Whose number.
        what: &'static str,
        /// Which, from zero.
        index: usize,
        /// The number.
        value: f64,
    },
    /// A setting is outside its range.
    #[error("{what} is {value}; it has to be {range}")]
    Range {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// The two sides of pairs differ in length.
    #[error("pairs have two sides of one length, and these have {left} and {right}")]
    Unpaired {
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// A table of subsets has no power of two as its length.
    #[error("a table of subsets has 2^n values, one a subset, and this has {len}")]
    TableLength {
        /// Its length.
        len: usize,
    },
    /// More players than a subset can say.
    #[error("{found} players; at most {max} can be {how}")]
    Players {
        /// How many.
        found: usize,
        /// The most.
        max: usize,
        /// What is done with them.
        how: &'static str,
    },
    /// A pair of players that is none.
    #[error("players {first} and {second} are no pair of {n_players}")]
    NoPair {
        /// The first.
        first: usize,
        /// The second.
        second: usize,
        /// How many there are.
        n_players: usize,
    },
}

/// Refuses numbers that are not finite.
pub fn check_finite(what: &'static str, values: &[f64]) -> Result<(), StatsError> {
    match values.iter().position(|it| !it.is_finite()) {
        Some(index) => Err(StatsError::NotFinite { what, index, value: values[index] }),
        None => Ok(()),
    }
}

/// Refuses fewer than `needed`.
pub fn check_count(
    what: &'static str,
    of: &'static str,
    found: usize,
    needed: usize,
) -> Result<(), StatsError> {
    if found < needed { Err(StatsError::TooFew { what, needed, of, found }) } else { Ok(()) }
}

/// Refuses a share that is not strictly between zero and one.
pub fn check_share(what: &'static str, value: f64) -> Result<(), StatsError> {
    let is_share = value > 0.0 && value < 1.0;
    if is_share {
        Ok(())
    } else {
        Err(StatsError::Range { what, value, range: "above 0 and below 1" })
    }
}
