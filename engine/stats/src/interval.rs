//! An estimate and the interval around it.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// An estimate and the interval around it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// An interval without width.
    pub const fn point(estimate: f64) -> Self {
        Self { estimate, low: estimate, high: estimate }
    }

    /// Whether `value` lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Student's two-sided interval of the mean of at least two finite `values` (Student 1908).
    pub(crate) fn of_mean(values: &[f64], confidence: f64) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (n - 1.0) / n).sqrt();
        let half = student(n - 1.0).inverse_cdf(f64::midpoint(1.0, confidence)) * error;
        Self { estimate: mean, low: mean - half, high: mean + half }
    }
}

/// Student's distribution with `freedom` degrees of freedom, at least one.
pub fn student(freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom")
}
