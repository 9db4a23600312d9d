//! Copies of parts of `A` and `B`, laid out as tiles read them.

use crate::cpu::lanes::Lanes;
use crate::cpu::place::{Dst, Src};

/// Copies `n_columns` columns of a row-major matrix.
///
/// # Safety
///
/// `src` is readable for `n_columns` values in each of `k` rows, `stride` apart; `dst` is writable for
/// `width * k` values, and `n_columns <= width`.
#[inline(always)]
pub(super) unsafe fn pack_plain<L: Lanes>(
    lanes: L,
    src: Src,
    stride: usize,
    n_columns: usize,
    k: usize,
    dst: Dst,
    width: usize,
) {
    for part in (0..n_columns).step_by(L::LANES) {
        let mask = lanes.first(n_columns - part);
        for l in 0..k {
            // SAFETY: `mask` ends where the columns do; a part of the panel is `LANES` wide.
            unsafe {
                let value = lanes.load_masked(mask, src.add(l * stride + part));
                lanes.store(dst.add(l * width + part), value);
            }
        }
    }
}

/// Copies `n_rows` rows of a row-major matrix as columns.
///
/// # Safety
///
/// `src` is readable for `k` values in each of `n_rows` rows, `stride` apart; `dst` is writable for
/// `width * k` values, and `n_rows <= width`.
#[inline(always)]
pub(super) unsafe fn pack_transposed<L: Lanes>(
    lanes: L,
    src: Src,
    stride: usize,
    n_rows: usize,
    k: usize,
    dst: Dst,
    width: usize,
) {
    for part in (0..n_rows).step_by(L::LANES) {
        // SAFETY: row `part` is within the matrix, and a part of the panel is `LANES` wide; a product of no
        // depth has neither.
        unsafe {
            lanes.pack_rows(
                src.wrapping_add(part * stride),
                stride,
                n_rows - part,
                k,
                dst.wrapping_add(part),
                width,
            );
        }
    }
}

/// Copies `n_rows` rows of a matrix that lies by columns, `stride` apart.
///
/// # Safety
///
/// `src` is readable for `n_rows` values in each of `k` columns; `dst` is writable for `n_rows * k`
/// values.
#[inline(always)]
pub(super) unsafe fn pack_left<L: Lanes>(
    lanes: L,
    src: Src,
    stride: usize,
    n_rows: usize,
    k: usize,
    dst: Dst,
) {
    for part in (0..n_rows).step_by(L::LANES) {
        let mask = lanes.first(n_rows - part);
        for l in 0..k {
            // SAFETY: `mask` ends where the rows do.
            unsafe {
                let value = lanes.load_masked(mask, src.add(l * stride + part));
                lanes.store_masked(mask, dst.add(l * n_rows + part), value);
            }
        }
    }
}
