//! How time is taken: medians over short rounds, and what is compared taken in turns.
//!
//! A round is shorter than a time slice, so on a machine with other work most rounds are not interrupted, and the
//! median is one of those.

use std::time::Instant;

/// Seconds that `work` took.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The median; of an even number of values, the upper one.
///
/// # Panics
///
/// If there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median seconds of one of `n_calls` calls of `work`, over `n_rounds` rounds.
pub fn seconds_per_call(n_rounds: usize, n_calls: usize, mut work: impl FnMut()) -> f64 {
    let round = || seconds(|| (0..n_calls).for_each(|_| work())) / n_calls as f64;
    median(std::iter::repeat_with(round).take(n_rounds).collect())
}
