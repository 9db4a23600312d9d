//! Windows of any kind, a register of neighbours at a time.

use super::pairs::{Pairs, add_strided, load_first, load_strided};
use super::{Average, Axis, Maximum, PoolShape, Pooling};
use crate::cpu::lanes::{Lanes, REDUCTION_LANES, Vector};
use crate::cpu::sweep::map;

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
                    let mut sum = Vector::splat(lanes, K::START);
                    for row_tap in rows.taps(at) {
                        let row = &x[rows.source(at, row_tap) * columns.len..][..columns.len];
                        for tap in taps.clone() {
                            let x = &row[columns.source(first, tap)..];
                            sum = K::step(sum, load_strided(lanes, x, columns.stride, n_windows));
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
    let zero = Vector::splat(lanes, 0.0);
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
                let start = first_taps(lanes, shape, at, first, dy.len());
                let from = at * rows.stride * columns.len + first * columns.stride;
                let winner = winner(shape, columns, &x[from..], start, dy.len());
                let share = load_first(lanes, dy);
                scatter(
                    shape,
                    columns,
                    &mut sums[from..],
                    dy.len(),
                    #[inline(always)]
                    |tap| {
                        let takes = lanes.equal_u32(winner, lanes.splat_u32(tap as u32));
                        share.select(takes, zero)
                    },
                );
            }
        }
        write_back(lanes, shape, sums, dx, accumulate);
    }
}

/// The gradient of the average, for images of at most [`PLANE_MAX`] values with their padding.
#[inline(always)]
pub(super) fn avg_grad<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let (rows, columns) = shape.padded_axes();
    let mut sums = [0.0; PLANE_MAX];
    let out_width = columns.n_windows();
    let planes = dx.chunks_exact_mut(shape.plane_len());
    for (dx, dy) in planes.zip(dy.chunks_exact(rows.n_windows() * out_width)) {
        let sums = &mut sums[..shape.padded_len()];
        sums.fill(0.0);
        for (at, dy) in dy.chunks_exact(out_width).enumerate() {
            for (block, dy) in dy.chunks(L::LANES).enumerate() {
                let share = Average::finish(load_first(lanes, dy), shape.window_len());
                let first = block * L::LANES;
                let from = at * rows.stride * columns.len + first * columns.stride;
                scatter(
                    shape,
                    columns,
                    &mut sums[from..],
                    dy.len(),
                    #[inline(always)]
                    |_| share,
                );
            }
        }
        write_back(lanes, shape, sums, dx, accumulate);
    }
}

/// The number, in row-major order, of the tap that each of `n_windows` windows takes; `x` begins with the
/// first of them, and `winner` is the first tap of each that lies on the image.
#[inline(always)]
fn winner<L: Pairs>(
    shape: PoolShape,
    columns: Axis,
    x: &[f32],
    (mut max, mut winner): (Vector<L>, L::U32),
    n_windows: usize,
) -> L::U32 {
    let lanes = max.lanes;
    let [kernel_rows, kernel_columns] = shape.kernel;
    for row_tap in 0..kernel_rows {
        for tap in 0..kernel_columns {
            let x = &x[row_tap * columns.len + tap..];
            let x = load_strided(lanes, x, columns.stride, n_windows);
            let number = lanes.splat_u32((row_tap * kernel_columns + tap) as u32);
            (max, winner) = challenge(max, winner, x, number);
        }
    }
    winner
}

/// Before the first tap: the least value, and the number of the first tap on the image, which is taken
/// if no value is larger.
#[inline(always)]
fn first_taps<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    at: usize,
    first: usize,
    n_windows: usize,
) -> (Vector<L>, L::U32) {
    let row = shape.rows().taps(at).start * shape.kernel[1];
    let columns = shape.columns();
    let numbers = if columns.padding <= first * columns.stride {
        lanes.splat_u32(row as u32)
    } else {
        let mut numbers = [0.0; REDUCTION_LANES];
        for (lane, number) in numbers[..n_windows].iter_mut().enumerate() {
            *number = f32::from_bits((row + columns.taps(first + lane).start) as u32);
        }
        lanes.bits_of(Vector::load(lanes, &numbers).raw)
    };
    (Vector::splat(lanes, Maximum::START), numbers)
}

/// Adds `share(tap)` of each of `n_windows` windows to its taps; `sums` begins with the first of them.
///
/// Taps go from the last column to the first, so that a value sums over its windows from left to right.
#[inline(always)]
fn scatter<L: Pairs>(
    shape: PoolShape,
    columns: Axis,
    sums: &mut [f32],
    n_windows: usize,
    share: impl Fn(usize) -> Vector<L>,
) {
    let [kernel_rows, kernel_columns] = shape.kernel;
    for tap in (0..kernel_columns).rev() {
        for row_tap in 0..kernel_rows {
            let sums = &mut sums[row_tap * columns.len + tap..];
            let share = share(row_tap * kernel_columns + tap);
            add_strided(sums, columns.stride, n_windows, share);
        }
    }
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
    (x.select(nan, x.select(larger, max)), lanes.bits_of(winner))
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
