//! Features brought to zero mean and unit variance, by what the training examples show.

use std::sync::Arc;

use esper_nn::words;

use super::{DataFault, Dataset, Features};

words! {
    /// Over what mean and variance are taken.
    #[derive(Default)]
    Standardize {
        /// Each element of an example has a mean and a variance of its own.
        #[default]
        PerFeature = "per_feature",
        /// One mean and one variance for all, which keeps the proportions within an image or signal.
        Global = "global",
        /// One mean and one variance for each channel, the first of three or more axes, as is usual
        /// for photographs; examples of one or two axes have one channel.
        PerChannel = "per_channel",
        /// Features stay as loaded.
        Off = "off",
    }
}

/// The map that standardises a feature: `y = (x - mean) / std`, and `y = 0` where `std` is zero.
///
/// `std` is the population's (divisor `n`), as in scikit-learn's `StandardScaler`. Sums run in
/// `f64`, example after example, so the bits are the same on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// `f64[elems]`, `f64[channels]`, `f64[1]` for all features alike, or empty when features stay
    /// as loaded.
    pub mean: Vec<f64>,
    /// As long as `mean`; zero for a feature that is constant over the training examples.
    pub std: Vec<f64>,
    /// How many elements in a row share an entry of `mean`: those of a channel, or one.
    pub run_elems: usize,
}

impl Scaling {
    /// What leaves features as loaded.
    pub fn identity() -> Self {
        Self { mean: Vec::new(), std: Vec::new(), run_elems: 1 }
    }

    /// Measures training features `f32[n, elems]`.
    pub(super) fn measure(
        standardize: Standardize,
        features: &[f32],
        example_shape: &[usize],
    ) -> Self {
        let elems: usize = example_shape.iter().product();
        let (width, run_elems) = match (standardize, example_shape) {
            (Standardize::Off, _) => return Self::identity(),
            (Standardize::PerFeature, _) => (elems, 1),
            (Standardize::PerChannel, [channels, _, _, ..]) => (*channels, elems / channels),
            (Standardize::PerChannel | Standardize::Global, _) => (1, 1),
        };
        let n_values = (features.len() / width) as f64;
        let runs = || {
            features
                .chunks_exact(width * run_elems)
                .flat_map(|it| it.chunks_exact(run_elems).enumerate())
        };
        let mut mean = vec![0.0; width];
        for (entry, run) in runs() {
            run.iter().for_each(|x| mean[entry] += f64::from(*x));
        }
        mean.iter_mut().for_each(|sum| *sum /= n_values);
        let mut std = vec![0.0; width];
        for (entry, run) in runs() {
            run.iter().for_each(|x| std[entry] += (f64::from(*x) - mean[entry]).powi(2));
        }
        std.iter_mut().for_each(|sum| *sum = (*sum / n_values).sqrt());
        // The mean of equal values may be off by rounding, which would be blown up to one.
        let mut is_constant = vec![true; width];
        for (entry, run) in runs() {
            let first = features[entry * run_elems];
            is_constant[entry] &= run.iter().all(|x| *x == first);
        }
        std.iter_mut().zip(is_constant).filter(|(_, it)| *it).for_each(|(std, _)| *std = 0.0);
        Self { mean, std, run_elems }
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
        self.apply_each(features, |_, _| {});
    }

    /// A part of the data with its features standardised.
    pub(super) fn apply_to(&self, mut part: Dataset) -> Result<Dataset, DataFault> {
        let elems = part.elems();
        let Features::Dense(features) = &mut part.features else { return Ok(part) };
        // A held-out value may lie so far from the training mean that the quotient overflows.
        let mut overflow = None;
        self.apply_each(Arc::make_mut(features), |at, x| {
            overflow.get_or_insert((at, x));
        });
        match overflow {
            Some((at, x)) => Err(DataFault::NotFinite {
                example: at / elems,
                element: at % elems,
                value: x.into(),
            }),
            None => Ok(part),
        }
    }

    /// Standardises in place, and tells `overflow` the place and old value of what is not finite.
    fn apply_each(&self, features: &mut [f32], mut overflow: impl FnMut(usize, f32)) {
        if self.is_identity() {
            return;
        }
        let elems = self.mean.len() * self.run_elems;
        assert!(features.len().is_multiple_of(elems), "whole examples");
        let scales = || self.mean.iter().zip(&self.std);
        for (example, row) in features.chunks_exact_mut(elems).enumerate() {
            for (entry, (run, (mean, std))) in
                row.chunks_exact_mut(self.run_elems).zip(scales()).enumerate()
            {
                for (at, x) in run.iter_mut().enumerate() {
                    let y = if *std == 0.0 { 0.0 } else { (f64::from(*x) - mean) / std } as f32;
                    if !y.is_finite() {
                        overflow(example * elems + entry * self.run_elems + at, *x);
                    }
                    *x = y;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_gets_zero_mean_and_unit_variance() {
        let mut features = [1.0, 10.0, 7.0, 2.0, 20.0, 7.0, 3.0, 60.0, 7.0];
        let scaling = Scaling::measure(Standardize::PerFeature, &features, &[3]);
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
        let scaling = Scaling::measure(Standardize::Global, &features, &[2]);
        assert_eq!((scaling.mean.len(), scaling.mean[0]), (1, 2.0));
        scaling.apply(&mut features);
        let unit = features[1] - features[0];
        assert!((features[3] - features[2] - 3.0 * unit).abs() < 1e-6);
    }

    #[test]
    fn each_channel_gets_zero_mean_and_unit_variance() {
        // Two images of two channels of 1x3; the second channel is ten times the first plus five.
        let image = |start: f32| {
            let plane = move |scale: f32, shift: f32| {
                (0..3).map(move |pixel| (start + pixel as f32) * scale + shift)
            };
            plane(1.0, 0.0).chain(plane(10.0, 5.0))
        };
        let mut features: Vec<f32> = image(1.0).chain(image(4.0)).collect();
        let scaling = Scaling::measure(Standardize::PerChannel, &features, &[2, 1, 3]);
        assert_eq!((&scaling.mean[..], scaling.run_elems), (&[3.5, 40.0][..], 3));
        let variance = 35.0_f64 / 12.0;
        assert!((scaling.std[0] - variance.sqrt()).abs() < 1e-12, "{:?}", scaling.std);
        assert!((scaling.std[1] - 10.0 * variance.sqrt()).abs() < 1e-11, "{:?}", scaling.std);
        scaling.apply(&mut features);
        for image in features.chunks_exact(6) {
            let same = image[..3].iter().zip(&image[3..]).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(same, "channels that differ by scale and shift become one: {image:?}");
        }
        let mean: f32 = features.iter().sum::<f32>() / 12.0;
        let square: f32 = features.iter().map(|y| y * y).sum::<f32>() / 12.0;
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "{mean} {square}");
    }

    #[test]
    fn an_image_without_an_axis_of_channels_has_one() {
        let features: Vec<f32> = (0..24).map(|value| (value * value) as f32).collect();
        let global = Scaling::measure(Standardize::Global, &features, &[3, 4]);
        assert_eq!(Scaling::measure(Standardize::PerChannel, &features, &[3, 4]), global);
        assert_eq!(Scaling::measure(Standardize::PerChannel, &features, &[12]), global);
        let one = Scaling::measure(Standardize::PerChannel, &features, &[1, 3, 4]);
        assert_eq!((&one.mean, &one.std), (&global.mean, &global.std));
    }

    #[test]
    fn a_constant_that_is_not_exact_in_binary_is_still_constant() {
        let features = vec![0.1_f32; 1001];
        let scaling = Scaling::measure(Standardize::PerFeature, &features, &[1]);
        assert_eq!(scaling.std, [0.0]);
    }

    #[test]
    fn off_changes_nothing() {
        let mut features = [3.0, f32::MAX];
        let scaling = Scaling::measure(Standardize::Off, &features, &[1]);
        scaling.apply(&mut features);
        assert!(scaling.is_identity());
        assert_eq!(features, [3.0, f32::MAX]);
    }
}
