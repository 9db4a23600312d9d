//! Values in strata: runs of several tasks, of which each has its share in the whole.

use crate::{
    error::{StatsError, check_count, check_finite},
    summary::{mean_of, variance_of},
};

/// The values of a task and its weight: what is estimated is the sum of `weight * mean` over strata.
#[derive(Clone, Debug, PartialEq)]
pub struct Stratum {
    /// The factor of its mean.
    pub weight: f64,
    /// Its values: differences of pairs, or scores.
    pub values: Vec<f64>,
}

impl Stratum {
    /// One task.
    pub fn single(values: Vec<f64>) -> Vec<Self> {
        vec![Self { weight: 1.0, values }]
    }

    /// Tasks that count the same, however many values each has.
    pub fn equal(tasks: Vec<Vec<f64>>) -> Vec<Self> {
        let weight = 1.0 / tasks.len() as f64;
        tasks.into_iter().map(|values| Self { weight, values }).collect()
    }

    /// The difference of two means whose values are no pairs: `mean(left) - mean(right)`.
    pub fn unpaired(left: Vec<f64>, right: Vec<f64>) -> Vec<Self> {
        vec![Self { weight: 1.0, values: left }, Self { weight: -1.0, values: right }]
    }
}

/// What each pair differs by: `left - right`.
///
/// # Errors
///
/// Fails if the two are not of one length.
pub fn paired_differences(left: &[f64], right: &[f64]) -> Result<Vec<f64>, StatsError> {
    if left.len() != right.len() {
        return Err(StatsError::Unpaired { left: left.len(), right: right.len() });
    }
    Ok(left.iter().zip(right).map(|(left, right)| left - right).collect())
}

/// The estimate, how exact it is, and by how many degrees of freedom that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// The sum of `weight * mean`.
    pub estimate: f64,
    /// Its standard error, `sqrt(sum of weight^2 s^2 / n)`.
    pub error: f64,
    /// The same with `s^2` by `n` and not by `n - 1`: the spread of what a bootstrap draws.
    pub plug_in_error: f64,
    /// Degrees of freedom of `error` (Satterthwaite 1946, "An approximate distribution of estimates of variance
    /// components"; of one stratum `n - 1`).
    pub freedom: f64,
}

impl Moments {
    /// Those of `strata`, of which each has at least two finite values.
    pub fn of(what: &'static str, strata: &[Stratum]) -> Result<Self, StatsError> {
        check_strata(what, strata, 2)?;
        let (mut variance, mut plug_in, mut spread) = (0.0, 0.0, 0.0);
        for Stratum { weight, values } in strata {
            let n = values.len() as f64;
            let share = weight.powi(2) * variance_of(values) / n;
            variance += share;
            plug_in += share * (n - 1.0) / n;
            spread += share.powi(2) / (n - 1.0);
        }
        let fewest = strata.iter().map(|it| it.values.len() - 1).sum::<usize>() as f64;
        let freedom = if spread > 0.0 { variance.powi(2) / spread } else { fewest };
        Ok(Self {
            estimate: estimate_of(strata),
            error: variance.sqrt(),
            plug_in_error: plug_in.sqrt(),
            freedom: freedom.max(1.0),
        })
    }
}

/// The sum of `weight * mean` of strata that are not empty.
pub fn estimate_of(strata: &[Stratum]) -> f64 {
    strata.iter().map(|it| it.weight * mean_of(&it.values)).sum()
}

/// Refuses strata of fewer than `needed` values, values that are not finite, and none at all.
pub fn check_strata(
    what: &'static str,
    strata: &[Stratum],
    needed: usize,
) -> Result<(), StatsError> {
    check_count(what, "tasks", strata.len(), 1)?;
    for Stratum { weight, values } in strata {
        check_count(what, "values a task", values.len(), needed)?;
        check_finite("value", values)?;
        check_finite("weight", &[*weight])?;
    }
    Ok(())
}
