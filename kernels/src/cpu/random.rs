//! Philox, a register of blocks at a time.
//!
//! Element `i` of a stream is word `(i / 16) % 4` of block `16 (i / 64) + i % 16`: four registers of
//! sixteen counters each give sixty-four elements in order, on every vector unit.

use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use super::math::{ln, sin_cos_turn};
use crate::philox::{MULTIPLIERS, ROUNDS, WEYL};

/// Elements drawn together.
pub(crate) const CHUNK: usize = 64;
/// Elements apart that two words of one block lie.
const WORD_STRIDE: usize = 16;

/// Fills `out` with numbers uniform in `[low, high)`, up to rounding.
///
/// `low + (high - low) u`, with `u` the [`uniform_f32`](crate::philox::uniform_f32) of a word. Block `b`
/// has the counter `(b, stream)`, low words first. Element `i` is word `(i / 16) % 4` of block
/// `16 (i / 64) + i % 16`.
pub fn fill_uniform(key: u64, stream: u64, low: f32, high: f32, out: &mut [f32]) {
    dispatch!(lanes => {
        let (start, span) = (Vector::splat(lanes, low), Vector::splat(lanes, high - low));
        fill(lanes, key, stream, out, #[inline(always)] |words| {
            let mut values = [start; 4];
            for (value, word) in values.iter_mut().zip(&words) {
                *value = span.mul_add(uniform(lanes, *word), start);
            }
            values
        });
    });
}

/// Fills `out` with normal numbers.
///
/// By pairs (Box and Muller 1958): `mean + std (sqrt(-2 ln v) (cos, sin)(2 pi u))`, with `v` in `(0, 1]`
/// from words 0 and 2 of a block and `u` from words 1 and 3. Blocks lie as in [`fill_uniform`].
pub fn fill_normal(key: u64, stream: u64, mean: f32, std: f32, out: &mut [f32]) {
    dispatch!(lanes => {
        let (mean, std) = (Vector::splat(lanes, mean), Vector::splat(lanes, std));
        fill(lanes, key, stream, out, #[inline(always)] |[a, b, c, d]| {
            let ([a, b], [c, d]) = (normal_pair(lanes, a, b), normal_pair(lanes, c, d));
            let mut values = [a, b, c, d];
            for value in &mut values {
                *value = std.mul_add(*value, mean);
            }
            values
        });
    });
}

/// Two standard normal numbers from two words.
#[inline(always)]
fn normal_pair<L: Lanes>(lanes: L, v: L::U32, u: L::U32) -> [Vector<L>; 2] {
    // `uniform` is a multiple of 2^-24 below one, so that the difference is exact and above zero.
    let v = Vector::splat(lanes, 1.0) - uniform(lanes, v);
    let radius = (ln(v) * v.constant(-2.0)).sqrt();
    let (sin, cos) = sin_cos_turn(uniform(lanes, u));
    [radius * cos, radius * sin]
}

/// The four words of a register of blocks, from block `first` on.
#[inline(always)]
pub(crate) fn blocks<L: Lanes>(lanes: L, key: u64, stream: u64, first: u64) -> [L::U32; 4] {
    // First blocks are multiples of the register, so that the low word of a counter does not carry.
    let low = lanes.add_u32(lanes.splat_u32(first as u32), lanes.iota());
    let high = lanes.splat_u32((first >> 32) as u32);
    let mut words =
        [low, high, lanes.splat_u32(stream as u32), lanes.splat_u32((stream >> 32) as u32)];
    let mut key = [key as u32, (key >> 32) as u32];
    for _ in 0..ROUNDS {
        let [a, b, c, d] = words;
        let (even_low, even_high) = lanes.mul_wide(a, lanes.splat_u32(MULTIPLIERS[0]));
        let (odd_low, odd_high) = lanes.mul_wide(c, lanes.splat_u32(MULTIPLIERS[1]));
        words = [
            lanes.xor(lanes.xor(odd_high, b), lanes.splat_u32(key[0])),
            odd_low,
            lanes.xor(lanes.xor(even_high, d), lanes.splat_u32(key[1])),
            even_low,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    words
}

/// [`uniform_f32`](crate::philox::uniform_f32) of a register.
#[inline(always)]
pub(crate) fn uniform<L: Lanes>(lanes: L, bits: L::U32) -> Vector<L> {
    let integer = Vector::new(lanes, lanes.of_i32(lanes.shr::<8>(bits)));
    integer * integer.constant(1.0 / 16_777_216.0)
}

/// One chunk of a stream, `f` of the words of its blocks.
#[inline(always)]
pub(crate) fn chunk<L: Lanes>(
    lanes: L,
    key: u64,
    stream: u64,
    index: u64,
    f: impl Fn([L::U32; 4]) -> [Vector<L>; 4],
) -> [f32; CHUNK] {
    let mut values = [0.0; CHUNK];
    for lane in (0..WORD_STRIDE).step_by(L::LANES) {
        let words = blocks(lanes, key, stream, index * WORD_STRIDE as u64 + lane as u64);
        for (word, value) in f(words).iter().enumerate() {
            value.store(&mut values[word * WORD_STRIDE + lane..]);
        }
    }
    values
}

#[inline(always)]
fn fill<L: Lanes>(
    lanes: L,
    key: u64,
    stream: u64,
    out: &mut [f32],
    f: impl Fn([L::U32; 4]) -> [Vector<L>; 4],
) {
    for (index, out) in out.chunks_mut(CHUNK).enumerate() {
        let values = chunk(lanes, key, stream, index as u64, &f);
        out.copy_from_slice(&values[..out.len()]);
    }
}
