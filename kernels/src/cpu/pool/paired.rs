//! Windows two columns wide, side by side and without padding.

use super::windows::challenge;
use super::{Average, Maximum, PoolShape, Pooling};
use crate::cpu::interleave::Pairs;
use crate::cpu::lanes::{Lanes, Vector};
use crate::cpu::place::{Dst, Src};

/// `y = pooled windows of x`
#[inline(always)]
pub(super) fn forward<L: Pairs, K: Pooling>(lanes: L, shape: PoolShape, x: &[f32], y: &mut [f32]) {
    shape.assert_lens(x.len(), y.len());
    let (x, y) = (Src::of(x), Dst::of(y));
    each_block(
        lanes,
        shape,
        #[inline(always)]
        |block| {
            let mut sum = Vector::splat(lanes, K::START);
            for tap in 0..shape.kernel[0] {
                // SAFETY: the rows of a block's windows lie in `x`.
                let [even, odd] = unsafe { block.load_pairs(x.add(block.x + tap * shape.width)) };
                sum = K::step(K::step(sum, even), odd);
            }
            let value = K::finish(sum, shape.window_len());
            // SAFETY: a block's windows have their results in `y`.
            unsafe { lanes.store_masked(block.masks.windows, y.add(block.y), value.raw) }
        },
    );
}

/// The gradient of the maximum of windows that tile the image.
#[inline(always)]
pub(super) fn max_grad<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    x: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    shape.assert_lens(x.len(), dy.len());
    shape.assert_lens(dx.len(), dy.len());
    let (dy, x, dx) = (Src::of(dy), Src::of(x), Dst::of(dx));
    let zero = Vector::splat(lanes, 0.0);
    each_block(
        lanes,
        shape,
        #[inline(always)]
        |block| {
            let mut max = Vector::splat(lanes, Maximum::START);
            let mut winner = lanes.splat_u32(0);
            for tap in 0..shape.kernel[0] {
                // SAFETY: the rows of a block's windows lie in `x`.
                let [even, odd] = unsafe { block.load_pairs(x.add(block.x + tap * shape.width)) };
                let number = 2 * tap as u32;
                (max, winner) = challenge(max, winner, even, lanes.splat_u32(number));
                (max, winner) = challenge(max, winner, odd, lanes.splat_u32(number + 1));
            }
            // SAFETY: a block's windows have their gradients in `dy`.
            let share = unsafe { lanes.load_masked(block.masks.windows, dy.add(block.y)) };
            let share = Vector::new(lanes, share);
            for tap in 0..shape.kernel[0] {
                let number = 2 * tap as u32;
                let is_even = lanes.equal_u32(winner, lanes.splat_u32(number));
                let is_odd = lanes.equal_u32(winner, lanes.splat_u32(number + 1));
                let shares = [share.select(is_even, zero), share.select(is_odd, zero)];
                // SAFETY: the rows of a block's windows lie in `dx`.
                unsafe {
                    block.store_pairs(shares, dx.add(block.x + tap * shape.width), accumulate);
                }
            }
        },
    );
}

/// The gradient of the average of windows that tile the image.
#[inline(always)]
pub(super) fn avg_grad<L: Pairs>(
    lanes: L,
    shape: PoolShape,
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    shape.assert_lens(dx.len(), dy.len());
    let (dy, dx) = (Src::of(dy), Dst::of(dx));
    each_block(
        lanes,
        shape,
        #[inline(always)]
        |block| {
            // SAFETY: a block's windows have their gradients in `dy`.
            let dy = unsafe { lanes.load_masked(block.masks.windows, dy.add(block.y)) };
            let share = Average::finish(Vector::new(lanes, dy), shape.window_len());
            for tap in 0..shape.kernel[0] {
                // SAFETY: the rows of a block's windows lie in `dx`.
                unsafe {
                    let dx = dx.add(block.x + tap * shape.width);
                    block.store_pairs([share, share], dx, accumulate);
                }
            }
        },
    );
}

/// Windows side by side, at most a register of them.
#[derive(Clone, Copy)]
struct Block<L: Lanes> {
    lanes: L,
    masks: Masks<L>,
    /// Where the first window begins in the input.
    x: usize,
    /// Where its result lies in the output.
    y: usize,
}

/// The lanes of a block's windows, and of their columns in two registers.
#[derive(Clone, Copy)]
struct Masks<L: Lanes> {
    windows: L::Mask,
    columns: [L::Mask; 2],
}

impl<L: Lanes> Masks<L> {
    #[inline(always)]
    fn of(lanes: L, n_windows: usize) -> Self {
        let n_columns = 2 * n_windows;
        let columns = [lanes.first(n_columns), lanes.first(n_columns.saturating_sub(L::LANES))];
        Self { windows: lanes.first(n_windows), columns }
    }
}

impl<L: Pairs> Block<L> {
    /// The even and the odd values of a row of the windows.
    ///
    /// # Safety
    ///
    /// `x` is readable for the columns of the block.
    #[inline(always)]
    unsafe fn load_pairs(self, x: Src) -> [Vector<L>; 2] {
        let Self { lanes, masks, .. } = self;
        // SAFETY: the caller's promise; the second mask is empty where the first holds all columns.
        let [low, high] = unsafe {
            [
                lanes.load_masked(masks.columns[0], x),
                lanes.load_masked(masks.columns[1], x.wrapping_add(L::LANES)),
            ]
        };
        let [even, odd] = lanes.unzip(low, high);
        [Vector::new(lanes, even), Vector::new(lanes, odd)]
    }

    /// Writes the even and the odd values of a row of the windows, or adds them.
    ///
    /// # Safety
    ///
    /// `dx` is readable and writable for the columns of the block.
    #[inline(always)]
    unsafe fn store_pairs(self, [even, odd]: [Vector<L>; 2], dx: Dst, accumulate: bool) {
        let Self { lanes, masks, .. } = self;
        let halves = lanes.zip(even.raw, odd.raw);
        for (half, (raw, mask)) in halves.iter().zip(&masks.columns).enumerate() {
            let dx = dx.wrapping_add(half * L::LANES);
            // SAFETY: the caller's promise; the second mask is empty where the first holds all columns.
            unsafe {
                let raw = if accumulate {
                    lanes.add(lanes.load_masked(*mask, dx.src()), *raw)
                } else {
                    *raw
                };
                lanes.store_masked(*mask, dx, raw);
            }
        }
    }
}

/// Calls `f` for each block of windows of each image of one channel.
#[inline(always)]
fn each_block<L: Lanes>(lanes: L, shape: PoolShape, mut f: impl FnMut(Block<L>)) {
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let n_full = out_width / L::LANES;
    let n_left = out_width % L::LANES;
    let (full, left) = (Masks::of(lanes, L::LANES), Masks::of(lanes, n_left));
    let mut y = 0;
    for plane in 0..shape.planes() {
        for row in 0..out_height {
            let mut x = plane * shape.plane_len() + row * shape.stride[0] * shape.width;
            for _ in 0..n_full {
                f(Block { lanes, masks: full, x, y });
                (x, y) = (x + 2 * L::LANES, y + L::LANES);
            }
            if 0 < n_left {
                f(Block { lanes, masks: left, x, y });
                y += n_left;
            }
        }
    }
}
