//! The gradient for the weights of few channels: vectors lie along positions.
//!
//! Each `dw` has sixteen partial sums, which stay in registers while the positions of an example pass, and
//! in scratch from example to example.

use super::Conv2dShape;
use super::forward;
use super::runs::Walk;
use super::windows::{SLACK_LEN, Table, Windows, examples_at_once};
use crate::cpu::dispatch::Once;
use crate::cpu::interleave::Pairs;
use crate::cpu::lanes::{Lanes, REDUCTION_LANES, Vector, join};
use crate::cpu::place::{Dst, Src};
use core::ops::Range;

/// Taps multiplied with one copy of their windows.
const BLOCK_TAPS: usize = 64;

/// Whether windows are copied, so that the positions of an example are one row: worth it where rows are
/// far from a multiple of sixteen, and several channels read a copy.
///
/// Not a matter of the vector unit, for it says which partial sum a position goes to.
fn packs(shape: Conv2dShape) -> bool {
    let columns = shape.out_width();
    let wasted = columns.next_multiple_of(REDUCTION_LANES) - columns;
    6 * columns < shape.group_outputs() * wasted
}

/// Examples laid out together.
fn at_once(shape: Conv2dShape) -> usize {
    if packs(shape) { examples_at_once(shape.batch, shape.positions()) } else { 1 }
}

/// Values of the copied windows.
fn copies_len(shape: Conv2dShape) -> usize {
    if packs(shape) {
        let taps = shape.patch_len().min(BLOCK_TAPS);
        taps * (at_once(shape) * shape.positions()).next_multiple_of(REDUCTION_LANES)
    } else {
        0
    }
}

pub(super) fn scratch_len(shape: Conv2dShape) -> usize {
    let planes = forward::planes(shape);
    at_once(shape) * shape.in_channels * planes.channel_len()
        + SLACK_LEN
        + copies_len(shape)
        + shape.w_len() * REDUCTION_LANES
}

/// The gradient for the weights of some output channels, added to `dw` where `accumulate`.
#[inline(always)]
pub(super) fn grad_weight<L: Pairs>(
    lanes: L,
    shape: Conv2dShape,
    channels: Range<usize>,
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    let planes = forward::planes(shape);
    let example_len = shape.in_channels * planes.channel_len();
    let (values, scratch) = scratch.split_at_mut(at_once(shape) * example_len + SLACK_LEN);
    let (copies, sums) = scratch.split_at_mut(copies_len(shape));
    let sums = &mut sums[..dw.len() * REDUCTION_LANES];
    values.fill(0.0);
    sums.fill(0.0);
    let mut table = Table::new();
    let windows = forward::windows(shape, &[], 0);
    let x_len = shape.in_channels * shape.height * shape.width;
    let dy_len = shape.out_channels * shape.positions();
    for (block, dy) in dy.chunks(at_once(shape) * dy_len).enumerate() {
        let n_examples = dy.len() / dy_len;
        let x = &x[block * at_once(shape) * x_len..][..n_examples * x_len];
        planes.fill(lanes, x, values);
        let windows = Windows { values, n_examples, ..windows };
        let examples = Examples { shape, channels: channels.clone(), dy, windows };
        examples.add_products(lanes, copies, &mut table, sums);
    }
    for (sums, dw) in sums.as_chunks().0.iter().zip(dw) {
        let sum = joined(lanes, sums);
        *dw = if accumulate { *dw + sum } else { sum };
    }
}

/// Some examples, and the output channels whose weights are wanted.
struct Examples<'a> {
    shape: Conv2dShape,
    channels: Range<usize>,
    dy: &'a [f32],
    /// Those of the first group.
    windows: Windows<'a>,
}

impl Examples<'_> {
    /// Adds the products of all positions to `sums`, `f32[channels, patch, 16]`.
    #[inline(always)]
    fn add_products<L: Pairs>(
        &self,
        lanes: L,
        copies: &mut [f32],
        table: &mut Table,
        sums: &mut [f32],
    ) {
        let Self { shape, windows, .. } = *self;
        let (outputs, patch_len) = (shape.group_outputs(), shape.patch_len());
        let [rows, columns] = windows.size;
        let (positions, packs) = (rows * columns, packs(shape));
        for group in 0..shape.groups {
            let first = self.channels.start.max(group * outputs);
            let end = self.channels.end.min((group + 1) * outputs);
            if end <= first {
                continue;
            }
            let at = group * windows.n_channels * windows.planes.channel_len();
            let windows = Windows { values: &windows.values[at..], ..windows };
            windows.assert_within();
            let sums = &mut sums[(first - self.channels.start) * patch_len * REDUCTION_LANES..];
            for from in (0..patch_len).step_by(BLOCK_TAPS) {
                let taps = table.hold(windows.taps(from, BLOCK_TAPS));
                let sums = &mut sums[from * REDUCTION_LANES..];
                let products = Products {
                    dy: &self.dy[first * positions..],
                    dy_channel: positions,
                    dy_row: columns,
                    x: windows.values,
                    x_row: windows.planes.size[1],
                    n_rows: rows,
                    row_len: columns,
                    n_channels: end - first,
                    sums_row: patch_len * REDUCTION_LANES,
                };
                if packs {
                    let copied = copy_windows(lanes, windows, taps, copies);
                    let products = Products {
                        dy_row: shape.out_channels * positions,
                        x: copies,
                        x_row: positions,
                        n_rows: windows.n_examples,
                        row_len: positions,
                        ..products
                    };
                    products.run(lanes, &copied[..taps.len()], sums);
                } else {
                    products.run(lanes, taps, sums);
                }
            }
        }
    }
}

/// Copies windows, `f32[taps, examples * positions]` with rows of whole registers, and tells where those of
/// each tap are.
#[inline(always)]
fn copy_windows<L: Lanes>(
    lanes: L,
    windows: Windows<'_>,
    taps: &[u32],
    copies: &mut [f32],
) -> [u32; BLOCK_TAPS] {
    let n_columns = windows.n_examples * windows.positions();
    let row = n_columns.next_multiple_of(REDUCTION_LANES);
    assert!(taps.len() * row <= copies.len(), "copies fit");
    let mut walk = Walk::new(windows);
    for column in (0..n_columns).step_by(L::LANES) {
        let runs = walk.take(L::LANES.min(n_columns - column));
        // SAFETY: windows lie within their planes, and registers within rows.
        unsafe { runs.copy(lanes, taps, Dst::of(&mut copies[column..]), row) };
    }
    let mut offsets = [0; BLOCK_TAPS];
    for (tap, offset) in offsets.iter_mut().enumerate() {
        *offset = (tap * row) as u32;
    }
    offsets
}

/// Rows of output gradients, and of what windows read.
#[derive(Clone, Copy)]
struct Products<'a> {
    dy: &'a [f32],
    /// How far apart channels and rows lie.
    dy_channel: usize,
    dy_row: usize,
    x: &'a [f32],
    x_row: usize,
    n_rows: usize,
    row_len: usize,
    n_channels: usize,
    /// How far apart channels lie in the sums.
    sums_row: usize,
}

/// Channels multiplied together.
const CHANNELS: usize = 4;

/// Most taps multiplied with that many channels, and with one: as many as registers hold.
const fn max_taps<L: Lanes>(n_channels: usize) -> usize {
    match (n_channels, L::LANES) {
        (1, _) => 9,
        (_, 16) => 6,
        _ => 3,
    }
}

impl Products<'_> {
    /// Adds all products to `sums`.
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, taps: &[u32], sums: &mut [f32]) {
        let last_row = (self.n_rows - 1) * self.dy_row + (self.n_channels - 1) * self.dy_channel;
        assert!(last_row + self.row_len <= self.dy.len(), "rows of dy are within");
        let last = taps.iter().max().map_or(0, |tap| *tap as usize);
        assert!((self.n_rows - 1) * self.x_row + last + self.row_len <= self.x.len(), "rows of x");
        let sums_len = (self.n_channels - 1) * self.sums_row + taps.len() * REDUCTION_LANES;
        assert!(sums_len <= sums.len(), "sums of every channel and tap");
        let mut channel = 0;
        while channel < self.n_channels {
            let whole = CHANNELS <= self.n_channels - channel;
            let n_channels = if whole { CHANNELS } else { 1 };
            let mut from = 0;
            while from < taps.len() {
                // As few blocks as can be, and nearly alike.
                let left = taps.len() - from;
                let n_taps = left.div_ceil(left.div_ceil(max_taps::<L>(n_channels)));
                let block = Block {
                    products: self,
                    dy: Src::of(&self.dy[channel * self.dy_channel..]),
                    taps: Src::of(&taps[from..]),
                    sums: Dst::of(&mut sums[channel * self.sums_row + from * REDUCTION_LANES..]),
                };
                // SAFETY: the lengths asserted above.
                unsafe { block.run(lanes, n_channels, n_taps) };
                from += n_taps;
            }
            channel += n_channels;
        }
    }
}

/// Some channels and taps.
#[derive(Clone, Copy)]
struct Block<'a> {
    products: Products<'a>,
    dy: Src,
    taps: Src<u32>,
    sums: Dst,
}

impl Block<'_> {
    /// # Safety
    ///
    /// `dy`, `taps` and `sums` are those of `n_channels` channels and `n_taps` taps, at most
    /// [`max_taps`], and rows are within the products' operands.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self, lanes: L, n_channels: usize, n_taps: usize) {
        macro_rules! sizes {
            ($($channels:literal $taps:literal)*) => {
                match (n_channels, n_taps) {
                    $(($channels, $taps) if const { $taps <= max_taps::<L>($channels) } => {
                        let once = Once;
                        lanes.call(#[inline(always)] || {
                            let _consumed = once;
                            // SAFETY: the caller's promise.
                            unsafe { self.multiply::<L, $channels, $taps>(lanes) }
                        });
                    })*
                    _ => unreachable!("blocks are no larger than `max_taps`"),
                }
            };
        }
        sizes!(4 1 4 2 4 3 4 4 4 5 4 6 1 1 1 2 1 3 1 4 1 5 1 6 1 7 1 8 1 9);
    }

    /// # Safety
    ///
    /// As for [`Self::run`].
    #[inline(always)]
    unsafe fn multiply<L: Lanes, const CHANNELS: usize, const TAPS: usize>(self, lanes: L) {
        let Products { n_rows, row_len, dy_channel, dy_row, x_row, sums_row, .. } = self.products;
        let mut x = [Src::none(); TAPS];
        for (tap, x) in x.iter_mut().enumerate() {
            // SAFETY: there are `TAPS` offsets.
            let offset = unsafe { self.taps.add(tap).read() } as usize;
            *x = Src::of(self.products.x).wrapping_add(offset);
        }
        for part in (0..REDUCTION_LANES.min(row_len)).step_by(L::LANES) {
            let zero = Vector::splat(lanes, 0.0);
            let mut sums = [[zero; TAPS]; CHANNELS];
            for (channel, sums) in sums.iter_mut().enumerate() {
                for (tap, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: sixteen sums for each channel and tap.
                    sum.raw = unsafe {
                        let at = channel * sums_row + tap * REDUCTION_LANES + part;
                        lanes.load(self.sums.src().add(at))
                    };
                }
            }
            for row in 0..n_rows {
                let dy = self.dy.wrapping_add(row * dy_row);
                let mut operands = Operands { dy, dy_channel, x };
                for x in &mut operands.x {
                    *x = x.wrapping_add(row * x_row);
                }
                let mut at = part;
                // SAFETY: a register of the row is left, or, masked, some of it.
                unsafe {
                    while at + L::LANES <= row_len {
                        operands.multiply::<L, CHANNELS, false>(lanes, at, L::LANES, &mut sums);
                        at += REDUCTION_LANES;
                    }
                    if at < row_len {
                        operands.multiply::<L, CHANNELS, true>(lanes, at, row_len - at, &mut sums);
                    }
                }
            }
            for (channel, sums) in sums.iter().enumerate() {
                for (tap, sum) in sums.iter().enumerate() {
                    // SAFETY: sixteen sums for each channel and tap.
                    unsafe {
                        let at = channel * sums_row + tap * REDUCTION_LANES + part;
                        lanes.store(self.sums.add(at), sum.raw);
                    }
                }
            }
        }
    }
}

/// A row.
struct Operands<const TAPS: usize> {
    dy: Src,
    dy_channel: usize,
    x: [Src; TAPS],
}

impl<const TAPS: usize> Operands<TAPS> {
    /// Adds the products of a register of positions from `at` on, if `MASKED` of `n_left` of them.
    ///
    /// # Safety
    ///
    /// So many values are readable in every row.
    #[inline(always)]
    unsafe fn multiply<L: Lanes, const CHANNELS: usize, const MASKED: bool>(
        &self,
        lanes: L,
        at: usize,
        n_left: usize,
        sums: &mut [[Vector<L>; TAPS]; CHANNELS],
    ) {
        let mask = lanes.first(n_left);
        let load = |row: Src| {
            // SAFETY: the caller's promise; the mask ends where the row does.
            let raw = unsafe {
                let src = row.add(at);
                if MASKED { lanes.load_masked(mask, src) } else { lanes.load(src) }
            };
            Vector::new(lanes, raw)
        };
        let mut x = [Vector::splat(lanes, 0.0); TAPS];
        for (x, row) in x.iter_mut().zip(&self.x) {
            *x = load(*row);
        }
        for (channel, sums) in sums.iter_mut().enumerate() {
            let dy = load(self.dy.wrapping_add(channel * self.dy_channel));
            for (sum, x) in sums.iter_mut().zip(&x) {
                let next = dy.mul_add(*x, *sum);
                *sum = if MASKED { next.select(mask, *sum) } else { next };
            }
        }
    }
}

/// Sixteen partial sums, joined.
#[inline(always)]
fn joined<L: Lanes>(lanes: L, parts: &[f32; REDUCTION_LANES]) -> f32 {
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
