//! Walks over `f32[batch, channels, len]`: maps with numbers of each channel, and sums of each channel
//! over the batch and its positions.
//!
//! Where a channel has one position, as in plain vectors, lanes lie along the channels; elsewhere along
//! the positions.

use super::ChannelShape;
use crate::cpu::lanes::{Lanes, REDUCTION_LANES, Vector, join};
use crate::cpu::place::{Dst, Src};
use crate::cpu::slice_loops::{load_each, load_each_masked, map};
use core::ops::Range;

/// Most channels of a block: their sums are kept on the stack.
pub(crate) const BLOCK_MAX: usize = 256;

/// Channels whose sixteen partial sums are kept on the stack at a time.
const PARTIAL_MAX: usize = 64;

/// Bytes that a block of channels may span in each operand, so that later passes find it in the
/// second-level cache. Of `1 << 17` to `1 << 20`, the fastest for batch norm, forward and backward, on
/// sixteen channels of 28 by 28, batch 64, with a cache of two megabytes.
const BLOCK_BYTES: usize = 1 << 17;

/// Registers side by side in a sum over the rows of plain vectors: independent additions enough to hide
/// the latency of each.
const COLUMN_VECTORS: usize = 4;

/// Channels in blocks small enough that passes over one after the other read from cache.
pub(crate) fn blocks(
    shape: ChannelShape,
    channels: Range<usize>,
) -> impl Iterator<Item = Range<usize>> {
    let ChannelShape { batch, len, .. } = shape;
    let channel_bytes = (batch * len * size_of::<f32>()).max(1);
    let most = if len == 1 { BLOCK_MAX } else { (BLOCK_BYTES / channel_bytes).clamp(1, BLOCK_MAX) };
    let end = channels.end;
    channels.step_by(most).map(move |first| first..(first + most).min(end))
}

/// `write = f(params, reads, write)` in some channels of `f32[batch, channels, len]`; each of `params` has
/// one value for each of these channels.
#[inline(always)]
pub(crate) fn map_channels<L: Lanes, const P: usize, const R: usize>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    write: &mut [f32],
    f: impl Fn([Vector<L>; P], [Vector<L>; R], Vector<L>) -> Vector<L>,
) {
    assert_operands(shape, &channels, params, reads);
    assert_eq!(write.len(), shape.data_len(), "data is f32[batch, channels, len]");
    if shape.len == 1 {
        map_columns(lanes, shape, channels, params, reads, write, f);
        return;
    }
    for example in 0..shape.batch {
        for (at, channel) in channels.clone().enumerate() {
            let mut values = [Vector::splat(lanes, 0.0); P];
            for (value, param) in values.iter_mut().zip(&params) {
                *value = Vector::splat(lanes, param[at]);
            }
            let row = (example * shape.channels + channel) * shape.len;
            let mut rows = reads;
            for read in &mut rows {
                *read = &read[row..][..shape.len];
            }
            map(
                lanes,
                rows,
                [&mut write[row..][..shape.len]],
                #[inline(always)]
                |reads, [write]| [f(values, reads, write)],
            );
        }
    }
}

/// [`map_channels`] for plain vectors, whose operands have been asserted.
#[inline(always)]
fn map_columns<L: Lanes, const P: usize, const R: usize>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    write: &mut [f32],
    f: impl Fn([Vector<L>; P], [Vector<L>; R], Vector<L>) -> Vector<L>,
) {
    let params = params.map(Src::of);
    let reads = reads.map(Src::of);
    let write = Dst::of(write);
    for example in 0..shape.batch {
        let row = example * shape.channels + channels.start;
        for column in (0..channels.len()).step_by(L::LANES) {
            let mask = lanes.first(channels.len() - column);
            let at = row + column;
            // SAFETY: `mask` ends where the channels do, which are within every operand.
            unsafe {
                let values = load_each_masked(lanes, mask, params, column);
                let sources = load_each_masked(lanes, mask, reads, at);
                let [before] = load_each_masked(lanes, mask, [write.src()], at);
                lanes.store_masked(mask, write.add(at), f(values, sources, before).raw);
            }
        }
    }
}

/// `A` sums over the batch and positions for each of some channels of `f32[batch, channels, len]`.
///
/// Each of `params` has one value for each of these channels. `step(sums, params, reads)` adds to sums
/// that start from zero. The order is fixed: with one position, one chain over the batch; else sixteen
/// partial sums an example, that of position `t` being number `t % 16`, each one chain; these are added
/// to the channel's sixteen, example after example, which [`join`] joins.
#[inline(always)]
pub(crate) fn fold_channels<L: Lanes, const P: usize, const R: usize, const A: usize>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    sums: [&mut [f32]; A],
    step: impl Fn([Vector<L>; A], [Vector<L>; P], [Vector<L>; R]) -> [Vector<L>; A],
) {
    assert_operands(shape, &channels, params, reads);
    assert!(sums.iter().all(|sum| sum.len() == channels.len()), "one sum a channel");
    let first = channels.start;
    if shape.len == 1 {
        fold_columns(lanes, shape, channels, params, reads, sums, step);
        return;
    }
    let mut sums = sums;
    for at in (0..channels.len()).step_by(PARTIAL_MAX) {
        let end = (at + PARTIAL_MAX).min(channels.len());
        let mut values = params;
        for param in &mut values {
            *param = &param[at..end];
        }
        let totals = fold_rows(lanes, shape, first + at..first + end, values, reads, &step);
        for (channel, totals) in totals[..end - at].iter().enumerate() {
            for (sum, total) in sums.iter_mut().zip(totals) {
                let mut parts = [Vector::splat(lanes, 0.0); REDUCTION_LANES];
                for (part, values) in parts.iter_mut().zip(total.chunks_exact(L::LANES)) {
                    *part = Vector::load(lanes, values);
                }
                sum[at + channel] = join(
                    parts,
                    #[inline(always)]
                    |a, b| a + b,
                );
            }
        }
    }
}

/// The sixteen partial sums of each of at most [`PARTIAL_MAX`] channels, whose operands have been asserted.
#[inline(always)]
fn fold_rows<L: Lanes, const P: usize, const R: usize, const A: usize>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    step: &impl Fn([Vector<L>; A], [Vector<L>; P], [Vector<L>; R]) -> [Vector<L>; A],
) -> [[[f32; REDUCTION_LANES]; A]; PARTIAL_MAX] {
    let mut totals = [[[0.0; REDUCTION_LANES]; A]; PARTIAL_MAX];
    for example in 0..shape.batch {
        for (at, totals) in totals[..channels.len()].iter_mut().enumerate() {
            let mut values = [Vector::splat(lanes, 0.0); P];
            for (value, param) in values.iter_mut().zip(&params) {
                *value = Vector::splat(lanes, param[at]);
            }
            let row = (example * shape.channels + channels.start + at) * shape.len;
            let mut rows = reads;
            for read in &mut rows {
                *read = &read[row..][..shape.len];
            }
            let sums = row_sums(
                lanes,
                rows,
                #[inline(always)]
                |sums, reads| step(sums, values, reads),
            );
            for (a, total) in totals.iter_mut().enumerate() {
                for (total, sums) in total.chunks_exact_mut(L::LANES).zip(&sums) {
                    (Vector::load(lanes, total) + sums[a]).store(total);
                }
            }
        }
    }
    totals
}

/// The sixteen partial sums of a row, in the first `16 / LANES` entries; number `t % 16` that of element
/// `t`, in order.
#[inline(always)]
fn row_sums<L: Lanes, const R: usize, const A: usize>(
    lanes: L,
    reads: [&[f32]; R],
    step: impl Fn([Vector<L>; A], [Vector<L>; R]) -> [Vector<L>; A],
) -> [[Vector<L>; A]; REDUCTION_LANES] {
    let len = reads.first().map_or(0, |read| read.len());
    assert!(reads.iter().all(|read| read.len() == len), "operands differ in length");
    let reads = reads.map(Src::of);
    let n_parts = REDUCTION_LANES / L::LANES;
    let mut parts = [[Vector::splat(lanes, 0.0); A]; REDUCTION_LANES];
    let full = len - len % REDUCTION_LANES;
    for at in (0..full).step_by(REDUCTION_LANES) {
        for (part, sums) in parts[..n_parts].iter_mut().enumerate() {
            // SAFETY: sixteen values from `at` are within every slice.
            *sums = step(*sums, unsafe { load_each(lanes, reads, at + part * L::LANES) });
        }
    }
    for (part, sums) in parts[..n_parts].iter_mut().enumerate() {
        let at = full + part * L::LANES;
        if at < len {
            let mask = lanes.first(len - at);
            // SAFETY: `mask` ends where the slices do.
            let next = step(*sums, unsafe { load_each_masked(lanes, mask, reads, at) });
            for (sum, next) in sums.iter_mut().zip(&next) {
                *sum = next.select(mask, *sum);
            }
        }
    }
    parts
}

/// [`fold_channels`] for plain vectors, whose operands have been asserted.
#[inline(always)]
fn fold_columns<L: Lanes, const P: usize, const R: usize, const A: usize>(
    lanes: L,
    shape: ChannelShape,
    channels: Range<usize>,
    params: [&[f32]; P],
    reads: [&[f32]; R],
    sums: [&mut [f32]; A],
    step: impl Fn([Vector<L>; A], [Vector<L>; P], [Vector<L>; R]) -> [Vector<L>; A],
) {
    let params = params.map(Src::of);
    let reads = reads.map(Src::of);
    let sums = sums.map(Dst::of);
    let width = channels.len();
    for first in (0..width).step_by(COLUMN_VECTORS * L::LANES) {
        let mut totals = [[Vector::splat(lanes, 0.0); A]; COLUMN_VECTORS];
        let mut values = [[Vector::splat(lanes, 0.0); P]; COLUMN_VECTORS];
        let mut masks = [lanes.first(0); COLUMN_VECTORS];
        for (part, (mask, values)) in masks.iter_mut().zip(&mut values).enumerate() {
            let column = first + part * L::LANES;
            *mask = lanes.first(width.saturating_sub(column));
            // SAFETY: `mask` ends where the numbers do.
            *values = unsafe { load_each_masked(lanes, *mask, params, column.min(width)) };
        }
        let start = channels.start + first;
        for row in 0..shape.batch {
            for (part, totals) in totals.iter_mut().enumerate() {
                // Registers beyond the last channel read nothing, from an address within the operands.
                let at = row * shape.channels + (start + part * L::LANES).min(channels.end);
                // SAFETY: the mask ends where the channels do.
                let sources = unsafe { load_each_masked(lanes, masks[part], reads, at) };
                *totals = step(*totals, values[part], sources);
            }
        }
        for (part, totals) in totals.iter().enumerate() {
            let column = (first + part * L::LANES).min(width);
            for (sum, total) in sums.iter().zip(totals) {
                // SAFETY: the mask ends where the sums do.
                unsafe { lanes.store_masked(masks[part], sum.add(column), total.raw) }
            }
        }
    }
}

fn assert_operands<const P: usize, const R: usize>(
    shape: ChannelShape,
    channels: &Range<usize>,
    params: [&[f32]; P],
    reads: [&[f32]; R],
) {
    let len = shape.data_len();
    assert!(channels.start <= channels.end && channels.end <= shape.channels);
    assert!(params.iter().all(|param| param.len() == channels.len()), "one number a channel");
    assert!(reads.iter().all(|read| read.len() == len), "data is f32[batch, channels, len]");
}
