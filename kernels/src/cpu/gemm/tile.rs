//! Register tiles: the loops that multiply.

use super::Output;
use crate::cpu::activation::rectify;
use crate::cpu::dispatch::Once;
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::place::{Dst, Src};

/// A tile of `C`, and all of its rows of `A` and columns of `B`.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) k: usize,
    pub(super) a: Src,
    pub(super) a_row: usize,
    pub(super) a_column: usize,
    pub(super) b: Src,
    pub(super) b_row: usize,
    pub(super) c: Dst,
    pub(super) c_row: usize,
    /// At least one, at most the width of the tile.
    pub(super) n_columns: usize,
    /// Whether the last register of a row of `B` ends beyond it.
    pub(super) b_masked: bool,
    pub(super) output: Output,
    /// Added to each row of `C`.
    pub(super) bias: Option<Src>,
    /// Added to each column of `C`.
    pub(super) row_bias: Option<Src>,
    /// Whether negative numbers then become zero.
    pub(super) rectify: bool,
}

/// Runs the tile product compiled for its rows, vectors and layout.
///
/// # Safety
///
/// As for [`tile_product`].
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(lanes: L, n_rows: usize, tile: Tile) {
    let one_vector = tile.n_columns <= L::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        match (tile.a_row == 1, one_vector, tile.b_masked) {
            (false, true, false) => choose_height::<L, 1, false, false>(lanes, n_rows, tile),
            (false, true, true) => choose_height::<L, 1, true, false>(lanes, n_rows, tile),
            (false, false, false) => choose_height::<L, 2, false, false>(lanes, n_rows, tile),
            (false, false, true) => choose_height::<L, 2, true, false>(lanes, n_rows, tile),
            (true, true, false) => choose_height::<L, 1, false, true>(lanes, n_rows, tile),
            (true, true, true) => choose_height::<L, 1, true, true>(lanes, n_rows, tile),
            (true, false, false) => choose_height::<L, 2, false, true>(lanes, n_rows, tile),
            (true, false, true) => choose_height::<L, 2, true, true>(lanes, n_rows, tile),
        }
    }
}

/// Runs the tile product compiled for a height.
///
/// # Safety
///
/// As for [`tile_product`].
#[inline(always)]
unsafe fn choose_height<
    L: Lanes,
    const VECTORS: usize,
    const MASKED: bool,
    const UNIT_ROWS: bool,
>(
    lanes: L,
    n_rows: usize,
    tile: Tile,
) {
    macro_rules! heights {
        ($($rows:literal)*) => {
            match n_rows {
                $($rows if const { $rows <= L::TILE_ROWS[VECTORS - 1] } => {
                    let once = Once;
                    lanes.call(#[inline(always)] || {
                        let _consumed = once;
                        // SAFETY: the caller's promise.
                        unsafe { tile_product::<L, $rows, VECTORS, MASKED, UNIT_ROWS>(lanes, tile) }
                    });
                })*
                _ => unreachable!("tiles are no taller than TILE_ROWS"),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
}

/// `ROWS` rows and `VECTORS` registers of `C`, from first to last `k`.
///
/// # Safety
///
/// `a` is readable at `i * a_row + l * a_column` for `i < ROWS`, `l < k`; `b` is readable at `l * b_row + j` for `j < n_columns`, and unless `MASKED` for whole registers; `c` is
/// readable and
/// writable at `i * c_row + j`, and `bias` readable, for `j < n_columns`, and `row_bias` at `i`. `VECTORS` registers hold `n_columns`, and one less do
/// not.
#[inline(always)]
unsafe fn tile_product<
    L: Lanes,
    const ROWS: usize,
    const VECTORS: usize,
    const MASKED: bool,
    const UNIT_ROWS: bool,
>(
    lanes: L,
    tile: Tile,
) {
    let mask = lanes.first(tile.n_columns - (VECTORS - 1) * L::LANES);
    let mut sums = [[lanes.splat(0.0); VECTORS]; ROWS];
    if tile.output == Output::Continue {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: row `i` of the tile; `mask` ends where its columns do.
            *sums = unsafe {
                load_row::<L, VECTORS, true>(lanes, mask, tile.c.src().add(i * tile.c_row))
            };
        }
    }
    let mut cursor = Cursor::<ROWS, UNIT_ROWS>::new(tile);
    for _ in 0..tile.k / Cursor::<ROWS, UNIT_ROWS>::UNROLL {
        for step in 0..Cursor::<ROWS, UNIT_ROWS>::UNROLL {
            // SAFETY: `UNROLL` steps are left.
            unsafe { cursor.multiply::<L, VECTORS, MASKED>(lanes, mask, step, &mut sums) };
        }
        cursor.advance(Cursor::<ROWS, UNIT_ROWS>::UNROLL);
    }
    for _ in 0..tile.k % Cursor::<ROWS, UNIT_ROWS>::UNROLL {
        // SAFETY: a step is left.
        unsafe { cursor.multiply::<L, VECTORS, MASKED>(lanes, mask, 0, &mut sums) };
        cursor.advance(1);
    }
    if let Some(bias) = tile.bias {
        // SAFETY: the bias has `n_columns` values; `mask` ends where they do.
        let bias = unsafe { load_row::<L, VECTORS, true>(lanes, mask, bias) };
        for sums in &mut sums {
            for (sum, bias) in sums.iter_mut().zip(&bias) {
                *sum = lanes.add(*sum, *bias);
            }
        }
    }
    if let Some(bias) = tile.row_bias {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the bias has a value a row.
            let bias = lanes.splat(unsafe { bias.add(i).read() });
            for sum in sums {
                *sum = lanes.add(*sum, bias);
            }
        }
    }
    if tile.rectify {
        for sum in sums.as_flattened_mut() {
            *sum = rectify(Vector::new(lanes, *sum)).raw;
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        // SAFETY: row `i` of the tile; `mask` ends where its columns do.
        unsafe { store_row(lanes, mask, tile.c.add(i * tile.c_row), *sums, tile.output) };
    }
}

/// `VECTORS` registers of a row, the last of them within `mask` if `MASKED`.
///
/// # Safety
///
/// `src` is readable for as much.
#[inline(always)]
unsafe fn load_row<L: Lanes, const VECTORS: usize, const MASKED: bool>(
    lanes: L,
    mask: L::Mask,
    src: Src,
) -> [L::F32; VECTORS] {
    let mut values = [lanes.splat(0.0); VECTORS];
    for (v, value) in values.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *value = unsafe {
            let src = src.add(v * L::LANES);
            if MASKED && v == VECTORS - 1 { lanes.load_masked(mask, src) } else { lanes.load(src) }
        };
    }
    values
}

/// Stores, or adds, `VECTORS` registers to a row, the last of them within `mask`.
///
/// # Safety
///
/// `dst` is readable and writable for as much.
#[inline(always)]
unsafe fn store_row<L: Lanes, const VECTORS: usize>(
    lanes: L,
    mask: L::Mask,
    dst: Dst,
    mut sums: [L::F32; VECTORS],
    output: Output,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if output == Output::Add {
            let before = load_row::<L, VECTORS, true>(lanes, mask, dst.src());
            for (sum, before) in sums.iter_mut().zip(&before) {
                *sum = lanes.add(*before, *sum);
            }
        }
        for (v, sum) in sums.iter().enumerate() {
            let dst = dst.add(v * L::LANES);
            if v == VECTORS - 1 {
                lanes.store_masked(mask, dst, *sum);
            } else {
                lanes.store(dst, *sum);
            }
        }
    }
}

/// Rows of a tile that share a pointer: an x86 address adds none, one or two strides to it.
///
/// Left to itself, the compiler steps one pointer from row to row, a chain slower than the
/// multiply-adds, or keeps a pointer for every row, more than there are registers. It must not see that
/// the pointers are related: see [`Src::opaque`].
const GROUP_ROWS: usize = 3;
const MAX_GROUPS: usize = 5;

/// Where a tile reads: `A` a group of rows at a pointer, and `B`.
struct Cursor<const ROWS: usize, const UNIT_ROWS: bool> {
    groups: [Src; MAX_GROUPS],
    a_row: usize,
    a_column: usize,
    b: Src,
    b_row: usize,
}

impl<const ROWS: usize, const UNIT_ROWS: bool> Cursor<ROWS, UNIT_ROWS> {
    /// Steps along `k` between two moves of the pointers.
    ///
    /// Moving them takes slots of the units that multiply. Where `A` lies by columns there is one to
    /// move, and no need.
    const UNROLL: usize = if UNIT_ROWS { 1 } else { 4 };

    #[inline(always)]
    fn new(tile: Tile) -> Self {
        let Tile { a, a_row, a_column, b, b_row, .. } = tile;
        let mut groups = [a; MAX_GROUPS];
        if !UNIT_ROWS {
            for (g, group) in groups.iter_mut().enumerate() {
                *group = a.wrapping_add(g * GROUP_ROWS * a_row).opaque();
            }
        }
        Self { groups, a_row, a_column, b, b_row }
    }

    /// Adds the products of one step, `step` after where the cursor stands.
    ///
    /// # Safety
    ///
    /// `A` and `B` are readable there; see [`tile_product`].
    #[inline(always)]
    unsafe fn multiply<L: Lanes, const VECTORS: usize, const MASKED: bool>(
        &self,
        lanes: L,
        mask: L::Mask,
        step: usize,
        sums: &mut [[L::F32; VECTORS]; ROWS],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let b = self.b.add(step * self.b_row);
            let columns = load_row::<L, VECTORS, MASKED>(lanes, mask, b);
            for (i, sums) in sums.iter_mut().enumerate() {
                let factor = if UNIT_ROWS {
                    self.groups[0].add(step * self.a_column + i)
                } else {
                    self.groups[i / GROUP_ROWS].add(i % GROUP_ROWS * self.a_row + step)
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
        if UNIT_ROWS {
            self.groups[0] = self.groups[0].wrapping_add(n_steps * self.a_column);
        } else {
            for group in &mut self.groups[..ROWS.div_ceil(GROUP_ROWS)] {
                *group = group.wrapping_add(n_steps).opaque();
            }
        }
        self.b = self.b.wrapping_add(n_steps * self.b_row);
    }
}
