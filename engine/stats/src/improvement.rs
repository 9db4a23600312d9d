//! The probability that one is better than the other.

use crate::{
    bootstrap::Bootstrap,
    error::StatsError,
    interval::Interval,
    strata::{Stratum, check_strata, estimate_of},
};

/// The share of differences above zero, those of zero counted half, weighted over strata.
///
/// The probability of improvement of Agarwal et al. 2021, section 4.3, for pairs: it compares those that ran under the same
/// seed, where theirs compares each run with every other.
///
/// # Errors
///
/// Fails without strata, if one is empty, and if a difference is not finite.
pub fn improvement_share(differences: &[Stratum]) -> Result<f64, StatsError> {
    check_strata("a probability of improvement", differences, 1)?;
    Ok(estimate_of(&outcomes(differences)))
}

/// [`improvement_share`] and its bootstrap interval; it has no width where all differences have the same sign.
///
/// # Errors
///
/// As [`Bootstrap::mean`].
pub fn probability_of_improvement(
    differences: &[Stratum],
    bootstrap: &Bootstrap,
) -> Result<Interval, StatsError> {
    check_strata("a probability of improvement", differences, 2)?;
    bootstrap.mean(&outcomes(differences))
}

/// 1 for each difference above zero, 1/2 for one of zero, 0 for one below.
fn outcomes(differences: &[Stratum]) -> Vec<Stratum> {
    let outcome = |difference: &f64| match difference {
        it if *it > 0.0 => 1.0,
        it if *it == 0.0 => 0.5,
        _ => 0.0,
    };
    let of = |it: &Stratum| Stratum {
        weight: it.weight,
        values: it.values.iter().map(outcome).collect(),
    };
    differences.iter().map(of).collect()
}
