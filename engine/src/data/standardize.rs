//! Features brought to zero mean and unit variance, by what the training examples show.

use std::sync::Arc;

use super::{DataFault, Dataset};

/// Over what mean and variance are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standardize {
    /// Features stay as loaded.
    Off,
    /// Each element of an example has a mean and a variance of its own.
    #[default]
    PerFeature,
    /// One mean and one variance for all, which keeps the proportions within an image or signal.
    Global,
}

/// The map that standardises a feature: `y = (x - mean) / std`, and `y = 0` where `std` is zero.
///
/// `std` is the population's (divisor `n`), as in scikit-learn's `StandardScaler`. Sums run in
/// `f64`, example after example, so the bits are the same on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// `f64[elems]`, `f64[1]` for all features alike, or empty when features stay as loaded.
    pub mean: Vec<f64>,
    /// As long as `mean`; zero for a feature that is constant over the training examples.
    pub std: Vec<f64>,
}

impl Scaling {
    /// Measures training features `f32[n, elems]`.
    pub(super) fn measure(standardize: Standardize, features: &[f32], elems: usize) -> Self {
        let width = match standardize {
            Standardize::Off => return Self { mean: Vec::new(), std: Vec::new() },
            Standardize::PerFeature => elems,
            Standardize::Global => 1,
        };
        let n_rows = (features.len() / width) as f64;
        let mut mean = vec![0.0; width];
        for row in features.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        mean.iter_mut().for_each(|sum| *sum /= n_rows);
        let mut std = vec![0.0; width];
        for row in features.chunks_exact(width) {
            let deviations = row.iter().zip(&mean).map(|(x, mean)| f64::from(*x) - mean);
            std.iter_mut().zip(deviations).for_each(|(sum, d)| *sum += d * d);
        }
        std.iter_mut().for_each(|sum| *sum = (*sum / n_rows).sqrt());
        // The mean of equal values may be off by rounding, which would be blown up to one.
        let first = &features[..width];
        let mut constant = vec![true; width];
        for row in features.chunks_exact(width) {
            let same = row.iter().zip(first).map(|(x, first)| x == first);
            constant.iter_mut().zip(same).for_each(|(all, same)| *all &= same);
        }
        std.iter_mut().zip(constant).filter(|(_, constant)| *constant).for_each(|(s, _)| *s = 0.0);
        Self { mean, std }
    }

    /// Whether features stay as loaded.
    pub fn is_identity(&self) -> bool {
        self.mean.is_empty()
    }

    /// Standardises `f32[n, elems]` in place.
    ///
    /// # Panics
    ///
    /// If `features` is not a whole number of examples.
    pub fn apply(&self, features: &mut [f32]) {
        if self.is_identity() {
            return;
        }
        assert!(features.len().is_multiple_of(self.mean.len()), "whole examples");
        for row in features.chunks_exact_mut(self.mean.len()) {
            for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                let y = if *std == 0.0 { 0.0 } else { (f64::from(*x) - mean) / std };
                *x = y as f32;
            }
        }
    }

    /// A part of the data with its features standardised.
    pub(super) fn apply_to(&self, part: Dataset) -> Result<Dataset, DataFault> {
        if self.is_identity() {
            return Ok(part);
        }
        let elems = part.elems();
        let mut features = part.features.to_vec();
        self.apply(&mut features);
        // A held-out value may lie so far from the training mean that the quotient overflows.
        if let Some(at) = features.iter().position(|y| !y.is_finite()) {
            let (example, element, value) = (at / elems, at % elems, f64::from(part.features[at]));
            return Err(DataFault::NotFinite { example, element, value });
        }
        Ok(Dataset { features: Arc::from(features), ..part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_gets_zero_mean_and_unit_variance() {
        let mut features = [1.0, 10.0, 7.0, 2.0, 20.0, 7.0, 3.0, 60.0, 7.0];
        let scaling = Scaling::measure(Standardize::PerFeature, &features, 3);
        assert_eq!(scaling.mean, [2.0, 30.0, 7.0]);
        assert_eq!(scaling.std[2], 0.0);
        scaling.apply(&mut features);
        let expected = (1.5_f64).sqrt() as f32;
        assert_eq!(features[0], -expected);
        assert_eq!([features[2], features[5], features[8]], [0.0; 3], "constant features are 0");
        for column in 0..2 {
            let of = |f: fn(f32) -> f32| (0..3).map(|row| f(features[3 * row + column])).sum();
            let (mean, square): (f32, f32) = (of(|y| y / 3.0), of(|y| y * y / 3.0));
            assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "{mean} {square}");
        }
    }

    #[test]
    fn one_scale_for_all_keeps_proportions() {
        let mut features = [0.0, 1.0, 2.0, 5.0];
        let scaling = Scaling::measure(Standardize::Global, &features, 2);
        assert_eq!((scaling.mean.len(), scaling.mean[0]), (1, 2.0));
        scaling.apply(&mut features);
        let unit = features[1] - features[0];
        assert!((features[3] - features[2] - 3.0 * unit).abs() < 1e-6);
    }

    #[test]
    fn a_constant_that_is_not_exact_in_binary_is_still_constant() {
        let features = vec![0.1_f32; 1001];
        let scaling = Scaling::measure(Standardize::PerFeature, &features, 1);
        assert_eq!(scaling.std, [0.0]);
    }

    #[test]
    fn off_changes_nothing() {
        let mut features = [3.0, f32::MAX];
        let scaling = Scaling::measure(Standardize::Off, &features, 1);
        scaling.apply(&mut features);
        assert!(scaling.is_identity());
        assert_eq!(features, [3.0, f32::MAX]);
    }
}
