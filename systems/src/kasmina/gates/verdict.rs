//! The statistics of G5: what a seed added, and how sure that is.
//!
//! Two trainings that were once equal drift apart by chance, further than the choice of validation examples tells. With
//! `R` pairs of host and twin, of validation example `x`: `d_j(x) = loss_twin_j(x) - loss_host_j(x)`,
//! `g_j = mean_x d_j(x)`, `g = mean_j g_j`, and `d(x) = mean_j d_j(x)` over `n` examples. Then
//!
//! ```text
//! s2 = (nu0 s0^2 + sum_j (g_j - g)^2) / (nu0 + R - 1)            drift, moderated by a prior (Smyth 2004, section 3)
//! V  = s2 / R + var_x(d) / n
//! t  = (g - delta) / sqrt(V)
//! df = V^2 / [(s2 / R)^2 / (nu0 + R - 1) + (var_x(d) / n)^2 / (n - 1)]             (Satterthwaite 1946)
//! ```

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::kasmina::config::ERROR_RATE;

/// What is known of drift before a run's own pairs are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drift {
    /// Standard deviation of a pair's gain where the seed adds nothing, in the units of the loss.
    pub sd: f64,
    /// Degrees of freedom that this is worth; 0 where nothing is known, infinity where all is.
    pub df: f64,
}

/// A gain, its error, and what they rest on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// Mean drop in loss against the twin, over pairs and examples.
    pub mean: f64,
    /// Standard deviation of a pair's gain, the prior's part included.
    pub drift_sd: f64,
    /// Standard error by the choice of examples.
    pub sample_error: f64,
    /// Standard error by both.
    pub error: f64,
    /// Its degrees of freedom.
    pub df: f64,
    /// Examples, or blocks of windows of a text.
    pub n_examples: usize,
    /// Pairs of host and twin.
    pub n_pairs: usize,
}

impl Gain {
    /// The gain of `differences`, for each pair the examples' `loss_twin - loss_host`, in the same order.
    ///
    /// Without a prior, one pair says nothing of drift: the error is infinite then, as it is of fewer than two examples.
    ///
    /// # Panics
    ///
    /// If there is no pair, or pairs are not over the same examples.
    pub fn of(differences: &[Vec<f64>], prior: Drift) -> Self {
        let (n_pairs, n_examples) = (differences.len(), differences[0].len());
        assert!(differences.iter().all(|it| it.len() == n_examples), "over the same examples");
        let (r, n) = (n_pairs as f64, n_examples as f64);
        let gains: Vec<f64> =
            differences.iter().map(|it| it.iter().sum::<f64>() / n.max(1.0)).collect();
        let mean = gains.iter().sum::<f64>() / r;
        let of_example = |x: usize| differences.iter().map(|it| it[x]).sum::<f64>() / r;
        let squares: f64 = (0..n_examples).map(|x| (of_example(x) - mean).powi(2)).sum();
        let sample_variance = if n_examples < 2 { f64::INFINITY } else { squares / (n - 1.0) / n };
        let drift_df = prior.df + r - 1.0;
        let spread: f64 = gains.iter().map(|gain| (gain - mean).powi(2)).sum();
        let drift_variance = match 0.0 < drift_df {
            _ if prior.df.is_infinite() => prior.sd.powi(2),
            true => (prior.df * prior.sd.powi(2) + spread) / drift_df,
            false => f64::INFINITY,
        };
        let (drift, sample) = (drift_variance / r, sample_variance);
        let variance = drift + sample;
        let terms = drift.powi(2) / drift_df + sample.powi(2) / (n - 1.0);
        let df = if terms > 0.0 && terms.is_finite() { variance.powi(2) / terms } else { 1.0 };
        Self {
            mean,
            drift_sd: drift_variance.sqrt(),
            sample_error: sample.sqrt(),
            error: variance.sqrt(),
            df,
            n_examples,
            n_pairs,
        }
    }

    /// Student's t of the gain above `delta`; `None` where there is no error to hold it to, as of a module that does
    /// nothing.
    pub fn t(&self, delta: f64) -> Option<f64> {
        (self.error > 0.0).then(|| (self.mean - delta) / self.error)
    }

    /// The t above which a gain passes a look at one-sided level `level`.
    pub fn t_needed(&self, level: f64) -> f64 {
        let t = StudentsT::new(0.0, 1.0, self.df).expect("there is at least some freedom");
        t.inverse_cdf(1.0 - level)
    }
}

/// Two-sided critical values of Pocock's boundary at 5 %, by the number of looks from one on (Jennison and Turnbull 2000,
/// table 2.1).
const POCOCK: [f64; 10] = [1.960, 2.178, 2.289, 2.361, 2.413, 2.453, 2.485, 2.512, 2.535, 2.555];

/// The one-sided level of each of `n_looks` looks that together err at `error_rate`: Pocock's at 2.5 %, an equal share of any
/// other rate (Bonferroni).
pub fn look_level(error_rate: f64, n_looks: u64) -> f64 {
    let place = usize::try_from(n_looks.max(1) - 1).ok();
    match place.and_then(|place| POCOCK.get(place)) {
        Some(z) if error_rate == ERROR_RATE => {
            1.0 - Normal::new(0.0, 1.0).expect("the standard normal").cdf(*z)
        }
        _ => error_rate / n_looks.max(1) as f64,
    }
}

/// The error rate of a host's `k`-th verdict, from one on, where all of its verdicts together are to err at `error_rate`:
/// `error_rate 6 / (pi^2 k^2)`, whose sum over all k it is.
pub fn spent_rate(error_rate: f64, k: u64) -> f64 {
    error_rate * 6.0 / (std::f64::consts::PI * k.max(1) as f64).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pair_has_the_drift_of_the_prior() {
        // d = 1, 2, 3, 4: mean 2.5, var 5/3, /n = .416667; s2 = .09; V = .506667.
        let gain = Gain::of(&[vec![1.0, 2.0, 3.0, 4.0]], Drift { sd: 0.3, df: 8.0 });
        assert!((gain.mean - 2.5).abs() < 1e-12 && (gain.drift_sd - 0.3).abs() < 1e-12);
        assert!((gain.error - 0.506_667_f64.sqrt()).abs() < 1e-6, "{gain:?}");
        // .506667^2 / (.09^2 / 8 + .416667^2 / 3) = 4.3597.
        assert!((gain.df - 4.3597).abs() < 1e-3, "{gain:?}");
        assert!((gain.t(0.5).unwrap() - 2.0 / 0.506_667_f64.sqrt()).abs() < 1e-5);
    }

    #[test]
    fn pairs_that_differ_raise_the_drift_above_the_prior() {
        // Gains 1 and 3: spread 2; s2 = (2 * .25 + 2) / 3.
        let gain = Gain::of(&[vec![1.0; 50], vec![3.0; 50]], Drift { sd: 0.5, df: 2.0 });
        assert!((gain.drift_sd.powi(2) - 2.5 / 3.0).abs() < 1e-12);
        assert_eq!(gain.sample_error, 0.0);
        assert!((gain.df - 3.0).abs() < 1e-9, "{gain:?}");
    }

    #[test]
    fn one_pair_without_a_prior_and_one_example_prove_nothing() {
        let alone = Gain::of(&[vec![5.0, 6.0]], Drift::default());
        let single = Gain::of(&[vec![5.0]], Drift { sd: 0.1, df: 10.0 });
        for gain in [alone, single] {
            assert_eq!(gain.t(0.0), Some(0.0), "{gain:?}");
        }
    }

    #[test]
    fn what_does_nothing_has_no_t_or_none_above_zero() {
        let nothing = vec![0.0; 30];
        assert_eq!(
            Gain::of(std::slice::from_ref(&nothing), Drift { sd: 0.0, df: 10.0 }).t(0.0),
            None
        );
        assert!(Gain::of(&[nothing], Drift { sd: 0.1, df: 10.0 }).t(0.01).unwrap() < 0.0);
    }

    #[test]
    fn looks_share_the_error_of_a_verdict() {
        assert!((look_level(0.025, 1) - 0.025).abs() < 1e-4);
        assert!((look_level(0.025, 3) - 0.0110).abs() < 1e-4);
        assert!((look_level(0.1, 4) - 0.025).abs() < 1e-12);
        let spent: f64 = (1..100_000).map(|k| spent_rate(0.025, k)).sum();
        assert!((spent - 0.025).abs() < 1e-6, "{spent}");
    }

    #[test]
    fn the_t_that_is_needed_is_students() {
        // t(10, .99) = 2.7638.
        let gain = Gain::of(&[vec![1.0; 11]], Drift { sd: 1.0, df: 10.0 });
        assert!((gain.df - 10.0).abs() < 1e-9);
        assert!((gain.t_needed(0.01) - 2.7638).abs() < 1e-3);
    }
}
