//! How time is taken: medians or minima over short rounds, and what is compared taken in turns.
//!
//! A round that is shorter than a time slice is not interrupted most of the times on a machine with other work, and the
//! median is one of those. Longer ones are interrupted more often than not, and only their minimum says what they take.

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

/// Rounds of [`best_in_turns`] at most.
const N_ROUNDS_MAX: usize = 41;
/// Rounds of [`best_in_turns`] at least, however long they take.
const N_ROUNDS_MIN: usize = 7;
/// Where it stops between the two.
const SECONDS_MAX: f64 = 10.0;

/// The least that each of `works` returned, taken in turns: round after round of all of them.
pub fn best_in_turns<const N: usize>(mut works: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let start = Instant::now();
    let mut best = [f64::INFINITY; N];
    for round in 0..N_ROUNDS_MAX {
        if N_ROUNDS_MIN <= round && SECONDS_MAX < start.elapsed().as_secs_f64() {
            break;
        }
        for (best, work) in best.iter_mut().zip(&mut works) {
            *best = best.min(work());
        }
    }
    best
}

/// The same pieces of work, timed over and over: interruptions hit some of the times of a piece, and its median
/// none of them.
#[derive(Default)]
pub struct Pieces(Vec<Vec<f64>>);

impl Pieces {
    /// Times `work` as piece `i`. A piece is first timed after those before it.
    pub fn time(&mut self, i: usize, work: impl FnOnce()) {
        let taken = seconds(work);
        match self.0.get_mut(i) {
            Some(times) => times.push(taken),
            None => self.0.push(vec![taken]),
        }
    }

    /// Seconds that each piece takes.
    pub fn seconds(&self) -> Vec<f64> {
        self.0.iter().map(|times| median(times.clone())).collect()
    }
}
