//! The rows of one head, and their copies as tiles read them.

use super::tile::PANEL;
use crate::cpu::lanes::{Lanes, REDUCTION_LANES};
use crate::cpu::sweep::map;

/// `f32[len, width]` of one head: rows `stride` apart in a matrix of all heads.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    values: &'a [f32],
    stride: usize,
    len: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    /// The rows of `width` values from column `column` of a matrix whose rows are `stride` long.
    #[inline(always)]
    pub(super) fn new(matrix: &'a [f32], stride: usize, column: usize, width: usize) -> Self {
        assert!(column + width <= stride && matrix.len().is_multiple_of(stride), "columns exist");
        Self { values: &matrix[column..], stride, len: matrix.len() / stride, width }
    }

    #[inline(always)]
    pub(super) fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..][..self.width]
    }

    /// Copies rows, with zeros to make them `row_len(width)` long.
    #[inline(always)]
    pub(super) fn copy<L: Lanes>(self, lanes: L, copy: &mut [f32]) {
        for (row, copy) in copy.chunks_exact_mut(row_len(self.width)).enumerate() {
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

    /// Copies rows as columns of panels: `f32[panels, width, 32]`. What there are no rows for is zero.
    #[inline(always)]
    pub(super) fn copy_panels<L: Lanes>(self, lanes: L, panels: &mut [f32]) {
        for (panel, copy) in panels.chunks_exact_mut(PANEL * self.width).enumerate() {
            self.copy_panel(lanes, panel, copy);
        }
    }

    /// Copies the rows of one panel as its columns.
    #[inline(always)]
    pub(super) fn copy_panel<L: Lanes>(self, lanes: L, panel: usize, copy: &mut [f32]) {
        assert_eq!(copy.len(), PANEL * self.width, "a panel is f32[width, 32]");
        let first = panel * PANEL;
        let n_rows = PANEL.min(self.len - first);
        if n_rows < PANEL {
            copy.fill(0.0);
        }
        for part in (0..n_rows).step_by(L::LANES) {
            let rows = &self.values[(first + part) * self.stride..];
            let n_rows = L::LANES.min(n_rows - part);
            assert!((n_rows - 1) * self.stride + self.width <= rows.len(), "rows exist");
            // SAFETY: the rows are readable as asserted; a panel is as many registers wide as parts.
            unsafe {
                let copy = copy.as_mut_ptr().add(part);
                lanes.pack_rows(rows.as_ptr(), self.stride, n_rows, self.width, copy, PANEL);
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
            let (src, dst) = (panel.as_ptr().add(part), rows.as_mut_ptr().add(part * stride));
            lanes.unpack_rows(src, PANEL, L::LANES.min(n_rows - part), width, dst, stride);
        }
    }
}

/// How far apart the rows of a copy lie: whole registers of every unit.
pub(super) fn row_len(width: usize) -> usize {
    width.next_multiple_of(REDUCTION_LANES)
}
