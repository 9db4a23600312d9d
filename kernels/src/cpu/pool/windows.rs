//! Windows a register at a time: the forward pass, and the gradients of windows that tile the image in
//! pairs of columns.

use super::pairs::Pairs;
use super::{Average, Maximum, PoolShape, Pooling};
use crate::cpu::lanes::{Lanes, REDUCTION_LANES, Vector};

/// `y = pooled windows of x`
#[inline(always)]
pub(super) fn forward<L: Pairs, K: Pooling>(lanes: L, shape: PoolShape, x: &[f32], y: &mut [f32]) {
    let (rows, columns) = (shape.rows(), shape.columns());
    let (out_height, out_width) = (rows.n_windows(), columns.n_windows());
    let planes = x.chunks_exact(shape.plane_len());
    for (x, y) in planes.zip(y.chunks_exact_mut(out_height * out_width)) {
        for (at, y) in y.chunks_exact_mut(out_width).enumerate() {
            let row_taps = rows.taps(at);
            if shape.is_pairs() {
                let x = &x[rows.source(at, 0) * shape.width..];
                pool_pairs::<L, K>(lanes, shape, x, y);
                continue;
            }
            columns.each_run(
                0..out_width,
                L::LANES,
                #[inline(always)]
                |first, n_windows, taps| {
                    let mut sum = Vector::splat(lanes, K::START);
                    for row_tap in row_taps.clone() {
                        let row = &x[rows.source(at, row_tap) * shape.width..][..shape.width];
                        for tap in taps.clone() {
                            let x = &row[columns.source(first, tap)..];
                            sum = K::step(sum, load_strided(lanes, x, columns.stride, n_windows));
                        }
                    }
                    let y = &mut y[first..][..n_windows];
                    K::finish(sum, shape.window_len()).store_first(y);
                },
            );
        }
    }
}

/// A row of windows two columns wide, side by side; `x` begins with their first row.
#[inline(always)]
fn pool_pairs<L: Pairs, K: Pooling>(lanes: L, shape: PoolShape, x: &[f32], y: &mut [f32]) {
    for (block, y) in y.chunks_mut(L::LANES).enumerate() {
        let mut sum = Vector::splat(lanes, K::START);
        for tap in 0..shape.kernel[0] {
            let x = &x[tap * shape.width + block * 2 * L::LANES..];
            let [even, odd] = load_pairs(lanes, &x[..2 * y.len()]);
            sum = K::step(K::step(sum, even), odd);
        }
        K::finish(sum, shape.window_len()).store_first(y);
    }
}

/// The gradient of the maximum of windows that tile the image in pairs of columns.
#[inline(always)]
pub(super) fn max_grad_pairs<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    x: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let width = shape.width;
    let rows_len = shape.kernel[0] * width;
    each_row_of_windows(
        shape,
        dy,
        dx,
        #[inline(always)]
        |at, dy, dx| {
            let x = &x[at..][..rows_len];
            for (block, dy) in dy.chunks(L::LANES).enumerate() {
                let start = block * 2 * L::LANES;
                let mut max = Vector::splat(lanes, Maximum::START);
                let mut winner = lanes.splat_u32(0);
                for tap in 0..shape.kernel[0] {
                    let pair = load_pairs(lanes, &x[tap * width + start..][..2 * dy.len()]);
                    for (side, x) in pair.iter().enumerate() {
                        let number = lanes.splat_u32((2 * tap + side) as u32);
                        (max, winner) = challenge(max, winner, *x, number);
                    }
                }
                let share = load_first(lanes, dy);
                let zero = Vector::splat(lanes, 0.0);
                for tap in 0..shape.kernel[0] {
                    let number = |side| lanes.splat_u32((2 * tap + side) as u32);
                    let even = share.select(lanes.equal_u32(winner, number(0)), zero);
                    let odd = share.select(lanes.equal_u32(winner, number(1)), zero);
                    let dx = &mut dx[tap * width + start..][..2 * dy.len()];
                    store_pairs(lanes, [even, odd], dx, accumulate);
                }
            }
        },
    );
}

/// The gradient of the average of windows that tile the image in pairs of columns.
#[inline(always)]
pub(super) fn avg_grad_pairs<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    each_row_of_windows(
        shape,
        dy,
        dx,
        #[inline(always)]
        |_, dy, dx| {
            for (block, dy) in dy.chunks(L::LANES).enumerate() {
                let share = Average::finish(load_first(lanes, dy), shape.window_len());
                for tap in 0..shape.kernel[0] {
                    let dx = &mut dx[tap * shape.width + block * 2 * L::LANES..][..2 * dy.len()];
                    store_pairs(lanes, [share, share], dx, accumulate);
                }
            }
        },
    );
}

/// Calls `f` for each row of windows that tile the image: where its values begin, its `dy`, its `dx`.
#[inline(always)]
fn each_row_of_windows(
    shape: PoolShape,
    dy: &[f32],
    dx: &mut [f32],
    mut f: impl FnMut(usize, &[f32], &mut [f32]),
) {
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let rows_len = shape.kernel[0] * shape.width;
    for (row, dy) in dy.chunks_exact(out_width).enumerate() {
        let at = row / out_height * shape.plane_len() + row % out_height * rows_len;
        f(at, dy, &mut dx[at..][..rows_len]);
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

/// The first values of `x`, at most a register, and zeros.
#[inline(always)]
fn load_first<L: Lanes>(lanes: L, x: &[f32]) -> Vector<L> {
    // SAFETY: the mask ends where the slice does.
    let raw = unsafe { lanes.load_masked(lanes.first(x.len()), x.as_ptr()) };
    Vector::new(lanes, raw)
}

/// The even and the odd values of `x`, an even number of at most two registers, and zeros.
#[inline(always)]
fn load_pairs<L: Pairs>(lanes: L, x: &[f32]) -> [Vector<L>; 2] {
    let low = load_first(lanes, &x[..x.len().min(L::LANES)]);
    let high = load_first(lanes, &x[x.len().min(L::LANES)..]);
    let [even, odd] = lanes.unzip(low.raw, high.raw);
    [Vector::new(lanes, even), Vector::new(lanes, odd)]
}

/// Writes even and odd values, as many as `dx` has, at most two registers; adds them where `accumulate`.
#[inline(always)]
fn store_pairs<L: Pairs>(lanes: L, [even, odd]: [Vector<L>; 2], dx: &mut [f32], accumulate: bool) {
    let [low, high] = lanes.zip(even.raw, odd.raw);
    let (low_dx, high_dx) = dx.split_at_mut(dx.len().min(L::LANES));
    for (raw, dx) in [(low, low_dx), (high, high_dx)] {
        let value = Vector::new(lanes, raw);
        let value = if accumulate { load_first(lanes, dx) + value } else { value };
        value.store_first(dx);
    }
}

/// `n_values` values of `x`, `stride` apart, and zeros.
#[inline(always)]
pub(super) fn load_strided<L: Pairs>(
    lanes: L,
    x: &[f32],
    stride: usize,
    n_values: usize,
) -> Vector<L> {
    match stride {
        1 => load_first(lanes, &x[..n_values]),
        2 => {
            let x = &x[..2 * n_values - 1];
            let low = load_first(lanes, &x[..x.len().min(L::LANES)]);
            let high = load_first(lanes, &x[x.len().min(L::LANES)..]);
            Vector::new(lanes, lanes.unzip(low.raw, high.raw)[0])
        }
        _ => {
            let mut values = [0.0; REDUCTION_LANES];
            for (value, x) in values[..n_values].iter_mut().zip(x.iter().step_by(stride)) {
                *value = *x;
            }
            Vector::load(lanes, &values)
        }
    }
}
