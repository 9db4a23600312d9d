//! The interval of a mean over strata, by resampling.

use esper_nn::rng::{Purpose, draw_below, stream_key};
use serde::{Deserialize, Serialize};
use statrs::distribution::ContinuousCDF;

use crate::{
    error::{StatsError, check_count, check_share},
    interval::{Interval, student},
    normal::normal_cdf,
    strata::{Moments, Stratum},
};

/// How values are resampled.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Samples that are drawn.
    pub n_draws: usize,
    /// Confidence of the interval.
    pub confidence: f64,
    /// Seed of what is drawn.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { n_draws: 10_000, confidence: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    /// The weighted mean of strata and its expanded percentile interval; pass differences of pairs to resample pairs.
    ///
    /// Each stratum is resampled for itself (stratified bootstrap: Agarwal et al. 2021, section 4.1; Davison and Hinkley
    /// 1997, "Bootstrap methods and their application", section 3.2). The ends are percentiles of what was drawn, not at
    /// `(1 - confidence) / 2` but at `normal_cdf(-r t)`, where `t` is Student's quantile and `r` the standard error over
    /// the spread of the draws; of one stratum it is `sqrt(n / (n - 1))` (Hesterberg 2015, "What teachers should know
    /// about the bootstrap": the expanded percentile interval). Plain percentiles and BCa (Efron 1987) are too narrow for
    /// few values; of 3,000 simulated experiments with 1,000 draws each, 95 % intervals had the truth in so many percent:
    ///
    /// | differences | values | percentile | BCa | expanded percentile |
    /// | --- | --- | --- | --- | --- |
    /// | normal | 8 | 89.1 | 88.5 | 94.4 |
    /// | normal | 12 | 90.5 | 90.3 | 94.4 |
    /// | normal | 30 | 93.3 | 93.1 | 94.9 |
    /// | of two accuracies, 200 test examples | 8 | 87.9 | 87.4 | 93.4 |
    /// | of two accuracies, 200 test examples | 12 | 91.6 | 92.1 | 94.9 |
    /// | of two accuracies, 200 test examples | 30 | 92.7 | 92.4 | 94.3 |
    /// | heavy tails: Student's with 3 degrees of freedom | 8 | 87.3 | 84.8 | 93.2 |
    /// | heavy tails: Student's with 3 degrees of freedom | 30 | 92.2 | 88.8 | 93.5 |
    /// | exponential | 8 | 83.4 | 85.0 | 89.7 |
    /// | exponential | 30 | 91.8 | 92.3 | 93.4 |
    ///
    /// With five values it has 92.7 % of normal ones: the ends can not pass the smallest and the largest value. A lasting
    /// skew, as the exponential has, leaves all three too narrow below 30.
    ///
    /// # Errors
    ///
    /// Fails if a stratum has fewer than two values, a value is not finite, the confidence is none, or nothing is drawn.
    pub fn mean(&self, strata: &[Stratum]) -> Result<Interval, StatsError> {
        check_share("confidence", self.confidence)?;
        check_count("a bootstrap", "draws", self.n_draws, 1)?;
        let moments = Moments::of("a bootstrap interval", strata)?;
        if moments.error == 0.0 {
            return Ok(Interval::point(moments.estimate));
        }
        let t = student(moments.freedom).inverse_cdf(f64::midpoint(1.0, self.confidence));
        let tail = normal_cdf(-t * moments.error / moments.plug_in_error);
        let (low, high) = percentiles(&mut self.draws(strata), tail);
        Ok(Interval { estimate: moments.estimate, low, high })
    }

    /// The estimates of resampled strata.
    fn draws(&self, strata: &[Stratum]) -> Vec<f64> {
        let mut draws = vec![0.0; self.n_draws];
        for (at, Stratum { weight, values }) in strata.iter().enumerate() {
            let key = stream_key(self.seed, Purpose::Resample, at as u64);
            let n = values.len() as u64;
            for (draw, step) in draws.iter_mut().zip((0..).step_by(values.len())) {
                let sum: f64 =
                    (step..step + n).map(|step| values[draw_below(key, step, n) as usize]).sum();
                *draw += weight * sum / n as f64;
            }
        }
        draws
    }
}

/// The values at the shares `tail` and `1 - tail` of a sample, between neighbours by how far it is to each (type 7 of
/// Hyndman and Fan 1996, "Sample quantiles in statistical packages").
fn percentiles(sample: &mut [f64], tail: f64) -> (f64, f64) {
    sample.sort_unstable_by(f64::total_cmp);
    let last = (sample.len() - 1) as f64;
    let at = |share: f64| {
        let place = (last * share).clamp(0.0, last);
        let (below, above) = (sample[place.floor() as usize], sample[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    (at(tail), at(1.0 - tail))
}
