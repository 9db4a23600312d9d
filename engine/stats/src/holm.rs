//! Many tests at once.

use crate::error::{StatsError, check_finite};

/// P-values corrected for their number, in the same order: below a level, they reject with a family-wise error of at most
/// that level, however the tests depend on each other.
///
/// The `k`-th smallest of `m` is multiplied by `m - k + 1`, kept at least as large as the one before it and at most 1
/// (Holm 1979, "A simple sequentially rejective multiple test procedure"; equal to R's `p.adjust(p, "holm")`).
///
/// # Errors
///
/// Fails if one is not between 0 and 1.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, StatsError> {
    check_finite("p-value", p_values)?;
    if let Some(&value) = p_values.iter().find(|it| !(0.0..=1.0).contains(*it)) {
        return Err(StatsError::Range { what: "a p-value", value, range: "from 0 to 1" });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut least = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max(p_values[index] * (p_values.len() - rank) as f64).min(1.0);
        corrected[index] = least;
    }
    Ok(corrected)
}
