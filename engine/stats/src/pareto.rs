//! Which points no other point is better than.

use serde::{Deserialize, Serialize};

use crate::error::{StatsError, check_finite};

/// What something costs and how good it is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Less is better.
    pub cost: f64,
    /// More is better.
    pub score: f64,
}

/// Whether each point is on the Pareto front: no other costs at most as much and scores at least as high, one of them
/// strictly. Equal points are on it together.
///
/// # Errors
///
/// Fails if a number is not finite.
pub fn pareto(points: &[Point]) -> Result<Vec<bool>, StatsError> {
    for Point { cost, score } in points {
        check_finite("a point's", &[*cost, *score])?;
    }
    let dominates =
        |it: &Point, other: &Point| it.cost <= other.cost && it.score >= other.score && it != other;
    Ok(points.iter().map(|it| !points.iter().any(|other| dominates(other, it))).collect())
}
