//! Every kernel against the oracle, on every vector unit of the machine.

#![allow(clippy::needless_range_loop, reason = "indices name rows and columns")]

mod attention;
mod augment;
mod batch_norm;
mod channel;
mod conv2d;
mod dropout;
mod elementwise;
mod gather;
mod gradients;
mod group_norm;
mod linear;
mod loss;
mod norm;
mod optimizer;
mod pool;
mod random;
mod sequence;
mod softplus;

use esper_kernels::cpu::{SimdLevel, fill_uniform, simd_levels, with_simd_level};

/// Lengths about every multiple of a vector and of a reduction's width.
const LENGTHS: [usize; 13] = [0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 200];

/// Numbers in `[-2, 2)`, a different series for each `stream`.
fn numbers(stream: u64, len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    fill_uniform(0x5EED, stream, -2.0, 2.0, &mut out);
    out
}

/// The same numbers in `f64`.
fn widened(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Numbers no kernel may leave in its output.
fn unwritten(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Runs `f` on every vector unit and asserts that all give the same bits; gives what they gave.
fn on_every_unit(f: impl Fn() -> Vec<f32>) -> Vec<f32> {
    let portable = with_simd_level(SimdLevel::Portable, &f);
    for level in simd_levels() {
        let found = with_simd_level(level, &f);
        assert_eq!(bits(&found), bits(&portable), "{level:?} differs from portable code");
    }
    portable
}

/// Asserts that each value is within `tolerance`, relative beyond one, of the true one.
#[track_caller]
fn assert_close(found: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(found.len(), want.len());
    for (at, (found, want)) in found.iter().zip(want).enumerate() {
        let error = (f64::from(*found) - want).abs() / want.abs().max(1.0);
        assert!(error <= tolerance, "element {at}: {found} for {want}");
    }
}
