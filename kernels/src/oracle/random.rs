//! Random fills.

use super::Real;
use crate::philox::{Philox, uniform_f32};

/// `len` numbers uniform in `[low, high)`: `low + (high - low) u`, rounded once.
pub fn uniform<T: Real>(key: u64, stream: u64, low: f32, high: f32, len: usize) -> Vec<T> {
    let [low, span] = [low, high - low].map(|value| T::of(f64::from(value)));
    (0..len).map(|at| span.mul_add(unit(word(key, stream, at, at / 16 % 4)), low)).collect()
}

/// `len` normal numbers: `mean + std (sqrt(-2 ln v) (cos, sin)(2 pi u))`, with `v` in `(0, 1]` from
/// words 0 and 2 of a block and `u` from words 1 and 3.
pub fn normal<T: Real>(key: u64, stream: u64, mean: f32, std: f32, len: usize) -> Vec<T> {
    let value = |at: usize| {
        let pair = at / 16 % 4 / 2 * 2;
        let [v, u] = [0, 1].map(|half| unit::<f64>(word(key, stream, at, pair + half)));
        let (sin, cos) = (2.0 * core::f64::consts::PI * u).sin_cos();
        let wave = if (at / 16).is_multiple_of(2) { cos } else { sin };
        f64::from(std).mul_add((-2.0 * (1.0 - v).ln()).sqrt() * wave, f64::from(mean))
    };
    (0..len).map(|at| T::of(value(at))).collect()
}

/// Word `word` of the block from which element `at` is drawn: block `16 (at / 64) + at % 16`.
fn word(key: u64, stream: u64, at: usize, word: usize) -> u32 {
    let block = (16 * (at / 64) + at % 16) as u64;
    let counter = [block as u32, (block >> 32) as u32, stream as u32, (stream >> 32) as u32];
    Philox::new(key).block(counter)[word]
}

fn unit<T: Real>(word: u32) -> T {
    T::of(f64::from(uniform_f32(word)))
}
