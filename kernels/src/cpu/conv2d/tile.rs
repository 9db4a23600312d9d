//! Register tiles: the loop that multiplies.

use crate::cpu::dispatch::Once;
use crate::cpu::gemm::Output;
use crate::cpu::lanes::Lanes;
use crate::cpu::place::{Dst, Src};

/// `C[ROWS, VECTORS registers]`, whose registers lie anywhere: `C` is the sum over steps `l` of
/// `A[i, l]` times the register that starts `offsets[l]` after where its column of `B` does.
///
/// A window moves over an image by its offsets, so that one tile serves every kernel, stride and order
/// of positions; and registers of a tile may come from different rows of the image.
#[derive(Clone, Copy)]
pub(super) struct Tile<const VECTORS: usize> {
    pub(super) depth: usize,
    /// Element `(i, l)` is at `i * a_row + l`, or at `l * ROWS + i` where `a_row` is zero.
    pub(super) a: Src,
    pub(super) a_row: usize,
    pub(super) b: [Src; VECTORS],
    pub(super) offsets: Src<u32>,
    pub(super) c: [Dst; VECTORS],
    pub(super) c_row: usize,
    /// Columns of each register that `C` has.
    pub(super) n_columns: [usize; VECTORS],
    pub(super) output: Output,
    /// Added to the rows: `f32[ROWS]`.
    pub(super) bias: Option<Src>,
    /// Whether negative numbers then become zero.
    pub(super) rectify: bool,
}

/// Tallest tile that is `n_vectors` wide.
///
/// Sums, a register for each vector and one to broadcast fit the 32 registers of AVX-512, and the 16 of
/// AVX2. One vector is what is left over, and one lane is compiled to be right, not fast.
pub(super) const fn max_rows<L: Lanes>(n_vectors: usize) -> usize {
    match L::LANES {
        16 => [0, 12, 12, 8, 6, 0, 0, 0, 2][n_vectors],
        8 => [0, 6, 6, 4, 2, 0, 0, 0, 1][n_vectors],
        _ => [0, 2, 2, 2, 2, 0, 0, 0, 1][n_vectors],
    }
}

/// Runs the tile compiled for a number of rows.
///
/// # Safety
///
/// `a` is readable at every `(i, l)` for `i < n_rows`, `l < depth`; whole registers are readable at every
/// `b + offset`; `offsets` has `depth` values; `c` is readable and writable for `n_columns`, `c_row`
/// apart for each row; `n_rows` is at least one and at most [`max_rows`]; `PACKED` where `a_row` is zero.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes, const VECTORS: usize, const PACKED: bool>(
    lanes: L,
    n_rows: usize,
    tile: Tile<VECTORS>,
) {
    macro_rules! heights {
        ($($rows:literal)*) => {
            match n_rows {
                $($rows if const { $rows <= max_rows::<L>(VECTORS) } => {
                    let once = Once;
                    lanes.call(#[inline(always)] || {
                        let _consumed = once;
                        // SAFETY: the caller's promise.
                        unsafe { tile_product::<L, $rows, VECTORS, PACKED>(lanes, tile) }
                    });
                })*
                _ => unreachable!("tiles are no taller than `max_rows`"),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// # Safety
///
/// As for [`run`].
#[inline(always)]
unsafe fn tile_product<L: Lanes, const ROWS: usize, const VECTORS: usize, const PACKED: bool>(
    lanes: L,
    tile: Tile<VECTORS>,
) {
    let mut sums = [[lanes.splat(0.0); VECTORS]; ROWS];
    if tile.output == Output::Continue {
        for (i, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: row `i` of `c`, as far as it goes.
                *sum = unsafe { load_columns(lanes, &tile, i, v) };
            }
        }
    }
    let mut rows = Rows::<ROWS, PACKED>::new(tile.a, tile.a_row);
    let mut offsets = tile.offsets;
    for _ in 0..tile.depth / Rows::<ROWS, PACKED>::UNROLL {
        for step in 0..Rows::<ROWS, PACKED>::UNROLL {
            // SAFETY: `UNROLL` steps are left.
            unsafe { rows.multiply(lanes, &tile, offsets.add(step), step, &mut sums) };
        }
        rows.advance(Rows::<ROWS, PACKED>::UNROLL);
        offsets = offsets.wrapping_add(Rows::<ROWS, PACKED>::UNROLL);
    }
    for _ in 0..tile.depth % Rows::<ROWS, PACKED>::UNROLL {
        // SAFETY: a step is left.
        unsafe { rows.multiply(lanes, &tile, offsets, 0, &mut sums) };
        rows.advance(1);
        offsets = offsets.wrapping_add(1);
    }
    // SAFETY: the caller's promise.
    unsafe { finish(lanes, &tile, &mut sums) };
}

/// Adds the bias, rectifies and writes.
///
/// # Safety
///
/// As for [`run`].
#[inline(always)]
unsafe fn finish<L: Lanes, const ROWS: usize, const VECTORS: usize>(
    lanes: L,
    tile: &Tile<VECTORS>,
    sums: &mut [[L::F32; VECTORS]; ROWS],
) {
    if let Some(bias) = tile.bias {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the bias has a value a row.
            let bias = lanes.splat(unsafe { bias.add(i).read() });
            for sum in sums {
                *sum = lanes.add(*sum, bias);
            }
        }
    }
    if tile.rectify {
        // The rectifier in one instruction: not a number and the negative zero stay.
        for sum in sums.as_flattened_mut() {
            *sum = lanes.max(*sum, lanes.splat(0.0));
        }
    }
    for v in 0..VECTORS {
        let mask = lanes.first(tile.n_columns[v]);
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: row `i` of `c`, as far as it goes; registers without columns may lie beyond it.
            unsafe {
                let mut sum = sums[v];
                if tile.output == Output::Add {
                    sum = lanes.add(load_columns(lanes, tile, i, v), sum);
                }
                lanes.store_masked(mask, tile.c[v].wrapping_add(i * tile.c_row), sum);
            }
        }
    }
}

/// Register `v` of row `i` of `C`.
///
/// # Safety
///
/// As for [`run`].
#[inline(always)]
unsafe fn load_columns<L: Lanes, const VECTORS: usize>(
    lanes: L,
    tile: &Tile<VECTORS>,
    i: usize,
    v: usize,
) -> L::F32 {
    // SAFETY: the caller's promise.
    unsafe {
        lanes.load_masked(
            lanes.first(tile.n_columns[v]),
            tile.c[v].src().wrapping_add(i * tile.c_row),
        )
    }
}

/// Rows that share a pointer, and such pointers: see `GROUP_ROWS` of the matrix product.
const GROUP_ROWS: usize = 3;
const MAX_GROUPS: usize = 4;

/// Where a tile reads `A`: groups of rows at a pointer each, or all packed at one.
struct Rows<const ROWS: usize, const PACKED: bool> {
    groups: [Src; MAX_GROUPS],
    stride: usize,
}

impl<const ROWS: usize, const PACKED: bool> Rows<ROWS, PACKED> {
    /// Steps between two moves of the pointers, which take slots of the units that multiply.
    const UNROLL: usize = if PACKED { 2 } else { 4 };

    #[inline(always)]
    fn new(a: Src, stride: usize) -> Self {
        let mut groups = [a; MAX_GROUPS];
        if !PACKED {
            for (g, group) in groups.iter_mut().enumerate() {
                *group = a.wrapping_add(g * GROUP_ROWS * stride).opaque();
            }
        }
        Self { groups, stride }
    }

    /// Adds the products of one step, `step` after where the pointers stand.
    ///
    /// # Safety
    ///
    /// See [`run`].
    #[inline(always)]
    unsafe fn multiply<L: Lanes, const VECTORS: usize>(
        &self,
        lanes: L,
        tile: &Tile<VECTORS>,
        offset: Src<u32>,
        step: usize,
        sums: &mut [[L::F32; VECTORS]; ROWS],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let offset = offset.read() as usize;
            let mut columns = [lanes.splat(0.0); VECTORS];
            for (column, b) in columns.iter_mut().zip(&tile.b) {
                *column = lanes.load(b.add(offset));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let factor = if PACKED {
                    self.groups[0].add(step * ROWS + i)
                } else {
                    self.groups[i / GROUP_ROWS].add(i % GROUP_ROWS * self.stride + step)
                };
                let factor = lanes.splat(factor.read());
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    *sum = lanes.mul_add(factor, *column, *sum);
                }
            }
        }
    }

    #[inline(always)]
    fn advance(&mut self, n_steps: usize) {
        if PACKED {
            self.groups[0] = self.groups[0].wrapping_add(n_steps * ROWS);
        } else {
            for group in &mut self.groups[..ROWS.div_ceil(GROUP_ROWS)] {
                *group = group.wrapping_add(n_steps).opaque();
            }
        }
    }
}
