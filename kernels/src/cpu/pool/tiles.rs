//! Gradients of windows that overlap, or do not tile the image: what windows add to their values is
//! gathered tile by tile on the stack.
//!
//! A finished tile is written, or added to what is there; so no buffer is asked of the caller, and an
//! image of at most a tile is walked once.

use super::pairs::Pairs;
use super::windows::{challenge, load_strided};
use super::{Average, Axis, Maximum, PoolShape, Pooling};
use crate::cpu::lanes::{Lanes, Portable, REDUCTION_LANES, Vector};
use crate::cpu::sweep::map;
use core::ops::Range;

/// Rows and columns of a tile.
const TILE: usize = 64;

/// Rows and columns of an image, and what windows add to them.
struct Tile {
    rows: Range<usize>,
    columns: Range<usize>,
    sums: [[f32; TILE]; TILE],
}

/// The gradient of the maximum.
#[inline(always)]
pub(super) fn max_grad<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    x: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let (rows, columns) = (shape.rows(), shape.columns());
    let out_width = columns.n_windows();
    let out_len = rows.n_windows() * out_width;
    each_tile(
        lanes,
        shape,
        dx,
        accumulate,
        #[inline(always)]
        |plane, tile| {
            let x = &x[plane * shape.plane_len()..][..shape.plane_len()];
            let dy = &dy[plane * out_len..][..out_len];
            for at in rows.windows_over(tile.rows.clone()) {
                let dy = &dy[at * out_width..][..out_width];
                let windows = columns.windows_over(tile.columns.clone());
                columns.each_run(
                    windows,
                    L::LANES,
                    #[inline(always)]
                    |first, n_windows, taps| {
                        let run = Run { first, n_windows, taps };
                        let winners = winners(lanes, [rows, columns], x, at, &run);
                        for (lane, dy) in dy[first..][..n_windows].iter().enumerate() {
                            let row = at * rows.stride + winners[0][lane] as usize;
                            let column =
                                (first + lane) * columns.stride + winners[1][lane] as usize;
                            tile.add(row - rows.padding, column - columns.padding, *dy);
                        }
                    },
                );
            }
        },
    );
}

/// Windows side by side with the same taps.
struct Run {
    first: usize,
    n_windows: usize,
    taps: Range<usize>,
}

/// The row and the column, within each window of a run, of the value that is taken.
#[inline(always)]
fn winners<L: Pairs>(
    lanes: L,
    [rows, columns]: [Axis; 2],
    x: &[f32],
    at: usize,
    run: &Run,
) -> [[u32; REDUCTION_LANES]; 2] {
    let row_taps = rows.taps(at);
    let mut max = Vector::splat(lanes, Maximum::START);
    let mut winner_row = lanes.splat_u32(row_taps.start as u32);
    let mut winner_column = lanes.splat_u32(run.taps.start as u32);
    for row_tap in row_taps {
        let x = &x[rows.source(at, row_tap) * columns.len..][..columns.len];
        for tap in run.taps.clone() {
            let x = &x[columns.source(run.first, tap)..];
            let x = load_strided(lanes, x, columns.stride, run.n_windows);
            let row_number = lanes.splat_u32(row_tap as u32);
            (_, winner_row) = challenge(max, winner_row, x, row_number);
            (max, winner_column) = challenge(max, winner_column, x, lanes.splat_u32(tap as u32));
        }
    }
    let mut winners = [[0; REDUCTION_LANES]; 2];
    for (winners, numbers) in winners.iter_mut().zip([winner_row, winner_column]) {
        let mut bits = [0.0; REDUCTION_LANES];
        Vector::new(lanes, lanes.of_bits(numbers)).store(&mut bits);
        for (winner, bits) in winners.iter_mut().zip(bits) {
            *winner = bits.to_bits();
        }
    }
    winners
}

/// The gradient of the average.
#[inline(always)]
pub(super) fn avg_grad<L: Lanes>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let (rows, columns) = (shape.rows(), shape.columns());
    let out_width = columns.n_windows();
    let out_len = rows.n_windows() * out_width;
    each_tile(
        lanes,
        shape,
        dx,
        accumulate,
        #[inline(always)]
        |plane, tile| {
            let dy = &dy[plane * out_len..][..out_len];
            for at in rows.windows_over(tile.rows.clone()) {
                for window in columns.windows_over(tile.columns.clone()) {
                    let dy = Vector::splat(Portable, dy[at * out_width + window]);
                    let share = Average::finish(dy, shape.window_len()).raw;
                    for row_tap in rows.taps(at) {
                        for tap in columns.taps(window) {
                            let row = rows.source(at, row_tap);
                            tile.add(row, columns.source(window, tap), share);
                        }
                    }
                }
            }
        },
    );
}

impl Tile {
    /// Adds to a value of the image, where it belongs to the tile.
    #[inline(always)]
    fn add(&mut self, row: usize, column: usize, share: f32) {
        if self.rows.contains(&row) && self.columns.contains(&column) {
            self.sums[row - self.rows.start][column - self.columns.start] += share;
        }
    }
}

/// Fills every tile of every image of one channel by `f`, and writes it.
#[inline(always)]
fn each_tile<L: Lanes>(
    lanes: L,
    shape: PoolShape,
    dx: &mut [f32],
    accumulate: bool,
    mut f: impl FnMut(usize, &mut Tile),
) {
    let PoolShape { height, width, .. } = shape;
    for (plane, dx) in dx.chunks_exact_mut(shape.plane_len()).enumerate() {
        for row in (0..height).step_by(TILE) {
            for column in (0..width).step_by(TILE) {
                let (rows, columns) =
                    (row..(row + TILE).min(height), column..(column + TILE).min(width));
                let mut tile = Tile { rows, columns, sums: [[0.0; TILE]; TILE] };
                f(plane, &mut tile);
                for (row, sums) in tile.rows.clone().zip(&tile.sums) {
                    let dx = &mut dx[row * width..][tile.columns.clone()];
                    let sums = &sums[..dx.len()];
                    if accumulate {
                        map(
                            lanes,
                            [sums],
                            [dx],
                            #[inline(always)]
                            |[sum], [dx]| [dx + sum],
                        );
                    } else {
                        dx.copy_from_slice(sums);
                    }
                }
            }
        }
    }
}
