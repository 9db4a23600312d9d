//! The normal distribution.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::error::{StatsError, check_share};

/// The number below which a standard normal variable lies with probability `share`.
///
/// # Errors
///
/// Fails if `share` is not above 0 and below 1.
pub fn normal_quantile(share: f64) -> Result<f64, StatsError> {
    check_share("a probability", share)?;
    Ok(Normal::standard().inverse_cdf(share))
}

/// The probability that a standard normal variable lies below `value`.
pub fn normal_cdf(value: f64) -> f64 {
    Normal::standard().cdf(value)
}
