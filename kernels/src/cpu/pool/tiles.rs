//! Gradients of windows of images too large for the stack: summed tile by tile, one window at a time.

use super::{Average, Axis, PoolShape, Pooling};
use crate::cpu::lanes::{Lanes, Portable, Vector};
use crate::cpu::slice_loops::map;
use core::ops::Range;

/// Rows and columns of a tile.
const TILE: usize = 64;

/// The gradient of the maximum.
#[inline(always)]
pub(super) fn max_grad<L: Lanes>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    x: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let (rows, columns) = (shape.rows(), shape.columns());
    let out_width = columns.n_windows();
    each_tile(lanes, shape, dx, accumulate, |plane, tile| {
        let x = &x[plane * shape.plane_len()..][..shape.plane_len()];
        let dy = &dy[plane * rows.n_windows() * out_width..];
        for at in rows.windows_over(tile.rows.clone()) {
            for window in columns.windows_over(tile.columns.clone()) {
                let [row, column] = taken([rows, columns], x, at, window);
                tile.add(row, column, dy[at * out_width + window]);
            }
        }
    });
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
    each_tile(lanes, shape, dx, accumulate, |plane, tile| {
        let dy = &dy[plane * rows.n_windows() * out_width..];
        for at in rows.windows_over(tile.rows.clone()) {
            let mut row_sums = [0.0; TILE];
            for window in columns.windows_over(tile.columns.clone()) {
                let dy = Vector::splat(Portable, dy[at * out_width + window]);
                let share = Average::finish(dy, shape.window_len()).raw;
                for tap in columns.taps(window) {
                    let column = columns.source(window, tap);
                    if tile.columns.contains(&column) {
                        row_sums[column - tile.columns.start] += share;
                    }
                }
            }
            for row_tap in rows.taps(at) {
                let row = rows.source(at, row_tap);
                for (column, sum) in tile.columns.clone().zip(row_sums) {
                    tile.add(row, column, sum);
                }
            }
        }
    });
}

/// The row and the column of the value that a window takes.
fn taken([rows, columns]: [Axis; 2], x: &[f32], at: usize, window: usize) -> [usize; 2] {
    let (row_taps, taps) = (rows.taps(at), columns.taps(window));
    let mut best = [rows.source(at, row_taps.start), columns.source(window, taps.start)];
    let mut max = x[best[0] * columns.len + best[1]];
    for row_tap in row_taps {
        for tap in taps.clone() {
            let place = [rows.source(at, row_tap), columns.source(window, tap)];
            let value = x[place[0] * columns.len + place[1]];
            if max < value || value.is_nan() {
                (max, best) = (value, place);
            }
        }
    }
    best
}

/// Rows and columns of an image, and what windows add to them.
struct Tile {
    rows: Range<usize>,
    columns: Range<usize>,
    sums: [[f32; TILE]; TILE],
}

impl Tile {
    /// Adds to a value of the image, where it belongs to the tile.
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
    f: impl Fn(usize, &mut Tile),
) {
    let PoolShape { height, width, .. } = shape;
    for (plane, dx) in dx.chunks_exact_mut(shape.plane_len()).enumerate() {
        for row in (0..height).step_by(TILE) {
            for column in (0..width).step_by(TILE) {
                let rows = row..(row + TILE).min(height);
                let columns = column..(column + TILE).min(width);
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
