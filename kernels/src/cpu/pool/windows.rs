//! Windows of any kind, a register of neighbours at a time.

use super::{Average, Axis, Maximum, PoolShape, Pooling};
use crate::cpu::interleave::{Pairs, Strided, load_first};
use crate::cpu::lanes::{Lanes, Portable, REDUCTION_LANES, Vector};
use crate::cpu::slice_loops::map;

/// Values of the largest image that is copied with its padding, and whose gradient is summed, on the
/// stack: half a first-level cache.
pub(super) const PLANE_MAX: usize = 1 << 13;

/// `y = pooled windows of x`
#[inline(always)]
pub(super) fn forward<L: Pairs, K: Pooling>(lanes: L, shape: PoolShape, x: &[f32], y: &mut [f32]) {
    let mut plane = Plane::of(shape, K::START);
    let Plane { rows, columns, .. } = plane;
    let out_width = columns.n_windows();
    let planes = x.chunks_exact(shape.plane_len());
    for (x, y) in planes.zip(y.chunks_exact_mut(rows.n_windows() * out_width)) {
        let x = plane.padded(x);
        for (at, y) in y.chunks_exact_mut(out_width).enumerate() {
            columns.each_run(
                0..out_width,
                L::LANES,
                #[inline(always)]
                |first, n_windows, taps| {
                    let windows = Strided::of(lanes, columns.stride, n_windows);
                    let mut sum = Vector::splat(lanes, K::START);
                    for row_tap in rows.taps(at) {
                        let row = rows.source(at, row_tap) * columns.len;
                        for tap in taps.clone() {
                            let source = row + columns.source(first, tap);
                            sum = K::step(sum, windows.load(x, source));
                        }
                    }
                    K::finish(sum, shape.window_len()).store_first(&mut y[first..][..n_windows]);
                },
            );
        }
    }
}

/// The gradient of the maximum, for images of at most [`PLANE_MAX`] values with their padding.
#[inline(always)]
pub(super) fn max_grad<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    x: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let mut plane = Plane::of(shape, Maximum::START);
    let mut sums = [0.0; PLANE_MAX];
    let out_width = plane.columns.n_windows();
    let planes = dx.chunks_exact_mut(shape.plane_len()).zip(x.chunks_exact(shape.plane_len()));
    let out_len = plane.rows.n_windows() * out_width;
    for ((dx, x), dy) in planes.zip(dy.chunks_exact(out_len)) {
        let sums = &mut sums[..shape.padded_len()];
        sums.fill(0.0);
        let Plane { rows, columns, .. } = plane;
        let x = plane.padded(x);
        for (at, dy) in dy.chunks_exact(out_width).enumerate() {
            for (block, dy) in dy.chunks(L::LANES).enumerate() {
                let first = block * L::LANES;
                let from = at * rows.stride * columns.len + first * columns.stride;
                let start = first_taps(shape, columns.len, [at, first, dy.len()]);
                let windows = Strided::of(lanes, columns.stride, dy.len());
                let taken = taken(shape, columns.len, &x[from..], start, windows);
                let sums = &mut sums[from..];
                for (lane, (dy, taken)) in dy.iter().zip(taken).enumerate() {
                    sums[lane * columns.stride + taken.to_bits() as usize] += dy;
                }
            }
        }
        write_back(lanes, shape, sums, dx, accumulate);
    }
}

/// The gradient of the average, for images of at most [`PLANE_MAX`] values with their padding.
#[inline(always)]
pub(super) fn avg_grad<L: Lanes>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let (rows, columns) = shape.padded_axes();
    let mut sums = [0.0; PLANE_MAX];
    // Zeros between shares a stride apart, and before and after them as a window is wide.
    let mut shares = [0.0; 2 * PLANE_MAX];
    let [_, kernel_columns] = shape.kernel;
    let out_width = columns.n_windows();
    let planes = dx.chunks_exact_mut(shape.plane_len());
    for (dx, dy) in planes.zip(dy.chunks_exact(rows.n_windows() * out_width)) {
        let sums = &mut sums[..shape.padded_len()];
        sums.fill(0.0);
        for (at, dy) in dy.chunks_exact(out_width).enumerate() {
            let places = shares[kernel_columns - 1..].iter_mut().step_by(columns.stride);
            for (share, dy) in places.zip(dy) {
                *share = Average::finish(Vector::splat(Portable, *dy), shape.window_len()).raw;
            }
            let rows = &mut sums[at * rows.stride * columns.len..];
            spread_row(lanes, shape.kernel, columns.len, &shares, rows);
        }
        write_back(lanes, shape, sums, dx, accumulate);
    }
}

/// Adds what a row of windows gives to their columns, the sum from left to right of `shares` over a
/// kernel's width, to each of their rows; `rows` begins with the first.
#[inline(always)]
fn spread_row<L: Lanes>(
    lanes: L,
    [kernel_rows, kernel_columns]: [usize; 2],
    width: usize,
    shares: &[f32],
    rows: &mut [f32],
) {
    for first in (0..width).step_by(L::LANES) {
        let n_columns = (width - first).min(L::LANES);
        let mut sum = Vector::splat(lanes, 0.0);
        for tap in 0..kernel_columns {
            sum = sum + load_first(lanes, &shares[first + tap..][..n_columns]);
        }
        for row in 0..kernel_rows {
            let row = &mut rows[row * width + first..][..n_columns];
            (load_first(lanes, row) + sum).store_first(row);
        }
    }
}

/// Where the value that each of some windows takes lies, from where the window begins, as the bits of a
/// number; `x` begins with the first of them.
///
/// `first_taps` are those of the windows that lie on the image, taken if no value is larger than the
/// least.
#[inline(always)]
fn taken<L: Pairs>(
    shape: PoolShape,
    width: usize,
    x: &[f32],
    first_taps: [f32; REDUCTION_LANES],
    windows: Strided<L>,
) -> [f32; REDUCTION_LANES] {
    let lanes = windows.lanes;
    let mut max = Vector::splat(lanes, Maximum::START);
    let mut winner = lanes.bits_of(Vector::load(lanes, &first_taps).raw);
    let [kernel_rows, kernel_columns] = shape.kernel;
    for row_tap in 0..kernel_rows {
        for tap in 0..kernel_columns {
            let at = row_tap * width + tap;
            let number = lanes.splat_u32(at as u32);
            (max, winner) = challenge(max, winner, windows.load(x, at), number);
        }
    }
    let mut taken = [0.0; REDUCTION_LANES];
    Vector::new(lanes, lanes.of_bits(winner)).store(&mut taken);
    taken
}

/// Where the first tap on the image of each of `n_windows` windows lies, from where the window begins,
/// as the bits of a number.
#[inline(always)]
fn first_taps(
    shape: PoolShape,
    width: usize,
    [at, first, n_windows]: [usize; 3],
) -> [f32; REDUCTION_LANES] {
    let columns = shape.columns();
    let row = shape.rows().taps(at).start * width;
    let mut first_taps = [f32::from_bits(row as u32); REDUCTION_LANES];
    if first * columns.stride < columns.padding {
        for (lane, tap) in first_taps[..n_windows].iter_mut().enumerate() {
            *tap = f32::from_bits((row + columns.taps(first + lane).start) as u32);
        }
    }
    first_taps
}

/// Writes, or adds, what lies within the padding.
#[inline(always)]
fn write_back<L: Lanes>(
    lanes: L,
    shape: PoolShape,
    sums: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let [padding_rows, padding_columns] = shape.padding;
    let rows = sums.chunks_exact(shape.width + 2 * padding_columns).skip(padding_rows);
    for (dx, sums) in dx.chunks_exact_mut(shape.width).zip(rows) {
        let sums = &sums[padding_columns..][..dx.len()];
        if accumulate {
            map(
                lanes,
                [sums],
                [dx],
                #[inline(always)]
                |[sum], [dx]| [dx + sum],
            );
        } else {
            map(
                lanes,
                [sums],
                [dx],
                #[inline(always)]
                |[sum], _| [sum],
            );
        }
    }
}

/// The maximum and its number after one more value: PyTorch's rule, by which the first of equal values
/// stays, and any NaN wins.
#[inline(always)]
pub(super) fn challenge<L: Lanes>(
    max: Vector<L>,
    winner: L::U32,
    x: Vector<L>,
    number: L::U32,
) -> (Vector<L>, L::U32) {
    let lanes = x.lanes;
    let larger = max.less(x);
    let nan = lanes.is_nan(x.raw);
    let [winner, number] = [lanes.of_bits(winner), lanes.of_bits(number)];
    let winner = lanes.select(nan, number, lanes.select(larger, number, winner));
    (Maximum::step(max, x), lanes.bits_of(winner))
}

/// An image with its padding written out, where that is needed and fits the stack: windows then need
/// no care at the edges.
struct Plane {
    rows: Axis,
    columns: Axis,
    padding: [usize; 2],
    /// Whether images are copied.
    is_copy: bool,
    values: [f32; PLANE_MAX],
}

impl Plane {
    fn of(shape: PoolShape, border: f32) -> Self {
        let is_copy = shape.padding != [0, 0] && shape.padded_len() <= PLANE_MAX;
        let (rows, columns) =
            if is_copy { shape.padded_axes() } else { (shape.rows(), shape.columns()) };
        Self { rows, columns, padding: shape.padding, is_copy, values: [border; PLANE_MAX] }
    }

    /// An image of one channel, as the axes have it.
    fn padded<'a>(&'a mut self, x: &'a [f32]) -> &'a [f32] {
        if !self.is_copy {
            return x;
        }
        let [padding_rows, padding_columns] = self.padding;
        let width = self.columns.len - 2 * padding_columns;
        let rows = self.values.chunks_exact_mut(self.columns.len).skip(padding_rows);
        for (row, x) in rows.zip(x.chunks_exact(width)) {
            row[padding_columns..][..width].copy_from_slice(x);
        }
        &self.values
    }
}
