//! The loops of attention that multiply.
//!
//! A panel is `f32[depth, 32]`, a column for each of 32 queries or keys. Panels have one width on every
//! unit, so that work is cut alike everywhere; a register tile is as many of its columns as two
//! registers hold.

use crate::cpu::dispatch::Once;
use crate::cpu::lanes::{Lanes, Vector};

/// Columns of a panel: two registers of the widest unit.
pub(super) const PANEL: usize = 32;

/// Registers of a row of a tile.
const VECTORS: usize = 2;

/// Which steps of its chain a column of a [`panel_product`] takes.
///
/// The others are not multiplied by zero but left out: a number that is not finite must not reach what
/// does not depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    /// Every step.
    All,
    /// Column `c` the steps up to `first + c`: keys up to the query.
    UpTo {
        /// The last step of the first column.
        first: usize,
    },
    /// Column `c` the steps from `c` on: queries from the key on.
    From,
}

/// `c[i, j] = sum over l of a[l, i] b[l, j]`, one chain from zero over the steps that column `j` takes.
///
/// Rows of `a` lie `a_row` apart; `b`: `f32[depth, 32]`; `c`: `f32[m, 32]`.
#[inline(always)]
pub(super) fn panel_product<L: Lanes>(
    lanes: L,
    a: &[f32],
    a_row: usize,
    b: &[f32],
    c: &mut [f32],
    steps: Steps,
) {
    assert!(b.len().is_multiple_of(PANEL) && c.len().is_multiple_of(PANEL), "panels are whole");
    let (m, depth) = (c.len() / PANEL, b.len() / PANEL);
    let last = depth.saturating_sub(1) * a_row;
    assert!(depth == 0 || last + m <= a.len(), "A has a row of `m` a step");
    for column in (0..PANEL).step_by(VECTORS * L::LANES) {
        for (row, n_rows) in tiles::<L>(m) {
            let tile = PanelTile {
                a: a.as_ptr().wrapping_add(row),
                a_row,
                b: b.as_ptr().wrapping_add(column),
                c: c.as_mut_ptr().wrapping_add(row * PANEL + column),
                depth,
                column,
                steps,
            };
            // SAFETY: rows from `row` and columns from `column` are within A, B and C.
            at_height!(lanes, n_rows, ROWS => unsafe { panel_tile::<L, ROWS>(lanes, tile) });
        }
    }
}

/// `c[i, j] += sum over l of a[i, l] b[l, j]`, each chain going on from what is there.
///
/// `a`: `f32[m, 32]`; `b`: `f32[depth, width]` with at most 32 rows; `c`: `f32[m, width]`; `width` is a
/// multiple of sixteen. On the `diagonal`, row `i` takes the steps up to `i`.
#[inline(always)]
pub(super) fn row_product<L: Lanes>(
    lanes: L,
    width: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    diagonal: bool,
) {
    assert!(0 < width && width.is_multiple_of(L::LANES), "rows are whole registers");
    let (m, depth) = (a.len() / PANEL, b.len() / width);
    assert_eq!([a.len(), c.len(), b.len()], [m * PANEL, m * width, depth * width]);
    assert!(depth <= PANEL, "A has a number a step");
    for column in (0..width).step_by(VECTORS * L::LANES) {
        let one_vector = width - column < VECTORS * L::LANES;
        for (row, n_rows) in tiles::<L>(m) {
            let steps = if diagonal { depth.min(row + 1) } else { depth };
            let tile = RowTile {
                a: a.as_ptr().wrapping_add(row * PANEL),
                b: b.as_ptr().wrapping_add(column),
                c: c.as_mut_ptr().wrapping_add(row * width + column),
                width,
                steps,
                last: depth,
            };
            // SAFETY: rows from `row` and columns from `column` are within A, B and C.
            at_height!(lanes, n_rows, ROWS => unsafe {
                if one_vector {
                    row_tile::<L, ROWS, 1>(lanes, tile);
                } else {
                    row_tile::<L, ROWS, VECTORS>(lanes, tile);
                }
            });
        }
    }
}

/// First row and height of the tiles that cover `m` rows.
#[inline(always)]
fn tiles<L: Lanes>(m: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..m).step_by(tallest::<L>()).map(move |row| (row, tallest::<L>().min(m - row)))
}

/// Rows of a tile: a power of two, as head widths and lengths often are, and enough for eight chains
/// at a time, which keep two units of four cycles' latency busy.
const fn tallest<L: Lanes>() -> usize {
    if L::TILE_ROWS[VECTORS - 1] < 8 { 4 } else { 8 }
}

/// Evaluates an expression compiled for a height.
macro_rules! at_height {
    ($lanes:ident, $n_rows:ident, $name:ident => $body:expr) => {
        at_height!(@ $lanes, $n_rows, $name, $body, 1 2 3 4 5 6 7 8)
    };
    (@ $lanes:ident, $n_rows:ident, $name:ident, $body:expr, $($rows:literal)*) => {
        match $n_rows {
            $($rows if $rows <= tallest::<L>() => {
                const $name: usize = $rows;
                let once = Once;
                $lanes.call(#[inline(always)] || {
                    let _consumed = once;
                    $body
                });
            })*
            _ => unreachable!("tiles are no taller than the tallest"),
        }
    };
}
use at_height;

#[derive(Clone, Copy)]
struct PanelTile {
    a: *const f32,
    a_row: usize,
    b: *const f32,
    c: *mut f32,
    depth: usize,
    /// Where in the panel its columns are.
    column: usize,
    steps: Steps,
}

impl PanelTile {
    /// Adds the products of step `l`.
    ///
    /// # Safety
    ///
    /// As for [`panel_tile`], `l < depth`.
    #[inline(always)]
    unsafe fn step<L: Lanes, const ROWS: usize>(
        &self,
        lanes: L,
        l: usize,
        sums: &mut [[Vector<L>; VECTORS]; ROWS],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let a = self.a.add(l * self.a_row);
            multiply(
                lanes,
                #[inline(always)]
                |i| a.add(i).read(),
                self.b.add(l * PANEL),
                sums,
            );
        }
    }
}

/// `ROWS` rows and two registers of a [`panel_product`].
///
/// # Safety
///
/// `a` is readable at `l * a_row + i` for `i < ROWS`, `l < depth`; two registers of `b` are readable at
/// `l * PANEL`, and of `c` writable at `i * PANEL`.
#[inline(always)]
unsafe fn panel_tile<L: Lanes, const ROWS: usize>(lanes: L, tile: PanelTile) {
    let PanelTile { c, depth, column, steps, .. } = tile;
    let (from, to) = match steps {
        Steps::All => (0, depth),
        Steps::UpTo { first } => (0, first.min(depth)),
        Steps::From => (PANEL.min(depth), depth),
    };
    let columns = columns(lanes, column);
    let mut sums = [[Vector::splat(lanes, 0.0); VECTORS]; ROWS];
    for l in 0..from {
        let (before, step) = (sums, Vector::splat(lanes, l as f32));
        // SAFETY: the caller's promise, as `l < depth`.
        unsafe { tile.step(lanes, l, &mut sums) };
        keep(&mut sums, &before, [columns[0].less_equal(step), columns[1].less_equal(step)]);
    }
    for l in from..to {
        // SAFETY: the caller's promise, as `l < depth`.
        unsafe { tile.step(lanes, l, &mut sums) };
    }
    for l in to..depth {
        let (before, step) = (sums, Vector::splat(lanes, (l - to) as f32));
        // SAFETY: the caller's promise, as `l < depth`.
        unsafe { tile.step(lanes, l, &mut sums) };
        keep(&mut sums, &before, [step.less_equal(columns[0]), step.less_equal(columns[1])]);
    }
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: row `i` of the tile.
            unsafe { lanes.store(c.add(i * PANEL + v * L::LANES), sum.raw) };
        }
    }
}

/// The number of each column of two registers of a panel.
#[inline(always)]
pub(super) fn columns<L: Lanes>(lanes: L, first: usize) -> [Vector<L>; VECTORS] {
    let mut columns = [Vector::new(lanes, lanes.of_i32(lanes.iota())); VECTORS];
    for (v, column) in columns.iter_mut().enumerate() {
        *column = *column + column.constant((first + v * L::LANES) as f32);
    }
    columns
}

/// Takes a step back in the columns that do not take it.
#[inline(always)]
fn keep<L: Lanes, const ROWS: usize>(
    sums: &mut [[Vector<L>; VECTORS]; ROWS],
    before: &[[Vector<L>; VECTORS]; ROWS],
    takes: [L::Mask; VECTORS],
) {
    for (sums, before) in sums.iter_mut().zip(before) {
        for v in 0..VECTORS {
            sums[v] = sums[v].select(takes[v], before[v]);
        }
    }
}

#[derive(Clone, Copy)]
struct RowTile {
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    width: usize,
    /// Steps of the first row; each further row takes one more, as long as there are any.
    steps: usize,
    last: usize,
}

/// `ROWS` rows and `N` registers of a [`row_product`].
///
/// # Safety
///
/// `a` is readable at `i * PANEL + l` for `i < ROWS`, `l < last`; `N` registers of `b` are readable at
/// `l * width`, and of `c` readable and writable at `i * width`.
#[inline(always)]
unsafe fn row_tile<L: Lanes, const ROWS: usize, const N: usize>(lanes: L, tile: RowTile) {
    let RowTile { a, b, c, width, steps, last } = tile;
    let mut sums = [[Vector::splat(lanes, 0.0); N]; ROWS];
    for (i, sums) in sums.iter_mut().enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            // SAFETY: row `i` of the tile.
            sum.raw = unsafe { lanes.load(c.add(i * width + v * L::LANES)) };
        }
    }
    for l in 0..steps {
        // SAFETY: the caller's promise, as `l < last`.
        unsafe {
            let a = a.add(l);
            multiply(
                lanes,
                #[inline(always)]
                |i| a.add(i * PANEL).read(),
                b.add(l * width),
                &mut sums,
            );
        }
    }
    for row in 1..ROWS {
        let l = steps + row - 1;
        if l < last {
            // SAFETY: the caller's promise.
            unsafe {
                let a = a.add(row * PANEL + l);
                let later = &mut sums[row..];
                multiply(
                    lanes,
                    #[inline(always)]
                    |i| a.add(i * PANEL).read(),
                    b.add(l * width),
                    later,
                );
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: row `i` of the tile.
            unsafe { lanes.store(c.add(i * width + v * L::LANES), sum.raw) };
        }
    }
}

/// Adds to each row its factor times a row of `B`.
///
/// # Safety
///
/// `N` registers are readable from `b`.
#[inline(always)]
unsafe fn multiply<L: Lanes, const N: usize>(
    lanes: L,
    factor: impl Fn(usize) -> f32,
    b: *const f32,
    sums: &mut [[Vector<L>; N]],
) {
    let mut row = [Vector::splat(lanes, 0.0); N];
    for (v, value) in row.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        value.raw = unsafe { lanes.load(b.add(v * L::LANES)) };
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        let factor = Vector::splat(lanes, factor(i));
        for (sum, value) in sums.iter_mut().zip(&row) {
            *sum = factor.mul_add(*value, *sum);
        }
    }
}
