//! Products whose windows are copied: panels of outputs that follow each other over rows and examples.

use super::product::{PANEL_LEN, Product, Register};
use super::windows::{TABLE_LEN, Table, Windows};
use crate::cpu::dispatch::Once;
use crate::cpu::gemm::{Output, aligned};
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::sweep::map;

/// Most registers of a panel.
const MAX_VECTORS: usize = 8;

/// Most rows of a panel.
const MAX_DEPTH: usize = 512;

/// Offsets of the rows of a panel, by its number of registers and their lanes.
const fn row_offsets<const WIDTH: usize>() -> [u32; MAX_DEPTH] {
    let mut offsets = [0; MAX_DEPTH];
    let mut row = 0;
    while row < offsets.len() {
        offsets[row] = (row * WIDTH) as u32;
        row += 1;
    }
    offsets
}

/// Where a run of outputs in one row of an image reads.
#[derive(Clone, Copy)]
struct Segment {
    /// Where lane zero would read, were the run that long.
    source: *const f32,
    /// The lane of the first output.
    first: usize,
}

/// The runs of a register.
#[derive(Clone, Copy)]
pub(super) struct Segments {
    runs: [Segment; 16],
    len: usize,
}

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
        for first in (0..n_columns).step_by(width) {
            let n_columns = width.min(n_columns - first);
            // SAFETY: the caller's promise.
            unsafe {
                if n_columns <= L::LANES {
                    self.panel::<L, 1>(lanes, first, n_columns, c, table, panel, apart);
                } else {
                    self.panel::<L, VECTORS>(lanes, first, n_columns, c, table, panel, apart);
                }
            }
        }
    }

    /// Outputs from number `first` on, over all examples.
    ///
    /// # Safety
    ///
    /// The lengths are as the fields say.
    #[inline(always)]
    unsafe fn panel<L: Lanes, const VECTORS: usize>(
        &self,
        lanes: L,
        first: usize,
        n_columns: usize,
        c: &mut [f32],
        table: &mut Table,
        panel: &mut [f32],
        apart: &mut [f32],
    ) {
        let (windows, width) = (self.windows, VECTORS * L::LANES);
        let k = windows.k();
        let mut registers =
            [Register { b: panel.as_ptr(), c: apart.as_mut_ptr(), n_left: 0 }; VECTORS];
        let mut segments = [Segments::of::<L>(windows, first, n_columns); VECTORS];
        // Registers that span examples, and chains that are longer than a table and added, go to C apart.
        let mut direct = self.output != Output::Add;
        for (v, register) in registers.iter_mut().enumerate() {
            let column = (v * L::LANES).min(n_columns);
            register.b = register.b.wrapping_add(v * L::LANES);
            register.c = register.c.wrapping_add(v * L::LANES);
            register.n_left = L::LANES.min(n_columns - column);
            direct &= place_of(windows, first + column).1 + register.n_left <= windows.positions();
            if 0 < v {
                segments[v] = Segments::of::<L>(windows, first + column, n_columns - column);
            }
        }
        let (mut c_row, mut output) = (width, Output::Replace);
        if direct {
            (c_row, output) = (windows.positions(), self.output);
            for (v, register) in registers.iter_mut().enumerate() {
                let (example, at) = place_of(windows, first + (v * L::LANES).min(n_columns));
                register.c = c.as_mut_ptr().wrapping_add(example * self.c_example + at);
            }
        }
        let n_blocks = k.div_ceil(MAX_DEPTH.min(PANEL_LEN / width)).max(1);
        let depth = k.div_ceil(n_blocks).max(1);
        let mut from = 0;
        loop {
            let held = from / TABLE_LEN * TABLE_LEN;
            let offsets = &table.hold(windows.taps(held, TABLE_LEN))[from - held..];
            let offsets = &offsets[..depth.min(offsets.len())];
            for (v, segments) in segments.iter().enumerate() {
                let panel = panel[v * L::LANES..].as_mut_ptr();
                // SAFETY: segments lie within the values; the panel holds `depth` rows.
                unsafe { segments.copy(lanes, offsets, panel, width) };
            }
            let rows = &rows_of::<L, VECTORS>()[..offsets.len()];
            let block = self.block::<L>(from, rows, output, c_row);
            // SAFETY: the caller's promise.
            unsafe { block.tiles(lanes, registers) };
            from += offsets.len();
            if from == k {
                break;
            }
        }
        if !direct {
            self.place(lanes, first, n_columns, width, apart, c);
        }
    }

    /// Moves a finished panel to where its examples lie in `c`.
    #[inline(always)]
    fn place<L: Lanes>(
        &self,
        lanes: L,
        first: usize,
        n_columns: usize,
        width: usize,
        apart: &[f32],
        c: &mut [f32],
    ) {
        let positions = self.windows.positions();
        let mut column = 0;
        while column < n_columns {
            let (example, at) = place_of(self.windows, first + column);
            let len = (n_columns - column).min(positions - at);
            for row in 0..self.m {
                let src = &apart[row * width + column..][..len];
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

/// The example of an output, and its number there.
fn place_of(windows: Windows<'_>, output: usize) -> (usize, usize) {
    (output / windows.positions(), output % windows.positions())
}

/// Offsets of the rows of a panel.
fn rows_of<L: Lanes, const VECTORS: usize>() -> &'static [u32] {
    const { assert!(VECTORS <= MAX_VECTORS) };
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
        _ => const { &row_offsets::<1>() },
    }
}

impl Segments {
    /// The runs of a register of outputs from number `first` on, over all examples, of which `n_left` are
    /// left.
    pub(super) fn of<L: Lanes>(windows: Windows<'_>, first: usize, n_left: usize) -> Self {
        let none = Segment { source: windows.values.as_ptr(), first: 0 };
        let mut segments = Self { runs: [none; 16], len: 0 };
        let columns = windows.size[1];
        let mut lane = 0;
        while lane < L::LANES.min(n_left) {
            let (example, at) = place_of(windows, first + lane);
            let (row, column) = (at / columns, at % columns);
            let source = example * windows.example_len + windows.at(row, column);
            let source = windows.values.as_ptr().wrapping_add(source).wrapping_sub(lane);
            segments.runs[segments.len] = Segment { source, first: lane };
            segments.len += 1;
            lane += columns - column;
        }
        segments.len = segments.len.max(1);
        segments
    }

    /// Copies a register for each offset, `step` apart.
    ///
    /// # Safety
    ///
    /// The runs are readable at the offsets, and beyond them to the end of a register; `dst` is writable
    /// for a register at every step.
    #[inline(always)]
    pub(super) unsafe fn copy<L: Lanes>(
        &self,
        lanes: L,
        offsets: &[u32],
        dst: *mut f32,
        step: usize,
    ) {
        // One copy of this code for each unit: it is read in several places.
        let once = Once;
        lanes.call(
            #[inline(always)]
            || {
                let _consumed = once;
                // SAFETY: the caller's promise.
                unsafe {
                    match self.len {
                        1 => self.copy_runs::<L, 1>(lanes, offsets, dst, step),
                        2 => self.copy_runs::<L, 2>(lanes, offsets, dst, step),
                        3 => self.copy_runs::<L, 3>(lanes, offsets, dst, step),
                        _ => self.copy_runs::<L, 16>(lanes, offsets, dst, step),
                    }
                }
            },
        );
    }

    /// [`Self::copy`] for so many runs at most.
    ///
    /// # Safety
    ///
    /// As for [`Self::copy`].
    #[inline(always)]
    unsafe fn copy_runs<L: Lanes, const MAX: usize>(
        &self,
        lanes: L,
        offsets: &[u32],
        dst: *mut f32,
        step: usize,
    ) {
        let len = if MAX == 16 { self.len } else { MAX };
        // Copies: what is written might be these, for all that the compiler knows.
        let mut sources = [self.runs[0].source; MAX];
        let mut before = [lanes.first(0); MAX];
        for r in 0..len {
            sources[r] = self.runs[r].source;
            before[r] = lanes.first(self.runs[r].first);
        }
        for (row, offset) in offsets.iter().enumerate() {
            let offset = *offset as usize;
            // SAFETY: the caller's promise. Lanes before a run's first are those of runs before it, which
            // lie before it in memory: what is read there is within the planes.
            unsafe {
                let mut value = Vector::new(lanes, lanes.load(sources[0].wrapping_add(offset)));
                for r in 1..len {
                    let run = Vector::new(lanes, lanes.load(sources[r].wrapping_add(offset)));
                    value = value.select(before[r], run);
                }
                lanes.store(dst.add(row * step), value.raw);
            }
        }
    }
}
