//! Whether a difference is small enough to be none.

use serde::{Deserialize, Serialize};
use statrs::distribution::ContinuousCDF;

use crate::{
    error::{StatsError, check_share},
    interval::{Interval, student},
    strata::{Moments, Stratum},
};

/// Whether a difference is within a margin.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Equivalence {
    /// The margin on both sides of zero.
    pub margin: f64,
    /// The larger of the two p-values: below the level, the difference is within the margin.
    pub p: f64,
    /// The estimate and its interval at confidence `1 - 2 level`, which lies within the margin just when the test holds.
    pub interval: Interval,
    /// Whether it holds at the level.
    pub is_equivalent: bool,
}

/// Two one-sided t-tests at `level`: is the weighted mean difference above `-margin`, and is it below `margin`?
///
/// Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for assessing the
/// equivalence of average bioavailability". Over several strata degrees of freedom are Satterthwaite's.
///
/// # Errors
///
/// Fails if a stratum has fewer than two differences, one is not finite, the margin is not above zero, or the level is
/// not above 0 and below 1/2.
pub fn equivalence(
    differences: &[Stratum],
    margin: f64,
    level: f64,
) -> Result<Equivalence, StatsError> {
    check_share("level", level)?;
    if level >= 0.5 {
        return Err(StatsError::Range { what: "level", value: level, range: "below 1/2" });
    }
    let is_margin = margin.is_finite() && margin > 0.0;
    if !is_margin {
        let range = "above 0 and finite";
        return Err(StatsError::Range { what: "margin", value: margin, range });
    }
    let Moments { estimate, error, freedom, .. } =
        Moments::of("a test of equivalence", differences)?;
    let t = student(freedom);
    // Without any spread the test is whether the estimate lies within.
    let p_beyond = |room: f64| match error {
        0.0 => f64::from(room <= 0.0),
        error => t.sf(room / error),
    };
    let p = p_beyond(margin - estimate).max(p_beyond(estimate + margin));
    let half = t.inverse_cdf(1.0 - level) * error;
    let interval = Interval { estimate, low: estimate - half, high: estimate + half };
    Ok(Equivalence { margin, p, interval, is_equivalent: p < level })
}
