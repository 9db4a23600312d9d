//! A sample in one number.

use crate::error::{StatsError, check_count, check_finite};

/// The mean.
///
/// # Errors
///
/// Fails without values, and if one is not finite.
pub fn mean(values: &[f64]) -> Result<f64, StatsError> {
    check_count("a mean", "values", values.len(), 1)?;
    check_finite("value", values)?;
    Ok(mean_of(values))
}

/// The mean of the middle half: a quarter of the values, rounded down, is left out at each end.
///
/// Agarwal, Schwarzer, Castro, Courville and Bellemare 2021, "Deep reinforcement learning at the edge of the statistical
/// precipice", section 4.3; over several tasks it is taken of all their runs together. Equal to SciPy's
/// `trim_mean(values, 0.25)`.
///
/// # Errors
///
/// Fails without values, and if one is not finite.
pub fn interquartile_mean(values: &[f64]) -> Result<f64, StatsError> {
    check_count("an interquartile mean", "values", values.len(), 1)?;
    check_finite("value", values)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n_cut = values.len() / 4;
    Ok(mean_of(&sorted[n_cut..values.len() - n_cut]))
}

/// The sample standard deviation, by `n - 1`.
///
/// # Errors
///
/// Fails with fewer than two values, and if one is not finite.
pub fn standard_deviation(values: &[f64]) -> Result<f64, StatsError> {
    check_count("a standard deviation", "values", values.len(), 2)?;
    check_finite("value", values)?;
    Ok(variance_of(values).sqrt())
}

/// The mean of at least one value.
pub fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The unbiased variance of at least two values; exactly zero if they are all the same.
pub fn variance_of(values: &[f64]) -> f64 {
    // The mean of equal values may differ from them in its last bit, which would be a spread that is not there.
    if values.iter().all(|value| *value == values[0]) {
        return 0.0;
    }
    let mean = mean_of(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}
