//! The arithmetic peak of one core, measured: what kernels are held against.

use crate::cpu::{Lanes, Vector, dispatch};
use core::hint::black_box;
use core::time::Duration;
use std::time::Instant;

/// Billions of floating-point operations a second of one core, in fused multiply-adds that stay in
/// registers, on the unit that kernels run on.
///
/// The best of ten runs of about two milliseconds.
pub fn measure_fma_peak_gflops() -> f64 {
    let n_rounds = 1 << 18;
    let flops = |lanes: usize| (n_rounds * CHAINS * lanes * 2) as f64;
    (0..10)
        .map(|_| {
            let (lanes, elapsed) = dispatch!(lanes => timed(lanes, n_rounds));
            flops(lanes) / elapsed.as_secs_f64() / 1e9
        })
        .fold(0.0, f64::max)
}

/// Independent chains: twice what two units of four cycles' latency need.
const CHAINS: usize = 16;

#[inline(always)]
fn timed<L: Lanes>(lanes: L, n_rounds: usize) -> (usize, Duration) {
    let factor = Vector::splat(lanes, black_box(0.999));
    let term = Vector::splat(lanes, black_box(0.001));
    let mut sums = [Vector::splat(lanes, black_box(1.0)); CHAINS];
    let start = Instant::now();
    for _ in 0..n_rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, term);
        }
    }
    let mut total = Vector::splat(lanes, 0.0);
    for sum in &sums {
        total = total + *sum;
    }
    black_box(lanes.head(total.raw));
    (L::LANES, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_a_positive_finite_number() {
        let peak = measure_fma_peak_gflops();
        assert!(peak.is_finite() && 0.0 < peak, "{peak}");
    }
}
