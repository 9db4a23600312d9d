//! Products of weights with windows of planes.
//!
//! A product is cut into tiles that stay in registers while the taps run from first to last. Vectors
//! lie along positions. There are two ways for them to get there:
//!
//! - **in place**: a register is a run of one row of outputs, read from the planes where it lies. The
//!   last of a row is cut, so rows should be nearly a whole number of registers long.
//! - **packed**: a panel of outputs that follow each other, over rows and examples, is copied for all
//!   taps, with nothing cut, and read by all tiles of rows.

use super::tile::{self, Tile, max_rows};
use super::windows::{TABLE_LEN, Table, Windows};
use crate::cpu::dispatch::Once;
use crate::cpu::gemm::Output;
use crate::cpu::lanes::Lanes;
use crate::cpu::place::{Dst, Src};

/// `C[example, row, position] = sum over l of W[row, l] window[example, position, l]`
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) windows: Windows<'a>,
    /// Rows of `W`.
    pub(super) m: usize,
    /// `W` as [`Filter::pack`] lays it out.
    pub(super) weights: &'a [f32],
    /// How far apart examples lie in `C`.
    pub(super) c_example: usize,
    pub(super) output: Output,
    /// Added to the rows.
    pub(super) bias: Option<&'a [f32]>,
    /// Whether negative numbers then become zero.
    pub(super) rectify: bool,
}

/// Widest panel of any unit.
const MAX_PANEL: usize = 128;

/// Values of a packed panel: two thirds of a first-level cache of 48 KiB.
pub(super) const PANEL_LEN: usize = 8192;

/// Scratch, in values, that a product of `m` rows takes: a panel, and outputs of a panel.
pub(super) fn scratch_len(m: usize) -> usize {
    PANEL_LEN + MAX_PANEL * (m + 1)
}

/// Vectors of a tile of a product of `m` rows: as many as registers hold above tiles as tall as those of
/// two vectors would be.
fn n_vectors<L: Lanes>(m: usize) -> usize {
    match m.div_ceil(m.div_ceil(max_rows::<L>(2)).max(1)) {
        height if height <= max_rows::<L>(8) => 8,
        height if height <= max_rows::<L>(4) => 4,
        height if height <= max_rows::<L>(3) => 3,
        _ => 2,
    }
}

/// The heights of tiles that cover some rows: as few as can be, and nearly alike.
#[derive(Clone, Copy)]
pub(super) struct Heights {
    height: usize,
    n_taller: usize,
    n_tiles: usize,
}

impl Heights {
    pub(super) fn of(m: usize, max_rows: usize) -> Self {
        let n_tiles = m.div_ceil(max_rows);
        let height = m.checked_div(n_tiles).unwrap_or(0);
        Self { height, n_taller: m - height * n_tiles, n_tiles }
    }

    fn of_product<L: Lanes>(m: usize) -> Self {
        Self::of(m, max_rows::<L>(n_vectors::<L>(m)))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.n_tiles).map(move |tile| self.height + usize::from(tile < self.n_taller))
    }
}

/// `W[m, n_channels * taps]` among weights, where rows and channels lie at their strides.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    pub(super) values: &'a [f32],
    pub(super) m: usize,
    pub(super) n_channels: usize,
    pub(super) row: usize,
    pub(super) channel: usize,
    /// Rows and columns of taps.
    pub(super) n_taps: [usize; 2],
    /// Where the first tap lies, and how far apart rows and columns of taps do.
    pub(super) first: usize,
    pub(super) tap: [isize; 2],
}

impl Filter<'_> {
    /// Lays `W` out as the tiles of [`Product::run`] read it: `f32[k, height]` for each.
    #[inline(always)]
    pub(super) fn pack<L: Lanes>(self, packed: &mut [f32]) {
        let mut packed = packed.iter_mut();
        let mut row = 0;
        for height in Heights::of_product::<L>(self.m).iter() {
            for channel in 0..self.n_channels {
                let mut line = row * self.row + channel * self.channel + self.first;
                for _ in 0..self.n_taps[0] {
                    let mut at = line;
                    for _ in 0..self.n_taps[1] {
                        let values = self.values[at..].iter().step_by(self.row).take(height);
                        values.zip(packed.by_ref()).for_each(|(w, to)| *to = *w);
                        at = at.wrapping_add_signed(self.tap[1]);
                    }
                    line = line.wrapping_add_signed(self.tap[0]);
                }
            }
            row += height;
        }
    }
}

impl Product<'_> {
    /// Computes `c`, from the first row of the first example on.
    #[inline(always)]
    pub(super) fn run<L: Lanes>(
        &self,
        lanes: L,
        c: &mut [f32],
        table: &mut Table,
        scratch: &mut [f32],
    ) {
        if self.m == 0 || self.windows.n_examples == 0 || self.windows.positions() == 0 {
            return;
        }
        let c_len =
            (self.windows.n_examples - 1) * self.c_example + self.m * self.windows.positions();
        assert!(c_len <= c.len(), "C holds every example");
        assert!(self.m * self.windows.k() <= self.weights.len(), "W is f32[m, k]");
        self.windows.assert_within();
        assert!(scratch_len(self.m) <= scratch.len(), "scratch is too short");
        assert!(self.bias.is_none_or(|bias| bias.len() == self.m), "a bias a row");
        // One copy of this code for each unit: it is long.
        let once = Once;
        lanes.call(
            #[inline(always)]
            || {
                let _consumed = once;
                // SAFETY: the lengths asserted above.
                unsafe {
                    match n_vectors::<L>(self.m) {
                        8 => self.run_in::<L, 8>(lanes, c, table, scratch),
                        4 => self.run_in::<L, 4>(lanes, c, table, scratch),
                        3 => self.run_in::<L, 3>(lanes, c, table, scratch),
                        _ => self.run_in::<L, 2>(lanes, c, table, scratch),
                    }
                }
            },
        );
    }

    /// [`Self::run`] in tiles of so many vectors.
    ///
    /// # Safety
    ///
    /// The lengths are as the fields say.
    #[inline(always)]
    unsafe fn run_in<L: Lanes, const VECTORS: usize>(
        &self,
        lanes: L,
        c: &mut [f32],
        table: &mut Table,
        scratch: &mut [f32],
    ) {
        if self.packs::<L>() {
            // SAFETY: the caller's promise.
            return unsafe { self.packed::<L, VECTORS>(lanes, c, table, scratch) };
        }
        for from in (0..self.windows.k().max(1)).step_by(TABLE_LEN) {
            let offsets = table.hold(self.windows.taps(from, TABLE_LEN));
            let block = self.block::<L>(from, offsets, self.output, self.windows.positions());
            // SAFETY: the caller's promise.
            unsafe { block.in_place::<L, VECTORS>(lanes, c) };
        }
    }

    /// A block of taps.
    pub(super) fn block<'a, L: Lanes>(
        &'a self,
        from: usize,
        offsets: &'a [u32],
        output: Output,
        c_row: usize,
    ) -> Block<'a> {
        let heights = Heights::of_product::<L>(self.m);
        Block { product: self, from, offsets, output, c_row, k: self.windows.k(), heights }
    }

    /// Whether copying panels costs less than the ends of rows that are multiplied in vain.
    ///
    /// In quarters of a cycle for one tap of a row of outputs: two rows of `W` are multiplied a cycle. What a
    /// copy costs was measured with both forced, on rows of 4 to 32 outputs and 8 to 64 rows of `W`: two
    /// cycles a register, more for each row of outputs it spans, and some for every panel. In shares of the
    /// peak of AVX-512, in place and copied: 0.38 and 0.69 for 64 rows and outputs of 8 x 8, 0.33 and 0.47
    /// for 16 rows of them, 0.61 and 0.45 for 16 rows of 14 x 14, 0.73 and 0.61 for 32 rows of 16 x 16.
    fn packs<L: Lanes>(&self) -> bool {
        let (columns, k) = (self.windows.size[1], self.windows.k());
        // Chains longer than a table can not stop in a C that is added to.
        let stops = self.output == Output::Add && TABLE_LEN < k;
        let wasted = 2 * self.m * (columns.next_multiple_of(L::LANES) - columns);
        let copied = 8 * columns + 5 * (columns + L::LANES - 1) + 320 * columns / k.max(1);
        stops || copied < wasted
    }
}

/// Taps whose offsets are in the table.
pub(super) struct Block<'a> {
    pub(super) product: &'a Product<'a>,
    /// Number of the first.
    pub(super) from: usize,
    pub(super) offsets: &'a [u32],
    /// What becomes of `C` by the first block.
    pub(super) output: Output,
    /// How far apart rows lie in `C`.
    pub(super) c_row: usize,
    k: usize,
    heights: Heights,
}

impl Block<'_> {
    /// # Safety
    ///
    /// The lengths of the product are as its fields say.
    #[inline(always)]
    unsafe fn in_place<L: Lanes, const VECTORS: usize>(&self, lanes: L, c: &mut [f32]) {
        let product = self.product;
        let windows = product.windows;
        let [rows, columns] = windows.size;
        let mut next = Next {
            windows,
            register: Register {
                b: Src::of(windows.values).wrapping_add(windows.at(0, 0)),
                c: Dst::of(c),
                n_left: columns,
            },
            rows_left: rows,
            b_jump: windows.example_len.wrapping_sub(rows * windows.planes.size[1]),
            c_jump: product.c_example.wrapping_sub(windows.positions()),
        };
        let mut left = windows.n_examples * rows * columns.div_ceil(L::LANES);
        while 0 < left {
            // SAFETY: the caller's promise.
            unsafe {
                if VECTORS <= left {
                    self.tiles::<L, VECTORS>(lanes, next.take::<L, VECTORS>());
                    left -= VECTORS;
                } else {
                    self.tiles::<L, 1>(lanes, next.take::<L, 1>());
                    left -= 1;
                }
            }
        }
    }

    /// All rows of some registers.
    ///
    /// # Safety
    ///
    /// As for [`tile::run`].
    #[inline(always)]
    pub(super) unsafe fn tiles<L: Lanes, const VECTORS: usize>(
        &self,
        lanes: L,
        registers: [Register; VECTORS],
    ) {
        let product = self.product;
        let last = self.from + self.offsets.len() == self.k;
        let mut tile = Tile {
            depth: self.offsets.len(),
            a: Src::of(product.weights),
            a_row: 0,
            b: [Src::none(); VECTORS],
            offsets: Src::of(self.offsets),
            c: [Dst::none(); VECTORS],
            c_row: self.c_row,
            n_columns: [0; VECTORS],
            output: if self.from == 0 { self.output } else { Output::Continue },
            bias: product.bias.filter(|_| last).map(Src::of),
            rectify: product.rectify && last,
        };
        for (v, register) in registers.iter().enumerate() {
            tile.b[v] = register.b;
            tile.c[v] = register.c;
            tile.n_columns[v] = L::LANES.min(register.n_left);
        }
        for height in self.heights.iter() {
            let a = tile.a;
            tile.a = a.wrapping_add(self.from * height);
            // SAFETY: the caller's promise; heights add up to `m`.
            unsafe { tile::run::<L, VECTORS, true>(lanes, height, tile) };
            tile.a = a.wrapping_add(self.k * height);
            tile.bias = tile.bias.map(|bias| bias.wrapping_add(height));
            for c in &mut tile.c {
                *c = c.wrapping_add(height * self.c_row);
            }
        }
    }
}

/// A register of outputs.
#[derive(Clone, Copy)]
pub(super) struct Register {
    /// Where its windows begin.
    pub(super) b: Src,
    /// Where it goes.
    pub(super) c: Dst,
    /// Outputs left in its row.
    pub(super) n_left: usize,
}

/// The registers of all examples, one after the other.
struct Next<'a> {
    windows: Windows<'a>,
    register: Register,
    /// Rows left in the example.
    rows_left: usize,
    /// From the row after the last of an example to the first of the next.
    b_jump: usize,
    c_jump: usize,
}

impl Next<'_> {
    #[inline(always)]
    fn take<L: Lanes, const VECTORS: usize>(&mut self) -> [Register; VECTORS] {
        let mut taken = [self.register; VECTORS];
        for register in &mut taken {
            *register = self.register;
            self.advance::<L>();
        }
        taken
    }

    #[inline(always)]
    fn advance<L: Lanes>(&mut self) {
        let Register { b, c, n_left } = &mut self.register;
        if L::LANES < *n_left {
            *b = b.wrapping_add(L::LANES);
            *c = c.wrapping_add(L::LANES);
            *n_left -= L::LANES;
            return;
        }
        let [columns, pitch] = [self.windows.size[1], self.windows.planes.size[1]];
        *b = b.wrapping_add(pitch - (columns - *n_left));
        *c = c.wrapping_add(*n_left);
        *n_left = columns;
        self.rows_left -= 1;
        if self.rows_left == 0 {
            self.rows_left = self.windows.size[0];
            *b = b.wrapping_add(self.b_jump);
            *c = c.wrapping_add(self.c_jump);
        }
    }
}
