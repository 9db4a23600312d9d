//! The rows of one head where they lie, and panels made of them.

use super::tile::PANEL;
use crate::cpu::lanes::{Lanes, REDUCTION_LANES};
use crate::cpu::place::{Dst, Src};
use crate::cpu::slice_loops::map;

/// `f32[len, width]` of one head: rows `stride` apart in a matrix of all heads.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// From the first value of the first row to the end of the matrix: all rows are within.
    values: &'a [f32],
    pub(super) stride: usize,
    pub(super) len: usize,
    pub(super) width: usize,
}

impl<'a> Rows<'a> {
    /// The rows of `width` values from column `column` of a matrix whose rows are `stride` long.
    #[inline(always)]
    pub(super) fn new(matrix: &'a [f32], stride: usize, column: usize, width: usize) -> Self {
        assert!(column + width <= stride && matrix.len().is_multiple_of(stride), "columns exist");
        let len = matrix.len() / stride;
        Self { values: &matrix[column.min(matrix.len())..], stride, len, width }
    }

    /// `n_rows` of the rows, from `first` on.
    #[inline(always)]
    pub(super) fn part(self, first: usize, n_rows: usize) -> Self {
        assert!(first + n_rows <= self.len, "rows exist");
        let values = &self.values[(first * self.stride).min(self.values.len())..];
        Self { values, len: n_rows, ..self }
    }

    #[inline(always)]
    pub(super) fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..][..self.width]
    }

    #[inline(always)]
    pub(super) fn src(self) -> Src {
        Src::of(self.values)
    }

    /// Copies rows, with zeros to make them [`row_len`] long.
    #[inline(always)]
    pub(super) fn copy<L: Lanes>(self, lanes: L, copy: &mut [f32]) {
        let row_len = row_len(self.width);
        assert_eq!(copy.len(), self.len * row_len, "a copy has every row");
        for (row, copy) in copy.chunks_exact_mut(row_len).enumerate() {
            let (copy, rest) = copy.split_at_mut(self.width);
            map(
                lanes,
                [self.row(row)],
                [copy],
                #[inline(always)]
                |[x], _| [x],
            );
            rest.fill(0.0);
        }
    }

    /// Copies up to 32 rows as the columns of a panel, `f32[width, 32]`; the other columns are zero.
    #[inline(always)]
    pub(super) fn copy_panel<L: Lanes>(self, lanes: L, panel: &mut [f32]) {
        assert_eq!(panel.len(), PANEL * self.width, "a panel is f32[width, 32]");
        assert!(self.len <= PANEL, "a panel has 32 columns");
        if self.len < PANEL {
            panel.fill(0.0);
        }
        for part in (0..self.len).step_by(L::LANES) {
            let rows = self.part(part, L::LANES.min(self.len - part));
            // SAFETY: these rows are within the matrix; a panel is as many registers wide as parts.
            unsafe {
                let panel = Dst::of(panel).add(part);
                lanes.pack_rows(rows.src(), rows.stride, rows.len, rows.width, panel, PANEL);
            }
        }
    }
}

/// Writes `n_rows` columns of a panel, `f32[width, 32]`, as rows `stride` apart.
#[inline(always)]
pub(super) fn write_panel<L: Lanes>(
    lanes: L,
    panel: &[f32],
    n_rows: usize,
    rows: &mut [f32],
    stride: usize,
) {
    let width = panel.len() / PANEL;
    assert_eq!(panel.len(), width * PANEL, "a panel is f32[width, 32]");
    assert!((1..=PANEL).contains(&n_rows), "a panel has 32 columns");
    assert!((n_rows - 1) * stride + width <= rows.len(), "rows exist");
    for part in (0..n_rows).step_by(L::LANES) {
        // SAFETY: a panel is as many registers wide as parts; rows below `n_rows` are writable.
        unsafe {
            let (src, dst) = (Src::of(panel).add(part), Dst::of(rows).add(part * stride));
            lanes.unpack_rows(src, PANEL, L::LANES.min(n_rows - part), width, dst, stride);
        }
    }
}

/// How far apart the rows of a copy lie: whole registers of every unit.
pub(super) fn row_len(width: usize) -> usize {
    width.next_multiple_of(REDUCTION_LANES)
}
