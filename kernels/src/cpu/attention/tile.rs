//! The loops of attention that multiply.
//!
//! A panel is `f32[depth, 32]`, a column for each of 32 queries or keys. Panels have one width on every
//! unit, so that work is cut alike everywhere; a register tile is as many of its columns as two
//! registers hold.

use super::rows::{PANEL, Rows};
use crate::cpu::dispatch::Once;
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::place::{Dst, Src};

/// Registers of a row of a tile.
const VECTORS: usize = 2;

/// Which elements of a [`score_product`] are wanted; others may be left as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them.
    All,
    /// On the diagonal, of row `i` the columns from `i` on: the queries from the key on.
    FromRow,
    /// On the diagonal, of row `i` the columns up to `i`: the keys up to the query.
    UpToRow,
}

/// Which steps of its chain a column of a [`panel_product`] takes.
///
/// The others are not multiplied by zero but left out: a number that is not finite must not reach what
/// does not depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    /// Every step.
    All,
    /// Column `c` the steps up to `first + c`: the keys up to the query.
    UpTo {
        /// The last step of the first column.
        first: usize,
    },
    /// Column `c` the steps from `c` on: the queries from the key on.
    From,
}

/// `c[i, j] = sum over l of a[i, l] b[l, j]`, each one chain from zero.
///
/// `a`: `[m, depth]`; `b`: `f32[depth, 32]`; `c`: `f32[m, 32]`.
#[inline(always)]
pub(super) fn score_product<L: Lanes>(
    lanes: L,
    a: Rows<'_>,
    b: &[f32],
    c: &mut [f32],
    wanted: Wanted,
) {
    let (m, depth) = (c.len() / PANEL, b.len() / PANEL);
    assert_eq!([b.len(), c.len()], [depth * PANEL, m * PANEL], "panels are whole");
    assert_eq!([a.len, a.width], [m, depth], "A is [m, depth]");
    for (row, n_rows) in tiles::<L>(m) {
        let columns = match wanted {
            Wanted::All => 0..PANEL,
            Wanted::FromRow => row / L::LANES * L::LANES..PANEL,
            Wanted::UpToRow => 0..(row + n_rows).next_multiple_of(L::LANES),
        };
        for column in columns.clone().step_by(VECTORS * L::LANES) {
            let tile = RowTile {
                a: a.src().wrapping_add(row * a.stride),
                a_row: a.stride,
                b: Src::of(b).wrapping_add(column),
                b_row: PANEL,
                c: Dst::of(c).wrapping_add(row * PANEL + column),
                c_row: PANEL,
                goes_on: false,
                steps: depth,
                depth,
            };
            // SAFETY: rows from `row` and columns from `column` are within A, B and C.
            unsafe { tile.run_at_height(lanes, n_rows, columns.end - column) };
        }
    }
}

/// `c[i, j] = sum over l of a[l, i] b[l, j]`, one chain from zero over the steps that column `j` takes.
///
/// `a`: `[depth, m]`; `b`: `f32[depth, 32]`; `c`: `f32[m, 32]`.
#[inline(always)]
pub(super) fn panel_product<L: Lanes>(
    lanes: L,
    a: Rows<'_>,
    b: &[f32],
    c: &mut [f32],
    steps: Steps,
) {
    let (m, depth) = (c.len() / PANEL, b.len() / PANEL);
    assert_eq!([b.len(), c.len()], [depth * PANEL, m * PANEL], "panels are whole");
    assert_eq!([a.len, a.width], [depth, m], "A is [depth, m]");
    for column in (0..PANEL).step_by(VECTORS * L::LANES) {
        for (row, n_rows) in tiles::<L>(m) {
            let tile = PanelTile {
                a: a.src().wrapping_add(row),
                a_row: a.stride,
                b: Src::of(b).wrapping_add(column),
                c: Dst::of(c).wrapping_add(row * PANEL + column),
                depth,
            };
            // SAFETY: rows from `row` and columns from `column` are within A, B and C.
            at_height!(lanes, n_rows, ROWS => unsafe {
                match steps {
                    Steps::All => tile.run::<L, ROWS, VECTORS>(lanes),
                    Steps::UpTo { first } => tile.run_up_to::<L, ROWS>(lanes, first + column),
                    Steps::From => tile.run_from::<L, ROWS>(lanes, column),
                }
            });
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
        for (row, n_rows) in tiles::<L>(m) {
            let tile = RowTile {
                a: Src::of(a).wrapping_add(row * PANEL),
                a_row: PANEL,
                b: Src::of(b).wrapping_add(column),
                b_row: width,
                c: Dst::of(c).wrapping_add(row * width + column),
                c_row: width,
                goes_on: true,
                steps: if diagonal { depth.min(row + 1) } else { depth },
                depth,
            };
            // SAFETY: rows from `row` and columns from `column` are within A, B and C.
            unsafe { tile.run_at_height(lanes, n_rows, width - column) };
        }
    }
}

/// First row and height of the tiles that cover `m` rows.
#[inline(always)]
fn tiles<L: Lanes>(m: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..m).step_by(tallest::<L>()).map(move |row| (row, tallest::<L>().min(m - row)))
}

/// Rows of a tile: a power of two, as head widths and lengths often are, and eight chains or more, which
/// keep two units of four cycles' latency busy. Twelve rows were no faster.
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

/// Sums of a tile of `N` registers a row.
type Sums<L, const ROWS: usize, const N: usize> = [[Vector<L>; N]; ROWS];

/// A tile of a product whose factors lie by columns.
///
/// To run one of `ROWS` rows and `N` registers, `a` must be readable at `l * a_row + i` for `i < ROWS`,
/// `l < depth`; `N` registers of `b` readable at `l * PANEL`, and of `c` writable at `i * PANEL`.
#[derive(Clone, Copy)]
struct PanelTile {
    a: Src,
    a_row: usize,
    b: Src,
    c: Dst,
    depth: usize,
}

impl PanelTile {
    /// Every step.
    ///
    /// # Safety
    ///
    /// See [`PanelTile`].
    #[inline(always)]
    unsafe fn run<L: Lanes, const ROWS: usize, const N: usize>(self, lanes: L) {
        let mut sums = zeros::<L, ROWS, N>(lanes);
        // SAFETY: the caller's promise.
        unsafe {
            self.steps(lanes, 0, self.depth, &mut sums);
            store(self.c, PANEL, &sums);
        }
    }

    /// Of column `c` the steps up to `first + c`.
    ///
    /// # Safety
    ///
    /// See [`PanelTile`].
    #[inline(always)]
    unsafe fn run_up_to<L: Lanes, const ROWS: usize>(self, lanes: L, first: usize) {
        let mut sums = zeros::<L, ROWS, VECTORS>(lanes);
        // SAFETY: the caller's promise.
        unsafe {
            self.steps(lanes, 0, first.min(self.depth), &mut sums);
            self.diagonal::<L, ROWS, 0, true>(lanes, first, &mut sums);
            self.diagonal::<L, ROWS, 1, true>(lanes, first + L::LANES, &mut sums);
            store(self.c, PANEL, &sums);
        }
    }

    /// Of column `c` the steps from `first + c` on.
    ///
    /// # Safety
    ///
    /// See [`PanelTile`].
    #[inline(always)]
    unsafe fn run_from<L: Lanes, const ROWS: usize>(self, lanes: L, first: usize) {
        let mut sums = zeros::<L, ROWS, VECTORS>(lanes);
        // SAFETY: the caller's promise.
        unsafe {
            self.diagonal::<L, ROWS, 0, false>(lanes, first, &mut sums);
            self.diagonal::<L, ROWS, 1, false>(lanes, first + L::LANES, &mut sums);
            self.steps(lanes, first + VECTORS * L::LANES, self.depth, &mut sums);
            store(self.c, PANEL, &sums);
        }
    }

    /// Adds the products of the steps `from..to`.
    ///
    /// # Safety
    ///
    /// See [`PanelTile`]; `to <= depth`.
    #[inline(always)]
    unsafe fn steps<L: Lanes, const ROWS: usize, const N: usize>(
        self,
        lanes: L,
        from: usize,
        to: usize,
        sums: &mut Sums<L, ROWS, N>,
    ) {
        for l in from..to {
            // SAFETY: the caller's promise, as `l < depth`.
            unsafe {
                let b = load::<L, N>(lanes, self.b.add(l * PANEL));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let a = Vector::splat(lanes, self.a.add(l * self.a_row + i).read());
                    for (sum, b) in sums.iter_mut().zip(&b) {
                        *sum = a.mul_add(*b, *sum);
                    }
                }
            }
        }
    }

    /// Adds the products of as many steps, from `from` on, as a register has lanes: in register `PART`
    /// those of one lane more, or less, at each step. Other registers take all of them, or none.
    ///
    /// Going `UP_TO` a step, lanes from the number of the step on take it; otherwise those up to it.
    ///
    /// # Safety
    ///
    /// See [`PanelTile`].
    #[inline(always)]
    unsafe fn diagonal<L: Lanes, const ROWS: usize, const PART: usize, const UP_TO: bool>(
        self,
        lanes: L,
        from: usize,
        sums: &mut Sums<L, ROWS, VECTORS>,
    ) {
        let numbers = Vector::new(lanes, lanes.of_i32(lanes.iota()));
        for step in 0..L::LANES.min(self.depth.saturating_sub(from)) {
            let l = from + step;
            let takes = if UP_TO {
                Vector::splat(lanes, step as f32).less_equal(numbers)
            } else {
                lanes.first(step + 1)
            };
            // SAFETY: the caller's promise, as `l < depth`.
            unsafe {
                let b = load::<L, VECTORS>(lanes, self.b.add(l * PANEL));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let a = Vector::splat(lanes, self.a.add(l * self.a_row + i).read());
                    for v in 0..VECTORS {
                        let next = a.mul_add(b[v], sums[v]);
                        if v == PART {
                            sums[v] = next.select(takes, sums[v]);
                        } else if (PART < v) == UP_TO {
                            sums[v] = next;
                        }
                    }
                }
            }
        }
    }
}

/// A tile of a product whose left factors lie by rows.
///
/// To run one of `ROWS` rows and `N` registers, `a` must be readable at `i * a_row + l` for `i < ROWS`,
/// `l < depth`; `N` registers of `b` readable at `l * b_row`, and of `c` readable and writable at
/// `i * c_row`.
#[derive(Clone, Copy)]
struct RowTile {
    a: Src,
    a_row: usize,
    b: Src,
    b_row: usize,
    c: Dst,
    c_row: usize,
    /// Whether the chains go on from what is there, and not from zero.
    goes_on: bool,
    /// Steps of the first row, at most `depth`; each further row takes one more, while there are any.
    steps: usize,
    depth: usize,
}

impl RowTile {
    /// Runs the tile compiled for its rows, and for the registers of `n_columns`.
    ///
    /// # Safety
    ///
    /// See [`RowTile`].
    #[inline(always)]
    unsafe fn run_at_height<L: Lanes>(self, lanes: L, n_rows: usize, n_columns: usize) {
        at_height!(lanes, n_rows, ROWS => unsafe {
            // SAFETY: the caller's promise.
            if n_columns < VECTORS * L::LANES {
                self.run::<L, ROWS, 1>(lanes);
            } else {
                self.run::<L, ROWS, VECTORS>(lanes);
            }
        });
    }

    /// # Safety
    ///
    /// See [`RowTile`].
    #[inline(always)]
    unsafe fn run<L: Lanes, const ROWS: usize, const N: usize>(self, lanes: L) {
        let mut sums = zeros::<L, ROWS, N>(lanes);
        let mut rows = [self.a; ROWS];
        for (i, (sums, row)) in sums.iter_mut().zip(&mut rows).enumerate() {
            *row = self.a.wrapping_add(i * self.a_row);
            if self.goes_on {
                // SAFETY: row `i` of the tile.
                *sums = unsafe { load(lanes, self.c.src().add(i * self.c_row)) };
            }
        }
        for l in 0..self.steps {
            // SAFETY: the caller's promise, as `l < depth`.
            unsafe { self.step(lanes, l, &rows, &mut sums) };
        }
        for row in 1..ROWS {
            let l = self.steps + row - 1;
            if l < self.depth {
                // SAFETY: the caller's promise.
                unsafe { self.step(lanes, l, &rows[row..], &mut sums[row..]) };
            }
        }
        // SAFETY: the rows of the tile.
        unsafe { store(self.c, self.c_row, &sums) };
    }

    /// Adds the products of step `l` to the sums of `rows`.
    ///
    /// # Safety
    ///
    /// See [`RowTile`]; `l < depth`.
    #[inline(always)]
    unsafe fn step<L: Lanes, const N: usize>(
        self,
        lanes: L,
        l: usize,
        rows: &[Src],
        sums: &mut [[Vector<L>; N]],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let b = load::<L, N>(lanes, self.b.add(l * self.b_row));
            for (row, sums) in rows.iter().zip(sums) {
                let a = Vector::splat(lanes, row.add(l).read());
                for (sum, b) in sums.iter_mut().zip(&b) {
                    *sum = a.mul_add(*b, *sum);
                }
            }
        }
    }
}

#[inline(always)]
fn zeros<L: Lanes, const ROWS: usize, const N: usize>(lanes: L) -> Sums<L, ROWS, N> {
    [[Vector::splat(lanes, 0.0); N]; ROWS]
}

/// `N` registers of a row.
///
/// # Safety
///
/// `src` is readable for as much.
#[inline(always)]
unsafe fn load<L: Lanes, const N: usize>(lanes: L, src: Src) -> [Vector<L>; N] {
    let mut row = [Vector::splat(lanes, 0.0); N];
    for (v, value) in row.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        value.raw = unsafe { lanes.load(src.add(v * L::LANES)) };
    }
    row
}

/// Writes a tile to rows `stride` apart.
///
/// # Safety
///
/// `N` registers are writable at each row.
#[inline(always)]
unsafe fn store<L: Lanes, const ROWS: usize, const N: usize>(
    dst: Dst,
    stride: usize,
    sums: &Sums<L, ROWS, N>,
) {
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { sum.lanes.store(dst.add(i * stride + v * L::LANES), sum.raw) };
        }
    }
}
