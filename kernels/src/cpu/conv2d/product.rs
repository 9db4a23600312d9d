//! Products of weights with windows of planes.
//!
//! A product is cut into tiles that stay in registers while the taps run from first to last. Vectors
//! lie along positions. There are two ways for them to get there:
//!
//! - **in place**: a register is a run of one row of outputs, read from the planes where it lies. The
//!   last of a row is cut, so rows should be nearly a whole number of registers long.
//! - **packed**: a panel of outputs that follow each other, over rows and examples, is copied for all
//!   taps, with nothing cut, and read by all tiles of rows.

use super::planes::Planes;
use super::tile::{self, Tile, max_rows};
use crate::cpu::gemm::Output;
use crate::cpu::lanes::Lanes;

/// `C[example, row, position] = sum over l of W[row, l] window[example, position, l]`
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    /// Channels of each example, from a register's width of slack on at the end.
    pub(super) values: &'a [f32],
    pub(super) planes: Planes,
    /// Rows and columns of taps.
    pub(super) kernel: [usize; 2],
    /// Where the window of the first output begins in a plane.
    pub(super) begin: usize,
    pub(super) n_channels: usize,
    pub(super) n_examples: usize,
    /// Rows and columns of outputs.
    pub(super) size: [usize; 2],
    /// Rows of `W`.
    pub(super) m: usize,
    /// `W` as [`pack_weights`] lays it out.
    pub(super) weights: &'a [f32],
    /// How far apart examples lie in `C`.
    pub(super) c_example: usize,
    pub(super) output: Output,
    /// Added to the rows.
    pub(super) bias: Option<&'a [f32]>,
    /// Whether negative numbers then become zero.
    pub(super) rectify: bool,
}

/// Values that may be read beyond the last plane.
pub(super) const SLACK_LEN: usize = 16;

/// Widest panel of any unit.
const MAX_PANEL: usize = 64;

/// Values of a packed panel: two thirds of a first-level cache of 48 KiB.
const PANEL_LEN: usize = 8192;

/// Scratch, in values, that a product of `m` rows takes: a panel, and outputs of a panel.
pub(super) fn scratch_len(m: usize) -> usize {
    PANEL_LEN + MAX_PANEL * m + SLACK_LEN
}

/// Taps whose offsets are known at once.
pub(super) const TABLE_LEN: usize = 1024;

/// Offsets of windows' taps.
pub(super) struct Table {
    pub(super) offsets: [u32; TABLE_LEN],
    /// The first tap, and how many.
    range: Option<(usize, usize)>,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { offsets: [0; TABLE_LEN], range: None }
    }

    /// Holds `len` offsets from number `from` on, by row of [`Product::kernel`] and channel.
    fn hold(&mut self, product: &Product<'_>, from: usize, len: usize) {
        if self.range == Some((from, len)) {
            return;
        }
        self.range = Some((from, len));
        let [height, width] = product.kernel;
        for (l, offset) in (from..).zip(&mut self.offsets[..len]) {
            let (channel, tap) = (l / (height * width), l % (height * width));
            let at = product.planes.offset([tap / width, tap % width]);
            let offset_len = channel * product.planes.channel_len() + at;
            *offset = u32::try_from(offset_len).expect("an image is shorter than 2^32 values");
        }
    }
}

/// Vectors of a tile of a product of `m` rows: the most that leave all rows in one tile, else two.
fn n_vectors<L: Lanes>(m: usize) -> usize {
    match m {
        _ if m <= max_rows::<L>(4) => 4,
        _ if m <= max_rows::<L>(3) => 3,
        _ => 2,
    }
}

/// The heights of tiles that cover `m` rows: as few as can be, and nearly alike.
pub(super) fn heights(m: usize, max_rows: usize) -> impl Iterator<Item = usize> {
    let n_tiles = m.div_ceil(max_rows);
    (0..n_tiles).map(move |tile| m / n_tiles + usize::from(tile < m % n_tiles))
}

/// Lays `w(row, l)` out as the tiles of [`Product::run`] read it: `f32[k, height]` for each.
#[inline(always)]
pub(super) fn pack_weights<L: Lanes>(
    _lanes: L,
    m: usize,
    k: usize,
    packed: &mut [f32],
    w: impl Fn(usize, usize) -> f32,
) {
    let (mut row, mut at) = (0, 0);
    for height in heights(m, max_rows::<L>(n_vectors::<L>(m))) {
        for l in 0..k {
            for i in 0..height {
                packed[at] = w(row + i, l);
                at += 1;
            }
        }
        row += height;
    }
}

impl Product<'_> {
    fn k(&self) -> usize {
        self.n_channels * self.kernel[0] * self.kernel[1]
    }

    fn positions(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Values of an example.
    fn example_len(&self) -> usize {
        self.n_channels * self.planes.channel_len()
    }

    /// Computes `c`, from the first row of the first example on.
    #[inline(always)]
    pub(super) fn run<L: Lanes>(
        &self,
        lanes: L,
        c: &mut [f32],
        table: &mut Table,
        scratch: &mut [f32],
    ) {
        if self.m == 0 || self.n_examples == 0 || self.positions() == 0 {
            return;
        }
        let c_len = (self.n_examples - 1) * self.c_example + self.m * self.positions();
        assert!(c_len <= c.len(), "C holds every example");
        assert!(self.m * self.k() <= self.weights.len(), "W is f32[m, k]");
        assert!(
            self.n_examples * self.example_len() + SLACK_LEN <= self.values.len(),
            "planes have slack"
        );
        assert!(scratch_len(self.m) <= scratch.len(), "scratch is too short");
        assert!(self.bias.is_none_or(|bias| bias.len() == self.m), "a bias a row");
        let mut from = 0;
        loop {
            let depth = TABLE_LEN.min(self.k() - from);
            table.hold(self, from, depth);
            let block = Block { product: self, from, depth, offsets: &table.offsets[..depth] };
            // SAFETY: the lengths asserted above.
            unsafe {
                match n_vectors::<L>(self.m) {
                    4 => block.in_place::<L, 4>(lanes, c),
                    3 => block.in_place::<L, 3>(lanes, c),
                    _ => block.in_place::<L, 2>(lanes, c),
                }
            }
            from += depth;
            if from == self.k() {
                break;
            }
        }
        let _ = scratch;
    }
}

/// Taps whose offsets are in the table.
struct Block<'a> {
    product: &'a Product<'a>,
    from: usize,
    depth: usize,
    offsets: &'a [u32],
}

impl Block<'_> {
    /// # Safety
    ///
    /// The lengths of the product are as its fields say.
    #[inline(always)]
    unsafe fn in_place<L: Lanes, const VECTORS: usize>(&self, lanes: L, c: &mut [f32]) {
        let product = self.product;
        let [rows, columns] = product.size;
        let in_row = columns.div_ceil(L::LANES);
        for example in 0..product.n_examples {
            let values = product.values.as_ptr().wrapping_add(example * product.example_len());
            let c = c.as_mut_ptr().wrapping_add(example * product.c_example);
            let register = |vector: usize| {
                let (row, column) = (vector / in_row, vector % in_row * L::LANES);
                let at = product.begin + row * product.planes.size[1] + column;
                let c = c.wrapping_add(row * columns + column);
                (values.wrapping_add(at), c, L::LANES.min(columns - column))
            };
            let mut at = 0;
            while at < rows * in_row {
                // SAFETY: the caller's promise.
                unsafe {
                    if at + VECTORS <= rows * in_row {
                        self.tiles::<L, VECTORS>(lanes, at, register);
                        at += VECTORS;
                    } else {
                        self.tiles::<L, 1>(lanes, at, register);
                        at += 1;
                    }
                }
            }
        }
    }

    /// All rows of the registers from number `at` on.
    ///
    /// # Safety
    ///
    /// As for [`tile::run`].
    #[inline(always)]
    unsafe fn tiles<L: Lanes, const VECTORS: usize>(
        &self,
        lanes: L,
        at: usize,
        register: impl Fn(usize) -> (*const f32, *mut f32, usize),
    ) {
        let product = self.product;
        let mut b = [core::ptr::null(); VECTORS];
        let mut c = [core::ptr::null_mut(); VECTORS];
        let mut n_columns = [0; VECTORS];
        for v in 0..VECTORS {
            (b[v], c[v], n_columns[v]) = register(at + v);
        }
        let last = self.from + self.depth == product.k();
        let mut tile = Tile {
            depth: self.depth,
            a: product.weights.as_ptr(),
            a_row: 0,
            b,
            offsets: self.offsets.as_ptr(),
            c,
            c_row: product.positions(),
            n_columns,
            output: if self.from == 0 { product.output } else { Output::Continue },
            bias: product.bias.filter(|_| last).map(<[f32]>::as_ptr),
            rectify: product.rectify && last,
        };
        let tallest = max_rows::<L>(n_vectors::<L>(product.m));
        for height in heights(product.m, tallest) {
            let a = tile.a;
            tile.a = a.wrapping_add(self.from * height);
            // SAFETY: the caller's promise; heights add up to `m`.
            unsafe { tile::run(lanes, height, tile) };
            tile.a = a.wrapping_add(product.k() * height);
            tile.bias = tile.bias.map(|bias| bias.wrapping_add(height));
            for c in &mut tile.c {
                *c = c.wrapping_add(height * product.positions());
            }
        }
    }
}
