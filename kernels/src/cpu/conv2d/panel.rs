//! Products whose windows are copied: panels of outputs that follow each other over rows and examples.

use super::product::{PANEL_LEN, Product, Register};
use super::runs::{Runs, Walk};
use super::windows::{TABLE_LEN, Table};
use crate::cpu::dispatch::Once;
use crate::cpu::gemm::{Output, aligned};
use crate::cpu::lanes::Lanes;
use crate::cpu::place::{Dst, Src};
use crate::cpu::slice_loops::map;
use core::ops::Range;

/// Most rows of a panel.
const MAX_DEPTH: usize = 512;

impl Product<'_> {
    /// Computes `c` by panels.
    ///
    /// # Safety
    ///
    /// The lengths are as the fields say.
    #[inline(always)]
    pub(super) unsafe fn packed<L: Lanes, const VECTORS: usize>(
        &self,
        lanes: L,
        c: &mut [f32],
        table: &mut Table,
        scratch: &mut [f32],
    ) {
        let width = VECTORS * L::LANES;
        let (panel, apart) = aligned(scratch).split_at_mut(PANEL_LEN);
        let apart = &mut apart[..self.m * width];
        let n_columns = self.windows.n_examples * self.windows.positions();
        let mut walk = Walk::new(self.windows);
        for first in (0..n_columns).step_by(width) {
            let columns = first..n_columns.min(first + width);
            // SAFETY: the caller's promise.
            unsafe {
                if columns.len() <= L::LANES {
                    self.panel::<L, 1>(lanes, columns, &mut walk, c, table, panel, apart);
                } else {
                    self.panel::<L, VECTORS>(lanes, columns, &mut walk, c, table, panel, apart);
                }
            }
        }
    }

    /// Some of the outputs of all examples, before which `walk` stands.
    ///
    /// # Safety
    ///
    /// The lengths are as the fields say.
    #[inline(always)]
    unsafe fn panel<L: Lanes, const VECTORS: usize>(
        &self,
        lanes: L,
        columns: Range<usize>,
        walk: &mut Walk<'_>,
        c: &mut [f32],
        table: &mut Table,
        panel: &mut [f32],
        apart: &mut [f32],
    ) {
        // One copy of this code for each width and unit: it is called in several places.
        let once = Once;
        lanes.call(
            #[inline(always)]
            || {
                let _consumed = once;
                let (windows, width) = (self.windows, VECTORS * L::LANES);
                let (k, positions) = (windows.k(), windows.positions());
                let mut runs = [Runs::none(windows); VECTORS];
                let none = Register { b: Src::of(panel), c: Dst::of(apart), n_left: 0 };
                let (mut in_place, mut apart_from_c) = ([none; VECTORS], [none; VECTORS]);
                // Registers that span examples, and chains that are longer than a table and added, go to C apart.
                let mut direct = self.output != Output::Add;
                for v in 0..VECTORS {
                    let n_left = L::LANES.min(columns.len().saturating_sub(v * L::LANES));
                    let (example, at) = walk.place();
                    direct &= at + n_left <= positions;
                    let b = Src::of(panel).wrapping_add(v * L::LANES);
                    let target = Dst::of(c).wrapping_add(example * self.c_example + at);
                    in_place[v] = Register { b, c: target, n_left };
                    let target = Dst::of(apart).wrapping_add(v * L::LANES);
                    apart_from_c[v] = Register { b, c: target, n_left };
                    runs[v] = walk.take(n_left);
                }
                let (registers, c_row, output) = if direct {
                    (in_place, positions, self.output)
                } else {
                    (apart_from_c, width, Output::Replace)
                };
                let n_blocks = k.div_ceil(MAX_DEPTH.min(PANEL_LEN / width)).max(1);
                let depth = k.div_ceil(n_blocks).max(1);
                let mut from = 0;
                loop {
                    let held = from / TABLE_LEN * TABLE_LEN;
                    let offsets = &table.hold(windows.taps(held, TABLE_LEN))[from - held..];
                    let offsets = &offsets[..depth.min(offsets.len())];
                    for (v, runs) in runs.iter().enumerate() {
                        let panel = Dst::of(&mut panel[v * L::LANES..]);
                        // SAFETY: runs lie within the values; the panel holds `depth` rows.
                        unsafe { runs.copy(lanes, offsets, panel, width) };
                    }
                    let rows = &row_offsets_of::<L, VECTORS>()[..offsets.len()];
                    let block = self.block::<L>(from, rows, output, c_row);
                    // SAFETY: the caller's promise.
                    unsafe { block.tiles(lanes, registers) };
                    from += offsets.len();
                    if from == k {
                        break;
                    }
                }
                if !direct {
                    self.place(lanes, columns, width, apart, c);
                }
            },
        );
    }

    /// Moves a finished panel to where its examples lie in `c`.
    #[inline(always)]
    fn place<L: Lanes>(
        &self,
        lanes: L,
        columns: Range<usize>,
        width: usize,
        apart: &[f32],
        c: &mut [f32],
    ) {
        let positions = self.windows.positions();
        let mut column = columns.start;
        while column < columns.end {
            let (example, at) = (column / positions, column % positions);
            let len = (columns.end - column).min(positions - at);
            for row in 0..self.m {
                let src = &apart[row * width + column - columns.start..][..len];
                let dst = &mut c[example * self.c_example + row * positions + at..][..len];
                let adds = self.output == Output::Add;
                map(
                    lanes,
                    [src],
                    [dst],
                    #[inline(always)]
                    |[src], [dst]| [if adds { dst + src } else { src }],
                );
            }
            column += len;
        }
    }
}

/// Offsets of the rows of a panel.
const fn row_offsets<const WIDTH: usize>() -> [u32; MAX_DEPTH] {
    let mut offsets = [0; MAX_DEPTH];
    let mut row = 0;
    while row < offsets.len() {
        offsets[row] = (row * WIDTH) as u32;
        row += 1;
    }
    offsets
}

/// [`row_offsets`] of a panel of so many vectors.
fn row_offsets_of<L: Lanes, const VECTORS: usize>() -> &'static [u32] {
    match VECTORS * L::LANES {
        128 => const { &row_offsets::<128>() },
        64 => const { &row_offsets::<64>() },
        48 => const { &row_offsets::<48>() },
        32 => const { &row_offsets::<32>() },
        24 => const { &row_offsets::<24>() },
        16 => const { &row_offsets::<16>() },
        8 => const { &row_offsets::<8>() },
        4 => const { &row_offsets::<4>() },
        3 => const { &row_offsets::<3>() },
        2 => const { &row_offsets::<2>() },
        1 => const { &row_offsets::<1>() },
        _ => unreachable!("a panel is one to eight vectors wide"),
    }
}
