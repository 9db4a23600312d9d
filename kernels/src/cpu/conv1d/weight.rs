//! Inner products of output gradients with windows, over examples and positions.

use super::Conv1dShape;
use super::windows::Windows;
use crate::cpu::lanes::{Lanes, REDUCTION_LANES, Vector, join};

/// `dw[o, j] = sum over examples and positions of dy[b, o, t] windows[b, j, t]`, added to `dw` where
/// `accumulate`.
#[inline(always)]
pub(super) fn window_products<L: Lanes>(
    lanes: L,
    shape: Conv1dShape,
    dy: &[f32],
    windows: Windows<'_>,
    dw: &mut [f32],
    accumulate: bool,
) {
    let products = Products { shape, dy, windows };
    let (patch, out_channels) = (shape.patch(), shape.out_channels);
    for out in (0..out_channels).step_by(BLOCK_OUT) {
        for row in (0..patch).step_by(BLOCK_ROWS) {
            let (n_out, n_rows) = (BLOCK_OUT.min(out_channels - out), BLOCK_ROWS.min(patch - row));
            let sums: Sums = match (n_out, n_rows) {
                (BLOCK_OUT, BLOCK_ROWS) => {
                    products.block::<L, BLOCK_OUT, BLOCK_ROWS>(lanes, out, row)
                }
                (BLOCK_OUT, 1) => products.block::<L, BLOCK_OUT, 1>(lanes, out, row),
                (1, BLOCK_ROWS) => products.block::<L, 1, BLOCK_ROWS>(lanes, out, row),
                _ => products.ragged(lanes, out..out + n_out, row..row + n_rows),
            };
            for (i, sums) in sums[..n_out].iter().enumerate() {
                let dw = &mut dw[(out + i) * patch + row..][..n_rows];
                for (dw, sum) in dw.iter_mut().zip(sums) {
                    *dw = if accumulate { *dw + sum } else { *sum };
                }
            }
        }
    }
}

/// Output channels and windows multiplied together: with what they multiply, as many registers as AVX2
/// has.
const BLOCK_OUT: usize = 4;
const BLOCK_ROWS: usize = 3;

type Sums = [[f32; BLOCK_ROWS]; BLOCK_OUT];

#[derive(Clone, Copy)]
struct Products<'a> {
    shape: Conv1dShape,
    dy: &'a [f32],
    windows: Windows<'a>,
}

impl Products<'_> {
    /// A block that is not full, product by product.
    #[inline(always)]
    fn ragged<L: Lanes>(
        self,
        lanes: L,
        out: core::ops::Range<usize>,
        rows: core::ops::Range<usize>,
    ) -> Sums {
        let mut sums = Sums::default();
        for (out, sums) in out.zip(&mut sums) {
            for (row, sum) in rows.clone().zip(sums) {
                *sum = self.block::<L, 1, 1>(lanes, out, row)[0][0];
            }
        }
        sums
    }

    /// Output channels from `out` on with windows from `row` on.
    #[inline(always)]
    fn block<L: Lanes, const OUT: usize, const ROWS: usize>(
        self,
        lanes: L,
        out: usize,
        row: usize,
    ) -> Sums {
        let (out_len, channels) = (self.shape.out_len(), self.shape.out_channels);
        let mut starts = [0; ROWS];
        for (i, start) in starts.iter_mut().enumerate() {
            *start = self.windows.row(row + i);
        }
        let mut parts = [[[0.0; REDUCTION_LANES]; ROWS]; OUT];
        for part in (0..REDUCTION_LANES.min(out_len)).step_by(L::LANES) {
            let mut sums = [[Vector::splat(lanes, 0.0); ROWS]; OUT];
            for example in 0..self.shape.batch {
                let dy = &self.dy[(example * channels + out) * out_len..][..OUT * out_len];
                let windows = self.windows.example(example);
                for start in starts {
                    assert!(start + out_len <= windows.len(), "windows lie within the example");
                }
                let operands = Operands { out_len, dy, windows, starts };
                let mut at = part;
                while at + L::LANES <= out_len {
                    // SAFETY: a register of positions is left.
                    unsafe { operands.multiply::<L, OUT, false>(lanes, at, &mut sums) };
                    at += REDUCTION_LANES;
                }
                if at < out_len {
                    // SAFETY: masked, positions end where `out_len` says.
                    unsafe { operands.multiply::<L, OUT, true>(lanes, at, &mut sums) };
                }
            }
            for (sums, parts) in sums.iter().zip(&mut parts) {
                for (sum, parts) in sums.iter().zip(parts) {
                    sum.store(&mut parts[part..]);
                }
            }
        }
        let mut joined = Sums::default();
        for (parts, joined) in parts.iter().zip(&mut joined) {
            for (parts, joined) in parts.iter().zip(joined) {
                *joined = joined_parts(lanes, parts);
            }
        }
        joined
    }
}

/// What one example gives a block.
#[derive(Clone, Copy)]
struct Operands<'a, const ROWS: usize> {
    out_len: usize,
    /// Output channels of the block, `out_len` apart.
    dy: &'a [f32],
    windows: &'a [f32],
    /// Where the windows of the block begin.
    starts: [usize; ROWS],
}

impl<const ROWS: usize> Operands<'_, ROWS> {
    /// Adds the products of a register of positions from `at` on, if `MASKED` of those there are.
    ///
    /// # Safety
    ///
    /// `dy` holds `OUT` rows of `out_len`, and each window is as long within `windows`; unless `MASKED`, a
    /// register of positions is left.
    #[inline(always)]
    unsafe fn multiply<L: Lanes, const OUT: usize, const MASKED: bool>(
        &self,
        lanes: L,
        at: usize,
        sums: &mut [[Vector<L>; ROWS]; OUT],
    ) {
        let mask = lanes.first(self.out_len - at);
        let load = |row: *const f32| {
            // SAFETY: the caller's promise; the mask ends where the row does.
            let raw = unsafe {
                let src = row.add(at);
                if MASKED { lanes.load_masked(mask, src) } else { lanes.load(src) }
            };
            Vector::new(lanes, raw)
        };
        let mut right = [Vector::splat(lanes, 0.0); ROWS];
        for (right, start) in right.iter_mut().zip(&self.starts) {
            *right = load(self.windows.as_ptr().wrapping_add(*start));
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            let left = load(self.dy.as_ptr().wrapping_add(i * self.out_len));
            for (sum, right) in sums.iter_mut().zip(&right) {
                *sum = left.mul_add(*right, *sum);
            }
        }
    }
}

/// Sixteen partial sums, joined.
#[inline(always)]
fn joined_parts<L: Lanes>(lanes: L, parts: &[f32; REDUCTION_LANES]) -> f32 {
    let mut registers = [Vector::splat(lanes, 0.0); REDUCTION_LANES];
    for (register, part) in registers.iter_mut().zip(parts.chunks_exact(L::LANES)) {
        *register = Vector::load(lanes, part);
    }
    join(
        registers,
        #[inline(always)]
        |a, b| a + b,
    )
}
