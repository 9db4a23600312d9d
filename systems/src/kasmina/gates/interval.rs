//! The twin test: paired differences of per-example losses, and their interval.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean and the interval around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean difference.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Pairs.
    pub n: usize,
}

/// The mean of `baseline - candidate` over examples and its two-sided interval at `confidence`.
///
/// Student's paired interval: `mean +- t(n - 1, (1 + confidence) / 2) s / sqrt(n)` (Student 1908). Above zero, the
/// candidate's loss is lower. Fewer than two pairs give an interval without bounds.
///
/// # Panics
///
/// If the two are not over the same examples.
pub fn paired_interval<T: Copy + Into<f64>>(
    baseline: &[T],
    candidate: &[T],
    confidence: f64,
) -> Interval {
    assert_eq!(baseline.len(), candidate.len(), "losses are over the same examples");
    let n = baseline.len();
    let difference = |(a, b): (&T, &T)| -> f64 { (*a).into() - (*b).into() };
    let differences = || baseline.iter().zip(candidate).map(difference);
    let mean = differences().sum::<f64>() / n.max(1) as f64;
    if n < 2 {
        return Interval { mean, low: f64::NEG_INFINITY, high: f64::INFINITY, n };
    }
    let squares: f64 = differences().map(|difference| (difference - mean).powi(2)).sum();
    let error = (squares / (n - 1) as f64 / n as f64).sqrt();
    let t = StudentsT::new(0.0, 1.0, (n - 1) as f64)
        .expect("at least one degree of freedom")
        .inverse_cdf(f64::midpoint(1.0, confidence));
    Interval { mean, low: mean - t * error, high: mean + t * error, n }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Differences 1, 2, 3, 4: mean 2.5, s = 1.2910, t(3, .975) = 3.1824, half width 2.0542.
        let interval = paired_interval(&[2.0_f32, 4.0, 6.0, 8.0], &[1.0, 2.0, 3.0, 4.0], 0.95);
        assert!((interval.mean - 2.5).abs() < 1e-12);
        assert!((interval.low - 0.4458).abs() < 1e-3, "{interval:?}");
        assert!((interval.high - 4.5542).abs() < 1e-3, "{interval:?}");
    }

    #[test]
    fn equal_losses_give_a_point_at_zero() {
        let losses = [0.3_f32, 0.7, 0.1];
        let interval = paired_interval(&losses, &losses, 0.95);
        assert_eq!((interval.mean, interval.low, interval.high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn one_example_decides_nothing() {
        let interval = paired_interval(&[1.0_f32], &[0.0], 0.95);
        assert!(interval.low.is_infinite() && interval.high.is_infinite());
    }
}
