//! The gradient for the weights: inner products of output gradients with windows, over examples and
//! positions.
//!
//! The input is laid out channels last, so that the taps of one row of the kernel, for all channels, are
//! one run from wherever the window begins: vectors lie along that run, and the chain runs over positions.

use super::Conv2dShape;
use super::product::Heights;
use super::tile::{self, Tile, max_rows};
use super::windows::{SLACK_LEN, TABLE_LEN};
use crate::cpu::gemm::Output;
use crate::cpu::lanes::Lanes;
use crate::cpu::place::{Dst, Src};
use core::ops::Range;

/// The padded input of a group, channels last: `f32[rows, columns, channels]`.
#[derive(Clone, Copy)]
struct Layout {
    rows: usize,
    columns: usize,
    channels: usize,
}

impl Layout {
    fn of(shape: Conv2dShape) -> Self {
        let reach =
            |axis: usize| (shape.out_size()[axis] - 1) * shape.stride[axis] + shape.kernel[axis];
        Self { rows: reach(0), columns: reach(1), channels: shape.group_inputs() }
    }

    /// Values, with slack for what is written and read beyond the last.
    fn len(self) -> usize {
        self.rows * self.columns * self.channels + 2 * SLACK_LEN
    }
}

/// Whether registers of such runs, sixteen wide, would be full to seven tenths.
///
/// Not a matter of the vector unit, for it says in which order products are added. In shares of the peak of
/// AVX-512, as runs and along positions ([`rows`](super::rows)): 0.25 and 0.44 for three channels of 32 x 32,
/// 0.08 and 0.31 for one of 28 x 28, whose registers are full to 9 and 3 of 16.
pub(super) fn is_run(shape: Conv2dShape) -> bool {
    let run_len = shape.kernel[1] * shape.group_inputs();
    7 * run_len.next_multiple_of(16) <= 10 * run_len
}

pub(super) fn scratch_len(shape: Conv2dShape) -> usize {
    Layout::of(shape).len() + shape.w_len()
}

#[inline(always)]
pub(super) fn grad_weight<L: Lanes>(
    lanes: L,
    shape: Conv2dShape,
    channels: Range<usize>,
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    accumulate: bool,
    scratch: &mut [f32],
) {
    let layout = Layout::of(shape);
    let (values, scratch) = scratch.split_at_mut(layout.len());
    let sums = &mut scratch[..dw.len()];
    sums.fill(0.0);
    values.fill(0.0);
    let (inputs, outputs, patch_len) =
        (shape.group_inputs(), shape.group_outputs(), shape.patch_len());
    let positions = shape.positions();
    let x_len = inputs * shape.height * shape.width;
    let mut table = Table { offsets: [0; TABLE_LEN], held: None };
    for group in 0..shape.groups {
        let first = channels.start.max(group * outputs);
        let end = channels.end.min((group + 1) * outputs);
        if end <= first {
            continue;
        }
        let sums = &mut sums[(first - channels.start) * patch_len..];
        for example in 0..shape.batch {
            let x = &x[(example * shape.groups + group) * x_len..][..x_len];
            transpose(lanes, shape, layout, x, values);
            let dy = &dy[(example * shape.out_channels + first) * positions..];
            for from in (0..positions).step_by(TABLE_LEN) {
                let offsets = table.hold(shape, layout, from);
                let block =
                    Block { shape, layout, values, dy: &dy[from..], offsets, m: end - first };
                block.run(lanes, sums);
            }
        }
    }
    let taps = shape.kernel[0] * shape.kernel[1];
    for (sums, dw) in sums.chunks_exact(patch_len).zip(dw.chunks_exact_mut(patch_len)) {
        for (at, dw) in dw.iter_mut().enumerate() {
            let (channel, tap) = (at / taps, at % taps);
            let sum = sums[tap * inputs + channel];
            *dw = if accumulate { *dw + sum } else { sum };
        }
    }
}

/// Offsets of the windows of outputs that follow each other.
struct Table {
    offsets: [u32; TABLE_LEN],
    /// The number of the first.
    held: Option<usize>,
}

impl Table {
    /// The offsets of outputs from number `from` on, as many as a table has.
    fn hold(&mut self, shape: Conv2dShape, layout: Layout, from: usize) -> &[u32] {
        let len = TABLE_LEN.min(shape.positions() - from);
        if self.held != Some(from) {
            self.held = Some(from);
            let ([_, columns], [down, right]) = (shape.out_size(), shape.stride);
            for (at, offset) in (from..).zip(&mut self.offsets[..len]) {
                let pixel = at / columns * down * layout.columns + at % columns * right;
                let offset_len = pixel * layout.channels;
                *offset = u32::try_from(offset_len).expect("an image is shorter than 2^32 values");
            }
        }
        &self.offsets[..len]
    }
}

/// Lays an image out channels last, in `values` whose borders are zero.
#[inline(always)]
fn transpose<L: Lanes>(
    lanes: L,
    shape: Conv2dShape,
    layout: Layout,
    x: &[f32],
    values: &mut [f32],
) {
    let [top, left] = shape.padding;
    let (height, width) = (shape.height, shape.width);
    let n_columns = width.min(layout.columns.saturating_sub(left));
    let n_channels = layout.channels;
    for row in 0..height.min(layout.rows.saturating_sub(top)) {
        let at = ((row + top) * layout.columns + left) * n_channels;
        // The last channels first: what is written beyond a position is written again.
        for channel in (0..n_channels).step_by(L::LANES).rev() {
            let src = &x[(channel * height + row) * width..];
            let n_rows = L::LANES.min(n_channels - channel);
            let dst = &mut values[at + channel..][..n_columns * n_channels - channel + SLACK_LEN];
            if 0 < n_columns {
                assert!((n_rows - 1) * height * width + n_columns <= src.len());
                // SAFETY: rows are channels of `src`; the last register begins a channel before the end.
                unsafe {
                    let stride = height * width;
                    let dst = Dst::of(dst);
                    lanes.pack_rows(Src::of(src), stride, n_rows, n_columns, dst, n_channels);
                }
            }
        }
        let end = at + n_columns * n_channels;
        // What was written beyond the row, and the borders there and left of the next.
        let border = (layout.columns - n_columns) * n_channels;
        let until = (end + border.max(SLACK_LEN)).min(values.len());
        values[end..until].fill(0.0);
    }
}

/// Positions of one example.
#[derive(Clone, Copy)]
struct Block<'a> {
    shape: Conv2dShape,
    layout: Layout,
    values: &'a [f32],
    dy: &'a [f32],
    offsets: &'a [u32],
    /// Output channels.
    m: usize,
}

impl Block<'_> {
    /// Adds the products of these positions to `sums`, `f32[m, kernel, kernel, channels]`.
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L, sums: &mut [f32]) {
        let [height, width] = self.shape.kernel;
        let run_len = width * self.layout.channels;
        let n_vectors = height * run_len.div_ceil(L::LANES);
        let mut at = 0;
        while at < n_vectors {
            at += match n_vectors - at {
                1 => self.tiles::<L, 1>(lanes, at, sums),
                2 | 4 => self.tiles::<L, 2>(lanes, at, sums),
                _ => self.tiles::<L, 3>(lanes, at, sums),
            };
        }
    }

    /// All output channels of the vectors from number `at` on.
    #[inline(always)]
    fn tiles<L: Lanes, const VECTORS: usize>(self, lanes: L, at: usize, sums: &mut [f32]) -> usize {
        let [_, width] = self.shape.kernel;
        let run_len = width * self.layout.channels;
        let in_run = run_len.div_ceil(L::LANES);
        let patch_len = self.shape.patch_len();
        let mut b = [Src::none(); VECTORS];
        let mut c = [Dst::none(); VECTORS];
        let mut n_columns = [0; VECTORS];
        for v in 0..VECTORS {
            let (row, column) = ((at + v) / in_run, (at + v) % in_run * L::LANES);
            let source = row * self.layout.columns * self.layout.channels + column;
            b[v] = Src::of(self.values).wrapping_add(source);
            c[v] = Dst::of(sums).wrapping_add(row * run_len + column);
            n_columns[v] = L::LANES.min(run_len - column);
        }
        let mut tile = Tile {
            depth: self.offsets.len(),
            a: Src::of(self.dy),
            a_row: self.shape.positions(),
            b,
            offsets: Src::of(self.offsets),
            c,
            c_row: patch_len,
            n_columns,
            output: Output::Add,
            bias: None,
            rectify: false,
        };
        for height in Heights::of(self.m, max_rows::<L>(VECTORS)).iter() {
            // SAFETY: windows lie within the values, which end in slack; `dy` and `sums` have `m` rows.
            unsafe { tile::run::<L, VECTORS, false>(lanes, height, tile) };
            tile.a = tile.a.wrapping_add(height * tile.a_row);
            for c in &mut tile.c {
                *c = c.wrapping_add(height * patch_len);
            }
        }
        VECTORS
    }
}
