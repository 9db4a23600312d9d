//! Dropout whose mask is drawn again in the backward pass rather than stored.

use super::dispatch::dispatch;
use super::lanes::{Lanes, Vector};
use super::random::{CHUNK, chunk, uniform};
use super::slice_loops::map;

/// `y = x / (1 - p)` where kept, else zero: inverted dropout (Srivastava et al. 2014, section 10).
///
/// Element `i` is kept if the uniform number `i` of stream `step` under `key`, laid out as in
/// [`fill_uniform`](super::fill_uniform), is at least `p`. `p` is in `[0, 1]`; at 1 nothing is kept.
pub fn dropout_forward(key: u64, step: u64, p: f32, x: &[f32], y: &mut [f32]) {
    each_masked(key, step, p, x, y, false);
}

/// `dx = dy / (1 - p)` where [`dropout_forward`] kept, else zero; added to `dx` where `accumulate`.
pub fn dropout_grad(key: u64, step: u64, p: f32, dy: &[f32], dx: &mut [f32], accumulate: bool) {
    each_masked(key, step, p, dy, dx, accumulate);
}

fn each_masked(key: u64, step: u64, p: f32, x: &[f32], y: &mut [f32], accumulate: bool) {
    assert!((0.0..=1.0).contains(&p), "p is a probability");
    assert_eq!(x.len(), y.len(), "operands differ in length");
    let kept = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    dispatch!(lanes => {
        for (index, (x, y)) in x.chunks(CHUNK).zip(y.chunks_mut(CHUNK)).enumerate() {
            let mask = mask(lanes, key, step, index as u64, p, kept);
            let mask = &mask[..x.len()];
            if accumulate {
                map(lanes, [x, mask], [y], #[inline(always)] |[x, mask], [y]| [y + masked(x, mask)]);
            } else {
                map(lanes, [x, mask], [y], #[inline(always)] |[x, mask], _| [masked(x, mask)]);
            }
        }
    });
}

/// The factor of each element of a chunk: `kept` or zero.
#[inline(always)]
fn mask<L: Lanes>(lanes: L, key: u64, step: u64, index: u64, p: f32, kept: f32) -> [f32; CHUNK] {
    let (p, kept) = (Vector::splat(lanes, p), Vector::splat(lanes, kept));
    let zero = Vector::splat(lanes, 0.0);
    chunk(
        lanes,
        key,
        step,
        index,
        #[inline(always)]
        |words| {
            let mut mask = [kept; 4];
            for (factor, word) in mask.iter_mut().zip(&words) {
                *factor = zero.select(uniform(lanes, *word).less(p), kept);
            }
            mask
        },
    )
}

/// A dropped element is zero whatever it was, infinite or NaN included.
#[inline(always)]
fn masked<L: Lanes>(x: Vector<L>, mask: Vector<L>) -> Vector<L> {
    let zero = x.constant(0.0);
    (x * mask).select(zero.less(mask), zero)
}
