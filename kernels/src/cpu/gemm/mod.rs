//! The matrix product: one chain of fused multiply-adds per output element.
//!
//! `C[m, n]` is cut into tiles that stay in registers while `k` runs from first to last, and vectors
//! lie along `n`, so that the chain of an element never depends on the tile it fell into, nor on the
//! vector unit. A deep product runs in blocks of `k`, each going on from the sums of the one before:
//! the same chain, with a stop in memory.

mod pack;
mod tile;

use super::lanes::Lanes;
use crate::cpu::place::{Dst, Src};
use pack::{pack_left, pack_plain, pack_transposed};
use tile::Tile;

/// `A[m, k]` by its strides, one of them 1: element `(i, l)` is at `i * row + l * column`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// `B[k, n]`.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Row-major, `f32[k, n]`.
    Plain(&'a [f32]),
    /// By its transpose, `f32[n, k]`.
    Transposed(&'a [f32]),
}

/// What becomes of `C`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The chains start from zero and replace what was there.
    Replace,
    /// The chains start from zero and, finished, are added to what was there.
    Add,
    /// The chains go on from what was there.
    Continue,
}

/// What is done to the finished sums as they leave the registers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    /// Added to each row: `f32[n]`.
    pub(crate) bias: Option<&'a [f32]>,
    /// Whether negative numbers then become zero.
    pub(crate) rectify: bool,
}

impl<'a> From<Finish<'a>> for Ending<'a> {
    fn from(Finish { bias, rectify }: Finish<'a>) -> Self {
        Self { bias, row_bias: None, rectify }
    }
}

/// [`Finish`], with a bias for columns or for rows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ending<'a> {
    /// Added to each row: `f32[n]`.
    pub(crate) bias: Option<&'a [f32]>,
    /// Added to each column: `f32[m]`.
    pub(crate) row_bias: Option<&'a [f32]>,
    /// Whether negative numbers then become zero.
    pub(crate) rectify: bool,
}

/// Rows, columns and depth of a product.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

/// Columns of the widest tile of any vector unit.
const PANEL_COLUMNS: usize = 32;

/// Depth of a block: a panel of `B` this deep takes two thirds of a first-level cache of 48 KiB.
///
/// The best of 96, 128, 192 and 256 on `128 x 784 x 128`, by the benchmark of this crate.
const BLOCK_DEPTH: usize = 256;

/// Scratch that [`product`] needs for `m` rows and a depth of `k`: a panel of `B`, a block of `A`, and
/// slack to align them.
pub(crate) fn scratch_len(m: usize, k: usize) -> usize {
    PANEL_COLUMNS * (k + 1) + m * k.min(BLOCK_DEPTH)
}

/// `C = A B`, with `C` row-major, `f32[m, n]`.
#[inline(always)]
pub(crate) fn product<L: Lanes>(
    lanes: L,
    extent: Extent,
    a: Left<'_>,
    b: Right<'_>,
    c: &mut [f32],
    output: Output,
    scratch: &mut [f32],
) {
    finished_product(lanes, extent, a, b, c, output, Finish::default(), scratch);
}

/// [`product`], with its sums finished on the way.
#[inline(always)]
pub(crate) fn finished_product<L: Lanes>(
    lanes: L,
    extent: Extent,
    a: Left<'_>,
    b: Right<'_>,
    c: &mut [f32],
    output: Output,
    finish: Finish<'_>,
    scratch: &mut [f32],
) {
    ended_product(lanes, extent, a, b, c, output, finish.into(), scratch);
}

/// [`finished_product`], with a bias for columns or for rows.
#[inline(always)]
pub(crate) fn ended_product<L: Lanes>(
    lanes: L,
    extent: Extent,
    a: Left<'_>,
    b: Right<'_>,
    c: &mut [f32],
    output: Output,
    finish: Ending<'_>,
    scratch: &mut [f32],
) {
    let Extent { m, n, k } = extent;
    let elements = |x: usize, y: usize| x.checked_mul(y).expect("a matrix fits in memory");
    assert_eq!(c.len(), elements(m, n), "C is f32[m, n]");
    assert!(a.row == 1 || a.column == 1, "A lies by rows or by columns");
    match b {
        Right::Plain(b) | Right::Transposed(b) => {
            assert_eq!(b.len(), elements(k, n), "B is f32[k, n]");
        }
    }
    assert!(finish.bias.is_none_or(|bias| bias.len() == n), "a bias is f32[n]");
    assert!(finish.row_bias.is_none_or(|bias| bias.len() == m), "a bias of rows is f32[m]");
    assert!(scratch_len(m, k) <= scratch.len(), "scratch is too short");
    if m == 0 || n == 0 {
        return;
    }
    assert!(m <= u32::MAX as usize, "rows are counted in 32 bits");
    if 0 < k {
        let last = elements(m - 1, a.row) + elements(k - 1, a.column);
        assert!(last < a.values.len(), "A is f32[m, k]");
    }
    if n <= L::Narrower::LANES && L::Narrower::LANES < L::LANES {
        // Half of each wide register would multiply nothing; narrow ones are read more at a time.
        let lanes = lanes.narrower();
        return ended_product(lanes, extent, a, b, c, output, finish, scratch);
    }
    // Sums that are added to C when finished can not stop in C.
    let depth = if output == Output::Add || k <= BLOCK_DEPTH {
        k
    } else {
        k.div_ceil(k.div_ceil(BLOCK_DEPTH)).next_multiple_of(4)
    };
    let mut output = output;
    let mut from = 0;
    loop {
        let last = k <= from + depth;
        let finish = if last { finish } else { Ending::default() };
        let block = Block { extent, from, depth: depth.min(k - from), a, b, output, finish };
        // SAFETY: A, B, C and the scratch have the lengths asserted above; blocks end at `k`.
        unsafe { block.run(lanes, Dst::of(c), scratch) };
        if last {
            break;
        }
        from += depth;
        output = Output::Continue;
    }
}

/// One block of `k`.
#[derive(Clone, Copy)]
struct Block<'a> {
    extent: Extent,
    from: usize,
    depth: usize,
    a: Left<'a>,
    b: Right<'a>,
    output: Output,
    finish: Ending<'a>,
}

impl Block<'_> {
    /// # Safety
    ///
    /// `A`, `B` and `c` have the lengths of the extent, which `from + depth` does not exceed, and
    /// `scratch` the length that [`scratch_len`] tells.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self, lanes: L, c: Dst, scratch: &mut [f32]) {
        let Extent { m, n, .. } = self.extent;
        let width = L::LANES * L::TILE_ROWS.len();
        let (panel, left) = aligned(scratch).split_at_mut(width * self.depth);
        let left = self.copies_left(width).then_some(left);
        // SAFETY: the caller's promise; the panel holds `width * depth` values.
        unsafe {
            let left = left.map(|left| self.pack_left(lanes, left));
            for column in (0..n).step_by(width) {
                let n_columns = width.min(n - column);
                let b = self.right(lanes, column, n_columns, Dst::of(panel), width);
                let a = Src::of(self.a.values).wrapping_add(self.from * self.a.column);
                let mut tile = Tile {
                    k: self.depth,
                    a: left.unwrap_or(a),
                    a_row: self.a.row,
                    a_column: self.a.column,
                    b: b.first,
                    b_row: b.row,
                    c: c.add(column),
                    c_row: n,
                    n_columns,
                    b_masked: b.masked,
                    output: self.output,
                    bias: self.finish.bias.map(|bias| Src::of(bias).wrapping_add(column)),
                    row_bias: self.finish.row_bias.map(Src::of),
                    rectify: self.finish.rectify,
                };
                // Copies of `A` are cut for the tiles of two vectors.
                let one_vector = n_columns <= L::LANES && left.is_none();
                for n_rows in heights::<L>(m, one_vector) {
                    let step = if left.is_some() {
                        tile.a_column = n_rows;
                        n_rows * self.depth
                    } else {
                        n_rows * self.a.row
                    };
                    tile::run(lanes, n_rows, tile);
                    tile.a = tile.a.wrapping_add(step);
                    tile.row_bias = tile.row_bias.map(|bias| bias.wrapping_add(n_rows));
                    tile.c = tile.c.wrapping_add(n_rows * n);
                }
            }
        }
    }

    /// Whether `A` lies by columns, is read by many panels and does not stay in the first-level cache:
    /// then a copy, tile after tile, is read faster.
    fn copies_left(&self, width: usize) -> bool {
        let Extent { m, n, .. } = self.extent;
        let fits = self.depth <= BLOCK_DEPTH;
        self.a.row == 1 && fits && 4 * width <= n && 4096 <= m * self.depth
    }

    /// Copies `A` for the tiles of two vectors.
    ///
    /// # Safety
    ///
    /// `A` has the length of the extent.
    #[inline(always)]
    unsafe fn pack_left<L: Lanes>(&self, lanes: L, copy: &mut [f32]) -> Src {
        let mut src = Src::of(self.a.values).wrapping_add(self.from * self.a.column);
        let mut dst = Dst::of(&mut copy[..self.extent.m * self.depth]);
        for n_rows in heights::<L>(self.extent.m, false) {
            // SAFETY: the caller's promise; the heights add up to `m`.
            unsafe { pack_left(lanes, src, self.a.column, n_rows, self.depth, dst) };
            src = src.wrapping_add(n_rows);
            dst = dst.wrapping_add(n_rows * self.depth);
        }
        Src::of(copy)
    }

    /// Columns of `B`, in place or copied to `panel`.
    ///
    /// # Safety
    ///
    /// `B` has the length of the extent; `panel` is writable for `width * depth` values, and
    /// `n_columns <= width`.
    #[inline(always)]
    unsafe fn right<L: Lanes>(
        &self,
        lanes: L,
        column: usize,
        n_columns: usize,
        panel: Dst,
        width: usize,
    ) -> Columns {
        let (Extent { n, k, .. }, depth) = (self.extent, self.depth);
        let masked = !n_columns.is_multiple_of(L::LANES);
        // SAFETY: the caller's promise.
        unsafe {
            match self.b {
                Right::Transposed(b) => {
                    let src = Src::of(b).add(column * k + self.from);
                    pack_transposed(lanes, src, k, n_columns, depth, panel, width);
                }
                Right::Plain(b) => {
                    let first = Src::of(b).wrapping_add(self.from * n + column);
                    if !self.copies_right() {
                        return Columns { first, row: n, masked };
                    }
                    pack_plain(lanes, first, n, n_columns, depth, panel, width);
                }
            }
        }
        Columns { first: panel.src(), row: width, masked: false }
    }

    /// Whether the rows of a panel of a plain `B`, read by several tiles, would push each other out of a
    /// first-level cache of twelve ways of 4 KiB, or lie on more pages than are known at once.
    fn copies_right(&self) -> bool {
        const WAY_BYTES: usize = 4096;
        let stride_bytes = size_of::<f32>() * self.extent.n;
        let apart_bytes = WAY_BYTES.min(1 << stride_bytes.trailing_zeros());
        // Eight ways, and 64 pages of 96, leave some for A and C.
        let conflict = 8 * WAY_BYTES < self.depth * apart_bytes;
        let scattered = 64 * 4096 < self.depth * stride_bytes;
        36 <= self.extent.m && (conflict || scattered)
    }
}

/// Columns of `B` as a tile reads them.
struct Columns {
    first: Src,
    /// How far apart rows lie.
    row: usize,
    /// Whether the last register of a row ends beyond it.
    masked: bool,
}

/// The heights of tiles that cover `m` rows: as few as the unit allows, and nearly alike.
#[inline(always)]
fn heights<L: Lanes>(m: usize, one_vector: bool) -> impl Iterator<Item = usize> {
    // Divisions by constants, and one of 32 bits: they are a part of the cost of a small product.
    let n_tiles =
        if one_vector { m.div_ceil(L::TILE_ROWS[0]) } else { m.div_ceil(L::TILE_ROWS[1]) };
    let (rows, tiles) = (m as u32, n_tiles as u32);
    let (height, n_taller) = (rows / tiles, rows % tiles);
    (0..tiles).map(move |tile| (height + u32::from(tile < n_taller)) as usize)
}

/// `scratch` from a cache line on.
pub(crate) fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let skip = scratch.as_ptr().align_offset(64).min(PANEL_COLUMNS);
    &mut scratch[skip..]
}
